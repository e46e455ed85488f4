"""What the page makes of a result: the worst first, the picture of the mail, one link again, what changed, lists."""

import csv
import io

import pytest
from aiohttp import web
from checker.api.browser import ENDED, check, opened, verdicts
from checker.api.centre import checking_centre
from checker.servers import site

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Site:
    """A site whose answers a test may change; 200 to all else."""

    def __init__(self):
        self.statuses = {}

    async def __call__(self, request):
        return web.Response(status=self.statuses.get(request.path, 200))


@pytest.mark.parametrize(
    ("statuses", "headline", "says"),
    [
        ([200], "This mail may be sent", "Every link in it works."),
        ([200, 999], "Look at one link yourself", "Otherwise this mail may be sent."),
        ([200, 999, 404], "One link does not work", "nothing else holds the mail"),
        ([404, 410], "2 links do not work", "Correct them, then check again"),
        ([], "There is no link in this mail", "see what it was read as"),
    ],
)
async def test_the_headline_says_the_worst_first(chromium, page_centre, statuses, headline, says):
    answers = Site()
    answers.statuses = {f"/{number}": number for number in statuses}
    async with site(answers) as (origin, _), opened(chromium, page_centre) as page:
        await check(page, "hello " + " ".join(f"{origin}/{number}" for number in statuses))

        assert await page.inner_text("#headline") == headline
        assert says in await page.inner_text("#explanation")
        assert await page.inner_text("#read-as") == (
            f"Read as plain text: {len(statuses)} link{'' if len(statuses) == 1 else 's'}."
        )


# How far the mark of the broken link is from the link itself, in pixels.
DISTANCE = """() => {
    const frame = document.querySelector("#picture iframe");
    const mark = document.querySelector("#picture .mark[data-verdict=broken]").getBoundingClientRect();
    const link = frame.contentDocument.querySelector("a").getClientRects()[0];
    const around = frame.getBoundingClientRect(), scale = around.width / 640;
    return Math.hypot(around.x + link.x * scale - mark.x, around.y + link.y * scale - mark.y);
}"""
MAIL = """<html><head><style>h1 {{ color: #064 }} @import url({o}/leak.css);</style>
<link rel="prefetch" href="{o}/leak1"><meta http-equiv="refresh" content="0;url={o}/leak2"><base href="{o}/leak3/">
<script>parent.evil = 1</script></head>
<body background="{o}/img/c.png"><h1>News</h1><p style="background:url({o}/img/d.png)">Read <a href="{o}/404">our long
guide</a> and <a href="{o}/200">more</a>, or <a href="{{{{leave}}}}">leave</a>.</p>
<img src="{o}/img/a.png" width="80" height="40" alt="A"><img src="{o}/img/b.png" onerror="parent.evil = 2">
<iframe src="{o}/leak6"></iframe><form action="{o}/leak7"><button>x</button></form><svg><image href="{o}/leak8"/></svg>
<a href="{o}/200" onclick="parent.evil = 3"><img src="{o}/img/a.png" alt="A again"></a></body></html>"""


async def test_the_mail_is_drawn_with_marks_where_its_links_are_and_nothing_of_it_runs_or_is_fetched(
    chromium, page_centre
):
    answers = Site()
    answers.statuses = {"/404": 404}
    async with site(answers) as (origin, seen), opened(chromium, page_centre) as page:
        await check(page, MAIL.format(o=origin))
        await page.locator(".mark[data-verdict=broken]").first.wait_for()
        frame = page.frames[1]
        marks = await page.eval_on_selector_all("#picture .mark", "all => all.map((each) => each.dataset.verdict)")
        styled = await frame.eval_on_selector("h1", "h1 => getComputedStyle(h1).color")
        left = await frame.eval_on_selector_all("script, link, meta, base, iframe", "all => all.length")
        evil = await page.evaluate("window.evil")
        away = await page.evaluate(DISTANCE)
        await page.locator("#links .link .reveal").first.click()
        chosen = await page.locator(".mark.chosen").count()
        page.faults.clear()  # the browser notes what its policy stopped

    assert sorted(set(marks)) == ["broken", "fine", "skipped"]
    assert styled == "rgb(0, 102, 68)"
    assert (left, evil) == (0, None)
    assert away < 2
    assert chosen >= 1
    assert [url for url in page.requests if not url.startswith((page_centre.origin, "data:"))] == []
    assert not [path for _, path in seen if path.startswith("/leak")]  # what the server checks are links and images


