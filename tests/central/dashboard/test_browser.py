"""The pages in a real browser: nothing off the edge, nothing hostile runs, and axe finds nothing."""

import os
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from central.dashboard.pages import ALL, CHROME, TOKENS, a_click, a_message, centre_with_pages
from central.labelled import label_all
from checker.api.browser import ARGUMENTS, CHROMIUM, NOTE_VIOLATIONS
from checker.api.centre import checking_centre

from linkrouter.central.statistics import cells
from linkrouter.web.tokens import Tokens

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

AXE = Path(os.environ.get("LINKROUTER_NODE_CLIENTS", Path(__file__).parents[3] / "build" / "clients"))
AXE = AXE / "node_modules" / "axe-core" / "axe.min.js"
MESSAGE = "/dashboard/message?id=mail-1@example.com"
PAGES = [
    *("/dashboard?period=90d&compare=1", "/dashboard?period=30d&browser=Firefox", "/dashboard?since=x"),
    *(
        "/dashboard/messages",
        "/dashboard/messages?tag=november",
        MESSAGE,
        "/dashboard/live",
        "/dashboard/routers",
        "/dashboard/losses",
        "/dashboard/take-backs",
        "/dashboard/watched",
        "/dashboard/webhooks",
        "/dashboard/webhook?id=hook-1",
        "/dashboard/people",
        "/check",
    ),
]
LOOKS = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark"), (2560, "light")]
BLOCKED = ("sandboxed", '"img-src data:"')  # what the mail itself wanted to run and load
PAYLOADS = [
    "<script>document.title='ran'</script>",
    "<img src=x onerror=\"document.title='ran'\">",
    '"><svg onload="document.title=\'ran\'">',
    "{{ 7 * 7 }}{% raw %}",
    "javascript:document.title='ran'",
    "'-alert(1)-'",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium():
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; run: apt-get install chromium")
    playwright = pytest.importorskip(
        "playwright.async_api", reason="playwright is not installed: pip install '.[browser]'"
    )
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def centre(tmp_path_factory):
    async with centre_with_pages(tmp_path_factory.mktemp("pages")) as (origin, store):
        yield origin, store


@asynccontextmanager
async def looking(chromium, origin, width=1280, scheme="light", **options):
    """Give a page that is signed in; nothing may go against the policy or into the console."""
    context = await chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, timezone_id="Europe/Berlin", **options
    )
    page = await context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    await page.add_init_script(NOTE_VIOLATIONS)
    await page.goto(f"{origin}/sign-in")
    await page.fill("#token", ALL)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#chart .u-over")
    try:
        yield page
        assert await page.evaluate("violations") == []
        assert [fault for fault in page.faults if not any(word in fault for word in BLOCKED)] == []
    finally:
        await context.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
async def test_every_page_fits_and_axe_finds_nothing(chromium, centre, width, scheme):
    if not AXE.is_file():
        pytest.skip("npm's axe-core is not in build/clients; 'make clients' installs it")
    origin, _ = centre
    async with looking(chromium, origin, width, scheme) as page:
        for path in PAGES:
            await page.goto(origin + path)
            await page.wait_for_load_state("load")
            session = await page.context.new_cdp_session(page)  # the page's own policy would not let it in
            await session.send("Runtime.evaluate", {"expression": AXE.read_text()})
            found = await session.send(
                "Runtime.evaluate",
                {
                    "expression": "axe.run(document, {iframes: false}).then(found => JSON.stringify("
                    "found.violations.map(one => [one.id, one.nodes.map(node => node.html).slice(0, 3)])))",
                    "awaitPromise": True,
                    "returnByValue": True,
                },
            )
            assert found["result"]["value"] == "[]", path
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


async def test_an_analyst_asks_by_clicking(chromium, centre):
    origin, _ = centre
    async with looking(chromium, origin) as page:
        await page.click("text=90 days")
        await page.click("a.value:has-text('Chrome')")
        await page.wait_for_selector(".chip")
        assert await page.inner_text(".chip") == "Browser: Chrome ×"
        assert await page.inner_text(".totals .big >> nth=0") == "4"
        await page.click("a.value.chosen")
        await page.wait_for_selector(".chip", state="detached")
        assert "period=90d" in page.url


