"""A browser and a centre for the tests of the page; starting either for each test would take longer than the test."""

import pytest
import pytest_asyncio
from checker.api.browser import ARGUMENTS, CHROMIUM
from checker.api.centre import checking_centre
from processes import room


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
async def page_centre(tmp_path_factory):
    async with checking_centre(tmp_path_factory.mktemp("centre"), total_timeout=5.0 * room()) as running:
        yield running
