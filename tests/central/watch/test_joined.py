"""The watcher joined with the check: what it knew before, what it spares, and a central without the check."""

from pathlib import Path

import pytest
from checker.world import LISTED, Lists, Web, checking, mail, reports

from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.metrics import Metrics
from linkrouter.processes.watching import is_spared, look_with, make_watch
from linkrouter.settings import CentralSettings

URL = "https://a.example/page"


@pytest.mark.parametrize(
    ("before", "listed", "expected"),
    [("answers", False, True), ("answers", True, False), ("not found", False, False), (None, False, False)],
)
async def test_what_the_check_of_the_mail_found_is_known_to_the_first_look(before, listed, expected):
    web = Web({URL: before or "answers"})
    async with checking(web, Lists(answers={"a.example": LISTED} if listed else {})) as checker:
        if before is not None:
            await reports(checker, mail(URL))
        web.pages[URL] = "not found"

        look = await look_with(checker, False, URL, 0)

    assert look.was_fine is expected
    assert look.verdict == ("flagged" if listed else "broken")
    assert look.requests > 0


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/Unsubscribe?u=1",
        "https://a.example/preferences",
        "https://a.example/abmelden/7",
        "https://a.example/opt-out",
        "https://a.example/reset-password",
    ],
)
def test_what_the_encoder_and_the_check_leave_alone_is_spared(url):
    assert is_spared(url, 9)
    assert not is_spared(URL, 1)


async def test_without_the_check_central_starts_with_one_line_and_watches_nothing(tmp_path, caplog):
    settings = CentralSettings(ingest_token_file=Path("unused"), api_token_file=Path("unused"))
    store = SqliteCentralStore(tmp_path / "central.db")

    api, watcher = make_watch(store, None, settings, Metrics())

    assert (api.days, watcher) == (0, None)
    assert [record.msg for record in caplog.records] == ["watch.off"]
