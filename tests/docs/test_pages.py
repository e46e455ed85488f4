"""The pages name everything they promise to name, and links between them lead somewhere."""

import re
from pathlib import Path

import pytest

from linkrouter import __version__
from linkrouter.central.api import central_routes
from linkrouter.central.store.opening import open_central_store
from linkrouter.checker.api.routes import check_routes
from linkrouter.metrics import METRICS
from linkrouter.web.openapi import with_document

ROOT = Path(__file__).parents[2]
PAGES = [path for folder in (".", "docs", "deploy", "haproxy") for path in (ROOT / folder).glob("*.md")]
PAGES += [*(ROOT / "docs" / "decisions").glob("*.md"), *(ROOT / "docs" / "examples").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_the_pages_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)# ]+)[^)]*\)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_readme_is_read_in_one_sitting():
    lines = (ROOT / "README.md").read_text().splitlines()

    assert len(lines) <= 200
    assert any(line.startswith("$ make demo") for line in lines[:45])


def test_the_page_of_metrics_has_each_metric_with_its_kind_and_label():
    rows = re.findall(
        r"^\| `(linkrouter_[a-z_]+)` \| (\w+) \|(?: `([\w ]+)`[^|]*)? \| ",
        (ROOT / "docs" / "metrics.md").read_text(),
        re.MULTILINE,
    )

    assert sorted(rows) == sorted((name, kind, label) for name, (kind, label, _) in METRICS.items())


def test_each_term_of_the_glossary_stands_once_and_in_order():
    terms = re.findall(r"^\| ([a-z][^|]*) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)[1:]

    assert terms == sorted(set(terms))


def test_the_page_of_the_api_has_each_operation_with_its_path_and_scope():
    routes = with_document(
        (*central_routes(open_central_store("sqlite:///unused.db")), *check_routes(None)), "central", __version__
    )
    rows = re.findall(
        r"^\| `(\w+)` \| `(GET|POST|PATCH|DELETE) ([^`]+)` \| (?:`([^`]+)`|none) \|",
        (ROOT / "docs" / "api.md").read_text(),
        re.MULTILINE,
    )

    assert sorted(rows) == sorted((route.operation, route.method, route.path, route.scope or "") for route in routes)