async def test_a_drag_on_the_chart_zooms(chromium, centre):
    origin, _ = centre
    async with looking(chromium, origin) as page:
        box = await page.locator("#chart .u-over").bounding_box()
        await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
        await page.mouse.down()
        await page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=5)
        async with page.expect_navigation():
            await page.mouse.up()
        assert "period=custom" in page.url
        assert "since=20" in page.url


async def test_machines_can_be_hidden_and_stay_so(chromium, centre):
    origin, _ = centre
    async with looking(chromium, origin) as page:
        await page.uncheck("#machines")
        assert "machines=0" in page.url
        await page.reload()
        await page.wait_for_selector("#chart .u-over")
        assert not await page.is_checked("#machines")


async def test_the_keyboard_alone_is_enough(chromium, centre):
    origin, _ = centre
    async with looking(chromium, origin) as page:
        for key, word in (("q", "period=90d"), ("x", "compare=1"), ("ArrowLeft", "period=custom")):
            async with page.expect_navigation():
                await page.keyboard.press(key)
            assert word in page.url
        await page.goto(f"{origin}/dashboard?browser=Firefox")
        async with page.expect_navigation():
            await page.keyboard.press("Escape")
        assert "browser" not in page.url
        await page.keyboard.press("Shift+?")
        assert await page.is_visible("#keys")
        await page.keyboard.press("Escape")
        assert not await page.is_visible("#keys")
        before = page.url
        await page.keyboard.press("Alt+ArrowUp")
        assert page.url == before


async def test_the_click_map_stands_on_the_links_and_nothing_of_the_mail_runs(chromium, centre):
    origin, _ = centre
    asked = []
    async with looking(chromium, origin) as page:
        page.on("requestfinished", lambda request: asked.append(request.url))  # what was blocked never is
        await page.goto(origin + MESSAGE)
        await page.wait_for_selector("#badges text")
        texts = await page.locator("#badges text").all_text_contents()
        frame = page.frames[1]
        boxes = [await link.bounding_box() for link in await frame.locator("a").all()]
        drawn = [await one.bounding_box() for one in await page.locator("#badges rect:not(.label)").all()]

        assert texts == ["1", "1"]
        for link, badge in zip(boxes, drawn, strict=True):
            assert abs(link["x"] - badge["x"] - 2) < 2
            assert abs(link["y"] - badge["y"] - 2) < 2
        assert await page.title() == "Message · linkrouter"
        assert await frame.title() == ""
        assert {url.removeprefix(origin).partition("?")[0] for url in asked} <= {
            *("/dashboard/message", "/dashboard/mail", "/check/icon.svg"),
            *(
                f"/dashboard/static/{name}"
                for name in ("dashboard.css", "page.js", "click-map.js", "words.js", "keys.js", "refresh.js")
            ),
        }


async def test_clicks_are_seen_as_they_are_labelled_and_can_be_held(chromium, centre):
    origin, store = centre
    async with looking(chromium, origin) as page:
        await page.goto(f"{origin}/dashboard/live")
        await page.wait_for_function("document.getElementById('state').textContent.startsWith('Waiting')")
        await store.add_clicks([a_click("live", days_ago=0, agent=CHROME)])
        await label_all(store)
        await page.wait_for_selector("#clicks tbody tr")
        assert "a person" in await page.inner_text("#clicks tbody tr")
        await page.click("#pause")
        await store.add_clicks([a_click("held", days_ago=0, message=2)])
        await label_all(store)
        await page.wait_for_timeout(1500)
        assert await page.locator("#clicks tbody tr").count() == 1
        await page.click("#pause")
        await page.wait_for_function("document.querySelectorAll('#clicks tbody tr').length === 2")
        await page.goto(f"{origin}/dashboard")


