"""Take README's pictures: the demo's history in Chromium. `python tests/pictures.py FOLDER`

What is shown is made up with a fixed seed, so that a picture changes when the pages do.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from checker.api.browser import ARGUMENTS, CHROMIUM

from linkrouter.processes.demo import demo_settings, running_demo

SHOWN = {
    "overview": "/dashboard?period=90d",
    "click-map": "/dashboard/message?id=36-13@garden.example&tenant=0",
    "messages": "/dashboard/messages?tag=newsletter",
}


async def take(folder: Path) -> None:
    from playwright.async_api import async_playwright

    with tempfile.TemporaryDirectory() as scratch:
        router, central = demo_settings(Path(scratch))
        async with running_demo(router, central, empty=False), async_playwright() as driver:
            await asyncio.sleep(5)  # until it is labelled
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = await browser.new_page(viewport={"width": 1280, "height": 860})
            await page.goto(f"http://{central.listen}/sign-in")
            await page.fill("#token", central.api_token_file.read_text().strip())
            await page.keyboard.press("Enter")
            await page.wait_for_selector("#chart .u-over")
            for name, path in SHOWN.items():
                await page.goto(f"http://{central.listen}{path}")
                await page.wait_for_timeout(1000)
                await page.screenshot(path=folder / f"{name}.png")
            await browser.close()


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1])))
