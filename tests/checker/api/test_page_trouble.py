"""The page when something goes wrong: tokens, connections, mails that are refused or hostile."""

import asyncio

import pytest
from checker.api.browser import by_path, check, open_row, opened, verdicts
from checker.api.centre import SENDER
from checker.servers import site, status

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_wrong_token_is_said_beside_its_field(chromium, page_centre):
    async with opened(chromium, page_centre) as page:
        await page.fill("#content", "https://a.example/")
        await page.click("#check")
        without = await page.inner_text("#token-error")
        await page.fill("#token", "wrong-token-0123456789")
        await page.click("#check")
        await page.wait_for_selector("#token-error:has-text('not known')")

        assert without.startswith("A check needs a token.")
        assert await page.evaluate("document.activeElement.id") == "token"
        assert await page.get_attribute("#token", "aria-invalid") == "true"
        assert await page.evaluate("sessionStorage.length") == 0
        page.faults.clear()  # the console notes the 401 itself


async def test_a_lost_connection_is_taken_up_where_it_broke(chromium, page_centre):
    async with site(by_path) as (origin, _), opened(chromium, page_centre) as page:
        resumed = []

        async def cut_once(route):
            resumed.append(route.request.headers["last-event-id"])
            if len(resumed) > 1:
                return await route.continue_()
            answer = await route.fetch()
            first, _, _ = (await answer.text()).partition("id: 2\n")
            return await route.fulfill(response=answer, body=first)

        await page.route("**/events", cut_once)
        await check(page, f"{origin}/200/a {origin}/200/b {origin}/404/c")

        assert resumed == ["0", "1"]
        assert sorted(verdict for _, verdict in await verdicts(page)) == ["broken", "fine", "fine"]


async def test_nothing_that_a_mail_says_becomes_markup(chromium, page_centre):
    evil = '<a href="https://a.example/?q=&lt;img src=x onerror=alert(1)&gt;">&lt;script&gt;alert(1)&lt;/script&gt;</a>'
    async with opened(chromium, page_centre) as page:
        await check(page, evil)
        row = await open_row(page)

        assert await page.locator("#result img, #result script").count() == 0
        assert "<script>alert(1)</script>" in row


async def test_editing_a_mail_ends_its_check(chromium, page_centre):
    release = asyncio.Event()

    async def slow(request):
        await release.wait()
        return await status(200)(request)

    async with site(slow) as (origin, _), opened(chromium, page_centre) as page:
        await page.fill("#token", SENDER)
        await page.fill("#content", f"{origin}/old")
        await page.click("#check")
        await page.wait_for_selector("[data-verdict=waiting]")
        await page.fill("#content", f"{origin}/new")
        await page.wait_for_selector("[data-verdict=unseen]")
        release.set()

        assert await verdicts(page) == [(f"{origin}/new", "unseen")]
        assert await page.locator("#progress").is_hidden()
        assert await page.inner_text("#headline") == "1 link found"


async def test_a_server_that_is_gone_is_said_and_can_be_tried_again(chromium, page_centre):
    async with site(by_path) as (origin, _), opened(chromium, page_centre) as page:
        await page.route("**/v1/checks", lambda route: route.abort())
        await check(page, f"{origin}/200/a")
        gone = await page.inner_text("#banner")
        page.faults.clear()  # the console notes it itself
        await page.unroute("**/v1/checks")
        await page.click("#check")
        await page.wait_for_selector("[data-verdict=fine]")

        assert "The server cannot be reached. Try again." in gone


async def test_a_mail_that_is_refused_is_said_beside_it(chromium, page_centre):
    async with opened(chromium, page_centre) as page:
        await page.fill("#token", SENDER)
        many = "\n".join(f"https://a.example/{number}" for number in range(10_001)).encode()
        await page.set_input_files("#file", files=[{"name": "many.txt", "mimeType": "text/plain", "buffer": many}])
        await page.wait_for_selector(".link")
        await page.click("#check")
        await page.wait_for_selector("#content-error:has-text('at most 10000')")
        page.faults.clear()  # the console notes the 422 itself

        assert await page.evaluate("document.activeElement.id") == "remove"
        assert await page.locator("#result").is_hidden()
