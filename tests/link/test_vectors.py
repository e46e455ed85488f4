"""The published vectors of the wire format, both ways."""

import json
import re
from pathlib import Path

import pytest

from linkrouter.errors import BadLink
from linkrouter.link import Key, Keyring, Link
from linkrouter.link.codec import write_target

DOCS = Path(__file__).parents[2] / "docs"
DESIGN = Path(__file__).parents[3] / "shared" / "design"
VECTORS = json.loads((DOCS / "wire-format-vectors.json").read_text())
RING = Keyring(
    Key(int(key_id), bytes.fromhex(secret), "sign" if key_id == "1" else "verify")
    for key_id, secret in VECTORS["keys"].items()
)


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: vector["path"])
def test_signs_and_reads_every_valid_vector(vector):
    link = Link(
        vector["url"],
        bytes.fromhex(vector["link_id"]),
        vector["part"],
        vector["count_only"],
        vector["tenant"],
        vector["key_id"],
    )

    path = RING.sign(
        link.destination,
        link_id=link.link_id,
        part=link.part,
        count_only=link.count_only,
        tenant=link.tenant,
        key_id=link.key_id,
    )

    assert path == vector["path"]
    assert RING.verify(path) == link


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["why"])
def test_refuses_every_invalid_vector(vector):
    with pytest.raises(BadLink):
        RING.verify(vector["path"])


@pytest.mark.parametrize("name", ["wire-format-vectors.json", "take-back-vectors.json"])
def test_the_published_vectors_are_those_of_the_design(name):
    if not DESIGN.is_dir():
        pytest.skip("the design is not beside this checkout")

    published = json.loads((DOCS / name).read_text())

    assert published == json.loads((DESIGN / name).read_text())


def test_the_examples_of_the_page_are_true():
    page = (DOCS / "wire-format.md").read_text()

    rows = re.findall(r"^\| `([^`|]+)` \| `([^`|]+)` \|$", page, flags=re.MULTILINE)

    assert len(rows) >= 4
    assert [write_target(rest) for rest, _ in rows] == [target for _, target in rows]
    assert VECTORS["valid"][0]["path"] in page
