"""Chromium, the page of a centre opened in it, and what an author does there."""

import shutil
from contextlib import asynccontextmanager

from checker.api.centre import SENDER
from checker.servers import status

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
READY = "#check:enabled"
ENDED = "#banner:is([data-state=send], [data-state=look], [data-state=wait], [data-state=block])"
NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
"""


@asynccontextmanager
async def opened(chromium, centre, **options):
    """Open the page in a browser of its own; nothing may go against the policy, into the console or off the edge."""
    context = await chromium.new_context(**options)
    page = await context.new_page()
    page.faults, page.requests = [], []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: page.requests.append(request.url) if "icon" not in request.url else None)
    await page.add_init_script(NOTE_VIOLATIONS)
    await page.goto(f"{centre.origin}/check")
    await page.wait_for_selector(READY)
    page.requests.clear()
    try:
        yield page
        assert await page.evaluate("violations") == []
        assert page.faults == []
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    finally:
        await context.close()


async def by_path(request):
    return await status(int(request.path.split("/")[1]), **_headers(request))(request)


def _headers(request):
    return {"headers": {"Location": "/200/end"}} if request.path.startswith("/302") else {}


def newsletter(origin):
    return (
        f'<h1>News</h1>\n<p><a href="{origin}/200/a?b=1&amp;c=2">Our <b>sale</b></a></p>\n'
        f'<p><a href="{origin}/404/gone">Guide</a> <a href="{origin}/302/moved">Moved</a></p>\n'
        f'<p><a href="http:/oops.example/">Oops</a> <a href="{{{{unsubscribe}}}}">Leave</a></p>\n'
        f'<p><a href="{origin}/200/a?b=1&amp;c=2">Sale again</a> <a href="mailto:us@example.com">Write</a></p>\n'
    )


async def verdicts(page):
    """Give the URL and the verdict of every row."""
    rows = await page.locator(".link").all()
    return [(await row.locator("summary .url").inner_text(), await row.get_attribute("data-verdict")) for row in rows]


async def check(page, mail, token=SENDER):
    await page.fill("#token", token)
    await page.fill("#content", mail)
    await page.click("#check")
    await page.wait_for_selector(ENDED)


async def open_row(page, number=0):
    """Open a row; gives all that stands in it."""
    row = page.locator(".link").nth(number)
    await row.locator("summary").click()
    await row.locator(".more > *").first.wait_for()
    return await row.inner_text()