async def test_a_row_opens_to_a_picture_or_the_line_where_the_link_stands(chromium, page_centre):
    async with site(Site()) as (origin, _), opened(chromium, page_centre) as page:
        await check(page, f'<p>Dear reader</p><a href="{origin}/a">here</a>')
        await page.locator("#links summary").first.click()
        await page.locator("#links .clip .mark.chosen").wait_for()
        await check(page, f"Dear reader,\nsee {origin}/b today.\nYours")
        await page.locator("#links summary").first.click()
        excerpt = await page.inner_text("#links .excerpt")

    assert excerpt == f"Dear reader,\nsee {origin}/b today.\nYours"


async def test_one_link_is_checked_again_and_the_whole_mail_judged_anew(chromium, page_centre):
    answers = Site()
    answers.statuses = {"/a": 404}
    async with site(answers) as (origin, seen), opened(chromium, page_centre) as page:
        await check(page, f'<a href="{origin}/a">one</a> <a href="{origin}/b">other</a>')
        before = await page.inner_text("#headline")
        names = [await each.get_attribute("aria-label") for each in await page.locator("#links .again").all()]
        answers.statuses.clear()
        others = [path for _, path in seen].count("/b")
        await page.locator("#links .link:has-text('one') .again").click()
        await page.locator("#links .link[data-verdict=fine]:has-text('one')").wait_for()
        await page.locator("#headline:has-text('may be sent')").wait_for()
        live = await page.inner_text("#live")
        changes = await page.inner_text("#changes")

    assert names == ["Check again: one", "Check again: other"]
    assert before == "One link does not work"
    assert changes == "Since your last check: 1 fixed."
    assert f"{origin}/a is fine." in live
    assert [path for _, path in seen].count("/b") == others


async def test_pasting_again_shows_what_changed(chromium, page_centre):
    answers = Site()
    answers.statuses = {"/typo": 404, "/down": 500, "/lost": 410}
    async with site(answers) as (origin, _), opened(chromium, page_centre) as page:
        links = ("a", "b", "c", "typo", "down", "lost")
        await check(page, "".join(f'<a href="{origin}/{name}">{name}</a>\n' for name in links))
        assert await page.locator("#changes").is_hidden()
        del answers.statuses["/down"]
        answers.statuses["/c"] = 404
        mail = "".join(f'<a href="{origin}/{name}">{name}</a>\n' for name in ("a", "b", "c", "right", "down", "lost"))
        await page.fill("#content", mail)
        await page.wait_for_selector("[data-verdict=unseen], .link")
        await page.click("#check")
        await page.wait_for_selector("#changes:not([hidden])")
        said = await page.inner_text("#changes")
        marked = {
            (await row.locator(".text").inner_text()): await row.locator(".change").inner_text()
            for row in await page.locator("#links .link:not([data-change=''])").all()
        }

    assert said == "Since your last check: 1 fixed, 1 corrected or taken out, 1 new, 1 as bad as before."
    assert marked == {"down": "fixed", "right": "new", "lost": "as before"}


async def test_the_list_can_be_taken_away(chromium, page_centre):
    answers = Site()
    answers.statuses = {"/404": 404}
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    async with site(answers) as (origin, _), opened(chromium, page_centre, **options) as page:
        await check(
            page, f'<a href="{origin}/404?a,b">=SUM(1) | *x*</a><a href="{origin}/b">b</a><img src="{origin}/i.png">'
        )
        saved = {}
        for button in ("save-csv", "save-markdown"):
            async with page.expect_download() as download:
                await page.click(f"#{button}")
            path = await (await download.value).path()
            saved[button] = path.read_text("utf-8")
        await page.click("#copy")
        await page.locator("#copy:has-text('Copied')").wait_for()
        copied = await page.evaluate("navigator.clipboard.readText()")

    rows = list(csv.reader(io.StringIO(saved["save-csv"])))
    assert [row[:4] for row in rows] == [
        ["kind", "verdict", "url", "text or alt"],
        ["link", "broken", f"{origin}/404?a,b", "'=SUM(1) | *x*"],
        ["link", "fine", f"{origin}/b", "b"],
        ["image", "fine", f"{origin}/i.png", ""],
    ]
    assert copied == saved["save-markdown"]
    assert f"- [ ] **broken** “=SUM(1) | \\*x\\*” <{origin}/404?a,b> – not found (404)" in copied.splitlines()


