"""Databases of older versions, made by their code: brought up to date whole, or left as they were."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from central.labelled import label_all

from linkrouter.central.labels import Insight
from linkrouter.central.statistics import count_totals
from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.sqlite.schema import MIGRATIONS
from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.errors import SettingsError

DUMPS = sorted((Path(__file__).parent / "older").glob("version-*.sql"))


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def older(request, tmp_path):
    """A database as that version left it."""
    path = tmp_path / "central.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(request.param.read_text())
        assert f"version-{version_of(database)}" == request.param.stem
    return path


def version_of(database) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]


async def test_it_keeps_every_click_and_its_message_and_counts_go_on(older, make_clicks):
    store = SqliteCentralStore(older)
    await store.open()
    try:
        found = await store.find_clicks(ClickFilter(message_id="mail-1@example.com"), None, 10)
        again = await store.add_clicks([one.click for one in found])
        await store.add_clicks(make_clicks(1, link_id="-----w"))
        await label_all(store)
        figures = (await count_totals(store, Insight(), ClickFilter(robots="exclude"))).figures
    finally:
        await store.close()

    assert [one.click.id for one in found] == [f"id-{n}" for n in reversed(range(7))]
    assert {(one.recipient, one.tag) for one in found} == {("reader@example.net", "november")}
    assert {one.click.link_id: one.url for one in found} == {
        "-----w": "https://example.com/0",
        "----0w": "https://example.com/1",
    }
    assert again == 0
    assert (figures.clicks, figures.robots, figures.unique) == (7, 1, 2)  # the older code said 6, 1 and 2; and one more
    with contextlib.closing(sqlite3.connect(older)) as database:
        assert version_of(database) == len(MIGRATIONS)


async def test_a_step_that_fails_leaves_it_as_it_was(older):
    with contextlib.closing(sqlite3.connect(older, isolation_level=None)) as database:
        database.execute("CREATE TABLE take_backs (in_the_way)")  # a later step makes a table of this name
        before = version_of(database), list(database.iterdump())

    with pytest.raises(SettingsError, match="cannot be opened"):
        await SqliteCentralStore(older).open()

    with contextlib.closing(sqlite3.connect(older)) as database:
        assert (version_of(database), list(database.iterdump())) == before
