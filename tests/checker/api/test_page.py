"""The page, used in a real browser the way an author uses it: by mouse, by keyboard alone, on a telephone."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from checker.api.browser import ENDED, READY, by_path, check, newsletter, open_row, opened, verdicts
from checker.api.centre import SENDER, checking_centre
from checker.reputation.lists import rbldnsd
from checker.servers import site

from linkrouter.checker.mail.extract import extract
from linkrouter.settings import Address

CASES = json.loads((Path(__file__).parents[1] / "mail/malformed-cases.json").read_text("utf-8"))
RULES = json.loads((Path(__file__).parents[3] / "linkrouter/checker/mail/rules.json").read_text("utf-8"))

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_author_watches_each_link_get_its_verdict(chromium, page_centre):
    async with site(by_path) as (origin, _), opened(chromium, page_centre) as page:
        await check(page, newsletter(origin))

        assert await verdicts(page) == [
            (f"{origin}/404/gone", "broken"),
            ("http:/oops.example/", "malformed"),
            (f"{origin}/200/a?b=1&c=2", "fine"),
            (f"{origin}/302/moved", "fine"),
            ("mailto:us@example.com", "fine"),
            ("{{unsubscribe}}", "skipped"),
        ]
        assert await page.inner_text("#headline") == "2 links do not work"
        assert await page.inner_text("#explanation") == (
            "6 links: 1 broken, 1 malformed, 3 fine, 1 skipped. "
            "Correct them, then check again; nothing else holds the mail."
        )
        assert await page.inner_text("#read-as") == "Read as HTML: 6 links."
        assert "2 links do not work." in await page.inner_text("#live")


async def test_a_row_opens_to_its_places_its_way_and_what_to_do(chromium, page_centre):
    async with site(by_path) as (origin, _), opened(chromium, page_centre) as page:
        await check(page, newsletter(origin))
        first, broken, moved = [await open_row(page, number) for number in (2, 0, 3)]

    assert "HTML part, line 2: Our sale" in first
    assert "HTML part, line 5: Sale again" in first
    assert "not found (404)\nCorrect the link, or take it out." in broken
    assert "Open it in a new tab" in broken
    assert "after a redirect" in moved
    assert "GET 302" in moved
    assert f"{origin}/200/end" in moved


async def test_the_first_look_finds_malformed_links_without_a_request(chromium, page_centre):
    async with opened(chromium, page_centre) as page:
        await page.fill("#content", newsletter("https://good.example"))
        await page.wait_for_selector(".link")

        assert [verdict for _, verdict in await verdicts(page)] == [
            *("unseen", "unseen", "unseen", "malformed", "skipped", "unseen")
        ]
        assert await page.inner_text("#headline") == "6 links found"
        assert "One is malformed: correct it first." in await page.inner_text("#explanation")
        assert page.requests == []


async def test_the_browser_and_the_server_find_the_same_malformed(chromium, page_centre):
    async with opened(chromium, page_centre) as page:
        found = await page.evaluate(
            """async ([table, cases]) => {
                const { compileRules, findMalformed } = await import("/check/malformed.js");
                const rules = compileRules(table);
                return cases.map(([url]) => findMalformed(rules, url)?.name ?? null);
            }""",
            [RULES, CASES],
        )

    assert found == [name for _, name in CASES]


async def test_a_message_file_is_read_in_the_browser_as_on_the_server(chromium, page_centre):
    async with site(by_path) as (origin, _), opened(chromium, page_centre) as page:
        head, plain, html = (
            'From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="=_x"\r\n',
            "Content-Type: text/plain\r\n",
            "Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        )
        link = f'<a href=3D"{origin}/200/=\r\nb=E4r">b=E4r</a>'
        message = (
            f"{head}\r\n--=_x\r\n{plain}\r\nsee {origin}/200/plain.\r\n--=_x\r\n{html}\r\n{link}\r\n--=_x--\r\n"
        ).encode()
        file = {"name": "news.eml", "mimeType": "message/rfc822", "buffer": message}
        await page.set_input_files("#file", files=[file])
        await page.wait_for_selector(".link")
        seen = [url for url, _ in await verdicts(page)]
        await page.fill("#token", SENDER)
        await page.click("#check")
        await page.wait_for_selector(ENDED)

        assert seen == [url for url, _ in await verdicts(page)] == [f"{origin}/200/plain", f"{origin}/200/bär"]
        assert {verdict for _, verdict in await verdicts(page)} == {"fine"}
        assert "news.eml, 1 KB" in await page.inner_text("#file-card")
        await page.click("#remove")
        assert await page.locator("#content").is_visible()


async def test_the_first_look_finds_nearly_all_links_of_real_mail(chromium, page_centre, corpus):
    messages = [path.read_bytes() for path in sorted((corpus / "messages").rglob("*.eml"))]
    wanted = [{link.url for link in extract(raw) if link.url} for raw in messages]
    async with opened(chromium, page_centre) as page:
        found = await page.evaluate(
            """async (messages) => {
                const { findLinks } = await import("/check/mail.js");
                const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
                return messages.map((text) => findLinks(bytes(text), "message").map(({ url }) => url));
            }""",
            [b64encode(raw).decode() for raw in messages],
        )

    hits = sum(len(urls & set(seen)) for urls, seen in zip(wanted, found, strict=True))
    assert hits > 0.98 * sum(map(len, wanted))


async def test_a_dropped_file_is_taken(chromium, page_centre):
    async with opened(chromium, page_centre) as page:
        await page.evaluate(
            """() => {
                const dataTransfer = new DataTransfer();
                dataTransfer.items.add(new File(['<a href="https://a.example/">a</a>'], "mail.html"));
                document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
            }"""
        )
        await page.wait_for_selector(".link")

        assert await verdicts(page) == [("https://a.example/", "unseen")]


async def test_what_is_pasted_from_a_mail_program_keeps_its_links(chromium, page_centre):
    async with opened(chromium, page_centre) as page:
        await page.evaluate(
            """() => {
                const clipboardData = new DataTransfer();
                clipboardData.setData("text/html", '<b>See</b> <a href="https://a.example/">this</a>');
                clipboardData.setData("text/plain", "See this");
                const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
                document.getElementById("content").dispatchEvent(event);
            }"""
        )
        await page.wait_for_selector(".link")

        assert await verdicts(page) == [("https://a.example/", "unseen")]


async def test_the_keyboard_alone_is_enough(chromium, page_centre):
    async with site(by_path) as (origin, _), opened(chromium, page_centre) as page:
        keys = page.keyboard
        focused = "document.activeElement.id || document.activeElement.tagName"
        order = []
        for text in (SENDER, None, None, f"{origin}/404/x {origin}/200/y"):
            await keys.press("Tab")
            order.append(await page.evaluate(focused))
            if text:
                await keys.type(text)
        await keys.press("Control+Enter")
        await page.wait_for_selector(ENDED)
        for _ in range(7):
            await keys.press("Tab")
            order.append(await page.evaluate(focused))
            if order[-1] == "INPUT":
                await keys.press("ArrowRight")
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        await keys.press("Enter")

        await page.locator(".link:not(.calm) .more > *").first.wait_for()

        assert order == [
            *("token", "forget", "kind", "content", "check", "choose"),
            *("INPUT", "copy", "save-csv", "save-markdown", "SUMMARY"),
        ]
        assert outline != "none"
        assert "text part, line 1" in await page.inner_text(".link:not(.calm)")
        assert await page.locator(".link.calm").is_hidden()


async def test_the_browser_remembers_for_a_while_and_forgets_when_told(chromium, page_centre):
    async with site(by_path) as (origin, _), opened(chromium, page_centre) as page:
        mail = f"{origin}/200/a {origin}/404/b"
        await check(page, mail)
        await page.reload()
        await page.wait_for_selector(READY)
        page.requests.clear()
        kept = await page.input_value("#token")
        await page.fill("#content", f"{mail} ")
        await page.wait_for_selector(".link")
        remembered = await verdicts(page)
        why = await page.inner_text(".link .why")
        requests = list(page.requests)
        await page.click("#forget")
        stored = await page.evaluate("[sessionStorage.length, localStorage.length]")
        await page.fill("#content", mail)
        await page.wait_for_selector("[data-verdict=unseen]")

        assert kept == SENDER
        assert [verdict for _, verdict in remembered] == ["fine", "broken"]
        assert "just now" in why
        assert requests == []
        assert stored == [0, 0]
        assert {verdict for _, verdict in await verdicts(page)} == {"unseen"}


async def test_a_listed_link_blocks_and_is_named(chromium, tmp_path):
    zone = [":127.0.1.4:phishing", "listed.example", "dbltest.com"]
    with rbldnsd(dbl_test=zone) as server:
        settings = {"reputation": ("dbl",), "dns_server": Address(*server), "dbl_zone": "dbl.test"}
        async with checking_centre(tmp_path, **settings) as centre, opened(chromium, centre) as page:
            await check(page, "https://listed.example/offer")

            assert await page.inner_text("#headline") == "Do not send this mail"
            assert "https://listed.example/offer" in await page.inner_text("#held")
            assert await verdicts(page) == [("https://listed.example/offer", "flagged")]
            row = await open_row(page)
            assert "dbl on listed.example: listed" in row
            assert "Open it in a new tab" not in row


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_telephone_in_every_state(chromium, page_centre, scheme):
    options = {"viewport": {"width": 360, "height": 640}, "color_scheme": scheme, "reduced_motion": "reduce"}
    async with site(by_path) as (origin, _), opened(chromium, page_centre, **options) as page:
        width = "document.documentElement.scrollWidth"
        widths = [await page.evaluate(width)]
        long_url = f"{origin}/404/{'long' * 100}"
        await page.fill("#token", SENDER)
        await page.fill("#content", f"{newsletter(origin)}<a href={long_url}>{'word' * 40}</a>")
        await page.wait_for_selector(".link")
        widths.append(await page.evaluate(width))
        await page.click("#check")
        await page.wait_for_selector(ENDED)
        for row in await page.locator(".link summary").all():
            await row.click()
        widths.append(await page.evaluate(width))
        moving = await page.evaluate("document.getAnimations().length")

    assert widths == [360, 360, 360]
    assert moving == 0
