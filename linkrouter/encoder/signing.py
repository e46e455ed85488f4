"""From a judged link to a signed one, or to a word why not.

Promise: each link of a document has one outcome, a `Signed` or a `SkippedLink`, and keeps its place among them.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from linkrouter.encoder.charsets import Splice
from linkrouter.encoder.documents import Document, overlong_splices
from linkrouter.encoder.link_policy import Judged, destination_reason
from linkrouter.encoder.report import SkippedLink, SkipReason, TrackedLink, printable
from linkrouter.encoder.trap import trap_markup
from linkrouter.errors import BadDestination
from linkrouter.link import LinkPart

__all__ = ["Signed", "Signer", "refuse_all", "sign_document", "skipped_links", "splices_of", "tracked_links"]

Signer = Callable[[str, bytes], str]  # from a canonical destination and a link id to the path of a tracked link


class Signed(NamedTuple):
    """A link that is to be replaced."""

    judged: Judged
    link: TrackedLink
    replacement: str  # of what the link was found at


def sign_document(
    document: Document, origin: str, sign: Signer | None, link_ids: Iterator[bytes]
) -> list[Signed | SkippedLink]:
    """Sign what was judged trackable; a link that then does not fit its line is skipped.

    *sign* is None for a document whose links all stay.
    """
    outcomes: list[Signed | SkippedLink] = []
    for judged in document.judged:
        if judged.reason is not None or sign is None:
            outcomes.append(_skip(judged, document.part, judged.reason or "mode"))
            continue
        try:
            path = sign(judged.destination, next(link_ids))
        except BadDestination as exc:
            outcomes.append(_skip(judged, document.part, destination_reason(exc)))
            continue
        link = _signed_link(judged, document.part, origin, path)
        outcomes.append(Signed(judged, link, link.tracked_url))
    if document.trap is not None and sign is not None:
        path = sign(document.trap.destination, next(link_ids))
        link = _signed_link(document.trap, document.part, origin, path)._replace(trap=True)
        outcomes.append(Signed(document.trap, link, trap_markup(link.tracked_url)))
    overlong = overlong_splices(document, splices_of(outcomes)) if document.has_own_lines else ()
    return _refuse(outcomes, overlong, "line too long") if overlong else outcomes


def _signed_link(judged: Judged, part: LinkPart, origin: str, path: str) -> TrackedLink:
    link_id = path.rsplit("/", 2)[1]
    return TrackedLink(link_id, judged.destination, part, judged.position, origin + path, judged.visible_url)


def _skip(judged: Judged, part: LinkPart, reason: SkipReason) -> SkippedLink:
    return SkippedLink(printable(judged.found.url), part, judged.position, reason)


def _refuse(
    outcomes: Sequence[Signed | SkippedLink], numbers: Collection[int], reason: SkipReason
) -> list[Signed | SkippedLink]:
    """Take back the signed links with these *numbers* among the signed ones; a trap goes without a word."""
    kept: list[Signed | SkippedLink] = []
    number = -1
    for outcome in outcomes:
        if isinstance(outcome, SkippedLink):
            kept.append(outcome)
            continue
        number += 1
        if number not in numbers:
            kept.append(outcome)
        elif not outcome.link.trap:
            kept.append(_skip(outcome.judged, outcome.link.part, reason))
    return kept


def refuse_all(outcomes: Sequence[Signed | SkippedLink], reason: SkipReason) -> list[Signed | SkippedLink]:
    """Take back all signed links."""
    return _refuse(outcomes, range(len(outcomes)), reason)


def splices_of(outcomes: Sequence[Signed | SkippedLink]) -> list[Splice]:
    """Return what is to be replaced in the document."""
    return [
        (one.judged.found.start, one.judged.found.end, one.replacement) for one in outcomes if isinstance(one, Signed)
    ]


def tracked_links(outcomes: Sequence[Signed | SkippedLink]) -> list[TrackedLink]:
    """Return the report of the signed links."""
    return [outcome.link for outcome in outcomes if isinstance(outcome, Signed)]


def skipped_links(outcomes: Sequence[Signed | SkippedLink]) -> list[SkippedLink]:
    """Return the report of the others."""
    return [outcome for outcome in outcomes if isinstance(outcome, SkippedLink)]
