"""Ten questions of an analyst, asked of the pages by clicking, on the demo's history: each answer is the API's.

A press of the pointer is a click, and so is each field that is filled. They start on the overview, signed in.
"""

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
import pytest_asyncio
from central.dashboard.pages import ALL, centre_with_pages
from central.dashboard.test_browser import chromium, looking  # noqa: F401 – a fixture
from central.labelled import label_all
from processes import HANG_S

from linkrouter.processes.demo_history import add_history

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

MOST_CLICKS = 5
BERLIN = ZoneInfo("Europe/Berlin")


class Analyst:
    """Looks at *page*, counts clicks, and has the API beside it."""

    def __init__(self, page, api) -> None:
        self.page, self.api, self.clicks = page, api, 0

    async def click(self, selector: str) -> None:
        self.clicks += 1
        await self.page.click(selector)
        await self.page.wait_for_load_state("load")

    async def fill(self, selector: str, text: str) -> None:
        self.clicks += 1
        await self.page.fill(selector, text)

    async def figure(self, selector: str) -> int:
        """Give the number that stands at *selector*."""
        return int(await self.page.locator(f"{selector} data.number").first.get_attribute("value"))

    async def row(self, box: str, number: int = 0) -> list[str]:
        """Give the texts of a row of a box: its value, people's clicks, machines' clicks."""
        row = self.page.locator(f"section[aria-labelledby=box-{box}] tbody tr").nth(number)
        value = await row.locator(".value").inner_text()
        return [value, *[await one.get_attribute("value") for one in await row.locator("data.number").all()]]

    async def ask(self, path: str, **query) -> dict:
        answer = await self.api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


