"""What the encoder's tests share: a keyring, an encoder, and the proof that only links changed."""

import itertools

import pytest

from linkrouter.encoder import Encoder
from linkrouter.encoder.entities import decode_attribute
from linkrouter.errors import BadDestination
from linkrouter.link import Key, Keyring, canonical_url

ORIGIN = "https://click.example.net"


@pytest.fixture(scope="session")
def ring():
    return Keyring([Key(1, bytes(range(32)), "sign")])


@pytest.fixture(scope="session")
def encoder(ring):
    return Encoder(ORIGIN, ring)


def _meaning(value, part):
    try:
        return canonical_url(decode_attribute(value).strip() if part == "html" else value)
    except BadDestination:
        return None


@pytest.fixture(scope="session")
def check(ring):
    """Give a function that fails unless *after* is *before* with links replaced, each by a genuine link to it."""

    def check_document(before, after, links):
        rest, pieces = after, []
        for link in links:
            piece, found, rest = rest.partition(link.tracked_url)
            assert found, "a tracked link is not in the output, or not in order"
            pieces.append(piece)
        pieces.append(rest)
        at = 0
        assert before.startswith(pieces[0])
        for (piece, following), link in zip(itertools.pairwise(pieces), links, strict=True):
            at += len(piece)
            end = before.index(following, at) if following else len(before)
            while _meaning(before[at:end], link.part) != link.url:
                end = before.index(following, end + 1)  # what follows stood in the address, too
            verified = ring.verify(link.tracked_url.removeprefix(ORIGIN))
            assert (verified.destination, verified.part) == (link.url, link.part)
            at = end
        assert before[at:] == pieces[-1]

    return check_document