async def test_figures_come_anew_each_minute_and_stay_with_their_age_when_central_does_not_answer(chromium, tmp_path):
    async with centre_with_pages(tmp_path) as (origin, store), looking(chromium, origin) as page:
        await page.clock.install()
        await page.goto(f"{origin}/dashboard?period=7d")
        await page.wait_for_selector("#chart .u-over")
        assert await page.inner_text(".totals .big >> nth=0") == "4"
        await store.add_clicks([a_click("new", days_ago=0.01, position=2)])
        await label_all(store)
        await page.locator(".boxes a.value").first.focus()
        await page.clock.fast_forward("01:01")
        await page.wait_for_selector(".totals .card:first-child data[value='5']")
        assert await page.evaluate("document.activeElement.matches('.boxes a.value')")
        assert await page.inner_text("#stale") == ""

        await page.route("**/dashboard?*", lambda route: route.abort())
        await page.clock.fast_forward("05:01")
        await page.wait_for_selector("#stale:not(:empty)")
        assert "central does not answer" in await page.inner_text("#stale")
        assert "5 minutes ago" in await page.inner_text("#age")
        assert (await page.inner_text(".totals .big >> nth=0")).startswith("5")

        await page.unroute("**/dashboard?*")
        await page.clock.fast_forward("00:11")
        await page.wait_for_selector("#stale:empty", state="attached")
        page.faults.clear()  # the console told of the request that was refused


async def test_figures_that_take_long_appear_by_themselves(chromium, centre, monkeypatch):
    origin, _ = centre
    async with looking(chromium, origin) as page:
        monkeypatch.setattr(cells, "MAX_AT_ONCE", 1)
        await page.goto(f"{origin}/dashboard?browser=Firefox")
        await page.wait_for_selector(".totals .card:first-child data[value='1']")
        await page.wait_for_selector("#chart .u-over")
        assert "whole" not in page.url
        assert not await page.locator("#pending").count()


async def test_figures_say_when_their_reader_is_signed_out(chromium, tmp_path):
    async with centre_with_pages(tmp_path) as (origin, _), looking(chromium, origin) as page:
        await page.clock.install()
        await page.goto(f"{origin}/dashboard/losses")
        await page.context.clear_cookies()
        await page.clock.fast_forward("01:01")
        await page.wait_for_selector("#stale:not(:empty)")
        assert "You are signed out" in await page.inner_text("#stale")
        assert await page.is_visible("table")


async def test_who_is_signed_in_checks_without_a_token(chromium, tmp_path):
    async with checking_centre(tmp_path, Tokens.of_callers(TOKENS)) as centre, looking(chromium, centre.origin) as page:
        await page.click("nav >> text=Check a mail")
        await page.wait_for_selector("#check:enabled")
        assert not await page.is_visible("#token")
        await page.fill("#content", "http:/oops.example/")
        await page.click("#check")
        await page.wait_for_selector("#banner[data-state=look], #banner[data-state=block], #banner[data-state=wait]")
        assert await page.is_visible("nav a[aria-current=page]")


async def test_nothing_hostile_runs_on_any_page(chromium, tmp_path):
    async with centre_with_pages(tmp_path, filled=False) as (origin, store):
        for number, payload in enumerate(PAYLOADS, 1):
            await store.add_message(
                a_message(
                    number,
                    tag=payload,
                    urls=[f"https://example.com/{payload}"],
                    recipient=payload,
                    metadata={"x": payload},
                )
            )
            await store.add_clicks([a_click(f"{number}", message=number, agent=f"{payload} Chrome/142.0")])
        await label_all(store)
        async with looking(chromium, origin) as page:
            for number, _ in enumerate(PAYLOADS, 1):
                for path in (
                    "/dashboard?period=all",
                    "/dashboard/messages",
                    f"/dashboard/message?id=mail-{number}@example.com",
                ):
                    await page.goto(origin + path)
                    await page.wait_for_load_state("load")
                    assert "ran" not in await page.title()
            for payload in PAYLOADS:
                await page.goto(f"{origin}/dashboard?period=all")
                await page.evaluate(
                    "payload => location.assign('/dashboard?' + new URLSearchParams({tag: payload, period: 'all'}))",
                    payload,
                )
                await page.wait_for_selector(".chip")
                assert payload in await page.inner_text(".chip")
                assert "ran" not in await page.title()