async def test_images_are_reported_apart_with_the_alternative_text_they_lack(chromium, page_centre):
    answers = Site()
    answers.statuses = {"/lost.png": 404}
    async with site(answers) as (origin, _), opened(chromium, page_centre) as page:
        page_of = f'<a href="{origin}/a">a</a><img src="{origin}/lost.png" alt="A"><img src="{origin}/b.png">'
        await check(page, page_of + f'<img src="{origin}/c.png" alt="">')
        summary = await page.inner_text("#image-summary")
        images = await page.locator("#images .link").all()
        told = [(await each.get_attribute("data-verdict"), await each.locator(".why").inner_text()) for each in images]
        headline, state = await page.inner_text("#headline"), await page.get_attribute("#banner", "data-state")

    assert summary == ("1 of 3 does not load. 1 has no alternative text: a reader who sees no images is told nothing.")
    assert told == [
        ("broken", "not found (404)"),
        ("fine", "answers; no alternative text"),
        ("fine", "answers"),
    ]
    assert (headline, state) == ("This mail may be sent", "look")


async def test_campaign_parameters_are_a_table_in_which_a_slip_shows(chromium, page_centre):
    async with site(Site()) as (origin, _), opened(chromium, page_centre) as page:
        tags = [f"utm_source=news&amp;utm_campaign={name}" for name in ("winter", "wniter", "winter")]
        links = "".join(f'<a href="{origin}/{n}?{tag}">link {n}</a>' for n, tag in enumerate(tags))
        await check(page, links + f'<a href="{origin}/plain">plain</a>')
        head = await page.locator("#utm th").all_inner_texts()
        rows = [await row.locator("td").all_inner_texts() for row in await page.locator("#utm tbody tr").all()]
        summary = await page.inner_text("#utm-summary")
        await check(page, f'<a href="{origin}/plain">plain</a>')
        hidden = await page.locator("#utm-section").is_hidden()

    assert head == ["Link", "source", "campaign"]
    assert ["link 1", "news", "wniter (unlike the others)"] in rows
    assert ["link 0", "news", "winter"] in rows
    assert summary == "3 of 4 web links have them. The other one is not listed."
    assert hidden


async def test_what_was_known_already_says_since_when(chromium, tmp_path):
    async with site(Site()) as (origin, seen), checking_centre(tmp_path) as centre, opened(chromium, centre) as page:
        await check(page, f"see {origin}/a")
        first = await page.inner_text("#links .why")
        await check(page, f"see {origin}/a again")
        await page.locator("#links .why:has-text('known from')").wait_for()
        again = await page.inner_text("#links .why")

    assert first == "answers"
    assert again == "answers, known from your check just now"
    assert len({method for method, _ in seen}) == len(seen)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ('<mjml><mj-body><mj-button href="{o}/a">Go</mj-button></mj-body></mjml>', "Read as MJML: 1 link."),
        ("# News\n\n[go]({o}/a)", "Read as Markdown: 1 link."),
        ('<rss version="2.0"><channel><link>{o}/a</link></channel></rss>', "Read as a feed: 1 link."),
        ("# ours\n{o}/a\n", "Read as a list of URLs: 1 link."),
        ("Update: we moved to {o}/a\n\nbye", "Read as plain text: 1 link."),
    ],
)
async def test_every_kind_is_read_and_told(chromium, page_centre, source, says):
    async with site(Site()) as (origin, _), opened(chromium, page_centre) as page:
        await check(page, source.format(o=origin))
        await page.wait_for_selector(ENDED)

        assert await page.inner_text("#read-as") == says
        assert await verdicts(page) == [(f"{origin}/a", "fine")]