def days(first: int, last: int = 0) -> dict[str, str]:
    """Give since and until of the days from *first* to *last* days ago, both included, as they are in Berlin."""
    today = datetime.now(BERLIN).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    ends = today - timedelta(days=first), today - timedelta(days=last - 1)
    since, until = (end.replace(tzinfo=BERLIN).astimezone(ZoneInfo("UTC")) for end in ends)
    return {"since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def history(chromium, tmp_path_factory):  # noqa: F811
    async with centre_with_pages(tmp_path_factory.mktemp("questions"), filled=False) as (origin, store):
        await add_history(store, time.time_ns() // 1000)
        await label_all(store)
        api = httpx.AsyncClient(
            base_url=origin, headers={"Authorization": f"Bearer {ALL}"}, trust_env=False, timeout=HANG_S
        )
        async with looking(chromium, origin) as page, api:
            yield page, api, origin


@pytest_asyncio.fixture(loop_scope="module")
async def analyst(history):
    page, api, origin = history
    await page.goto(f"{origin}/dashboard")
    someone = Analyst(page, api)
    yield someone
    assert 1 <= someone.clicks <= MOST_CLICKS


async def test_which_link_of_the_newsletter_won_among_people_on_phones_in_germany(analyst):
    await analyst.click("text=90 days")
    for value in ("newsletter", "mobile", "Germany"):
        await analyst.click(f"a.value:text-is('{value}')")

    asked = days(89) | {"tag": "newsletter", "platform": "mobile", "country": "DE"}
    best = (await analyst.ask("/v1/stats/clicks/by/url", **asked))["rows"][0]
    assert (await analyst.row("url"))[:2] == [best["value"], str(best["clicks"])]


async def test_how_many_of_tuesdays_clicks_were_gateways(analyst):
    back = (datetime.now(BERLIN).weekday() - 1) % 7 or 7
    tuesday = (datetime.now(BERLIN) - timedelta(days=back)).date().isoformat()
    await analyst.click("summary:has-text('as a table')")
    await analyst.click(f"#series a[href*='since={tuesday}']")

    counted = await analyst.ask("/v1/stats/clicks", **days(back, back))
    assert await analyst.figure(".totals .card:nth-child(3)") == counted["robots"]["total"]
    reasons = await analyst.ask("/v1/stats/clicks/by/robot_reason", **days(back, back))
    for number, row in enumerate(reasons["rows"]):
        assert (await analyst.row("robot_reason", number))[0] == row["value"]


async def test_did_the_newsletter_do_better_than_in_the_thirty_days_before(analyst):
    await analyst.click("a.value:text-is('newsletter')")

    now, before = [
        (await analyst.ask("/v1/stats/clicks", tag="newsletter", **days(*span)))["total"]
        for span in ((29, 0), (59, 30))
    ]
    card = await analyst.page.inner_text(".totals .card:first-child")
    assert await analyst.figure(".totals .card:first-child") == now
    assert f"before: {before}" in card
    assert f"{round((now - before) * 100 / before):+d} %" in card


async def test_what_do_machines_say_they_are(analyst):
    await analyst.click("text=90 days")

    rows = (await analyst.ask("/v1/stats/clicks/by/browser", limit=8, **days(89)))["rows"]
    for number, row in enumerate(rows):
        assert await analyst.row("browser", number) == [row["value"], str(row["clicks"]), str(row["robots"])]


async def test_how_many_read_the_text_part(analyst):
    await analyst.click("text=90 days")

    by_part = (await analyst.ask("/v1/stats/clicks", **days(89)))["by_part"]
    shown = [await analyst.row("part", number) for number in (0, 1)]
    assert {value: int(clicks) for value, clicks, _ in shown} == {"HTML": by_part["html"], "Text": by_part["text"]}


async def test_did_this_reader_click_on_the_last_mail(analyst):
    await analyst.click("nav >> text=Messages")
    await analyst.fill("input[name=recipient]", "reader13@example.net")
    await analyst.click("text=Find")

    last = (await analyst.ask("/v1/messages", recipient="reader13@example.net"))["messages"][0]
    row = analyst.page.locator("tbody tr").first
    assert await row.locator("th").inner_text() == last["message_id"]
    shown = [int(await one.get_attribute("value")) for one in await row.locator("data.number").all()]
    assert shown == [last["links"], last["clicks"], last["unique"], last["robots"]]


async def test_where_in_the_mail_do_they_click(analyst):
    await analyst.click("nav >> text=Messages")
    await analyst.fill("input[name=tag]", "newsletter")
    await analyst.click("text=Find")
    message_id = await analyst.page.locator("tbody tr th a").first.inner_text()
    await analyst.click("tbody tr th a")

    links = (await analyst.ask(f"/v1/messages/{message_id}", tenant=0))["links"]
    shown = [
        (
            await row.get_attribute("data-part"),
            int(await row.get_attribute("data-position")),
            int(await row.get_attribute("data-clicks")),
        )
        for row in await analyst.page.locator("#links tbody tr").all()
    ]
    assert shown == [(link["part"], link["position"], link["clicks"]) for link in links if not link["trap"]]
    await analyst.page.wait_for_selector("#badges text")


async def test_what_is_missing_and_since_when(analyst):
    await analyst.click("text=Missing clicks")

    missing = (await analyst.ask("/v1/stats/clicks", **days(89)))["missing"]
    row = analyst.page.locator("tbody tr").first
    assert await analyst.figure("tbody tr") == missing["count"]
    assert await row.locator("time").first.get_attribute("datetime") == missing["since"]
    assert list(missing["by_reason"]) == [await row.locator("td").nth(1).inner_text()]


async def test_which_router_is_silent_and_with_which_key_does_it_sign(analyst):
    await analyst.click("nav >> text=Routers")

    routers = (await analyst.ask("/v1/routers"))["routers"]
    silent = max(routers, key=lambda router: router["silent_seconds"])
    [key] = [key["id"] for key in silent["workers"][0]["keys"] if key["state"] == "sign"]
    row = analyst.page.locator("tbody tr").first
    assert await row.locator("th").inner_text() == silent["router"]
    assert f"{key} signs" in await row.inner_text()


async def test_at_which_hour_of_yesterday_was_most_clicked(analyst):
    yesterday = (datetime.now(BERLIN) - timedelta(days=1)).date().isoformat()
    await analyst.click("summary:has-text('as a table')")
    await analyst.click(f"#series a[href*='since={yesterday}']")
    await analyst.click("summary:has-text('as a table')")

    points = (await analyst.ask("/v1/stats/clicks/series", interval="hour", timezone="Europe/Berlin", **days(1, 1)))[
        "points"
    ]
    shown = [int(await one.inner_text()) for one in await analyst.page.locator("#series tbody td:nth-child(2)").all()]
    assert shown == [point["clicks"] for point in points]
    assert max(shown) > 0
