"""`linkrouter demo`: everything on this machine, in one process, until Ctrl-C."""

import asyncio
import json
import secrets
import signal
import tempfile
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from linkrouter.link.keyring import Keyring

if TYPE_CHECKING:
    import httpx

__all__ = ["demo"]

POLL_S = 1.0
ANSWER_S = 30.0  # central's statistics take their time where three services share a small machine
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"  # a program's own would be a robot's


@click.command()
@click.option("--directory", type=click.Path(path_type=Path), help="Keep keys and clicks here instead of nowhere.")
@click.option("--empty", is_flag=True, help="Without the made-up history of 90 days.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after so long; by default at Ctrl-C.")
def demo(directory: Path | None, empty: bool, seconds: float | None) -> None:
    """Run router, sync and central on SQLite, rewrite a sample mail, and click one of its links."""
    import uvloop

    from linkrouter.log import start_logging

    start_logging(level=40)  # errors only: the story is told below
    with tempfile.TemporaryDirectory(prefix="linkrouter-demo-") as scratch:
        home = directory or Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        uvloop.run(_run_until_told(home, seconds, empty=empty))
    click.echo("Stopped.")


async def _run_until_told(home: Path, seconds: float | None, *, empty: bool) -> None:
    """Run until *seconds* are over, or until SIGINT or SIGTERM, and stop cleanly either way."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    running, waiting = asyncio.create_task(_run(home, seconds, empty=empty)), asyncio.create_task(told.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
    try:
        await running
    except asyncio.CancelledError:
        if not told.is_set():
            raise  # the router stopped by itself


async def _run(home: Path, seconds: float | None, *, empty: bool) -> None:
    import httpx

    from linkrouter.processes.demo import demo_settings, running_demo

    router, central = demo_settings(home)
    if not empty:
        click.echo("A history of 90 days is made up; this takes some seconds.\n")
    since = datetime.now(UTC)
    async with running_demo(router, central, empty=empty), httpx.AsyncClient(timeout=ANSWER_S) as client:
        paths = _rewrite_sample(home, f"http://{router.listen}")
        api_token = central.api_token_file.read_text().strip()
        headers = {"Authorization": f"Bearer {api_token}"}
        api = httpx.AsyncClient(base_url=f"http://{central.listen}", headers=headers, timeout=ANSWER_S)
        async with api:
            for line in (home / "manifest.jsonl").read_text().splitlines():
                (await api.post("/v1/messages", json=json.loads(line))).raise_for_status()
            await _click_one(client, paths[0])
            click.echo(f"\nLook at it on http://{central.listen}/dashboard; sign in with what this prints:")
            click.echo(f"  cat {central.api_token_file}")
            click.echo(f"\nThe statistics are at http://{central.listen}/v1/stats/clicks; ask them with")
            click.echo(
                f'  curl -H "Authorization: Bearer $(cat {central.api_token_file})" '
                f"http://{central.listen}/v1/stats/clicks\n"
            )
            click.echo(
                f"Check a mail before it is sent at http://{central.listen}/check; the page asks for that token.\n"
            )
            click.echo("Click links in a browser and watch the count. Ctrl-C stops.\n")
            await _watch(api, seconds, since)


def _rewrite_sample(home: Path, base_url: str) -> list[str]:
    """Rewrite the sample newsletter, write it and its manifest to *home*, and give the tracked links."""
    from linkrouter.encoder import Encoder
    from linkrouter.integrations.manifest import manifest_entry

    sample = files("linkrouter.cli").joinpath("newsletter.eml").read_bytes()
    done = Encoder(base_url, Keyring.load(home / "keys.json")).rewrite_message(sample)
    (home / "newsletter.eml").write_bytes(done.content)
    message_id = f"demo-{secrets.token_hex(6)}@garden.example"
    entry = manifest_entry(done.links, message_id, "reader@example.net", "november", message_key=done.message_key)
    (home / "manifest.jsonl").write_text(json.dumps(entry) + "\n")
    click.echo(f"A newsletter (HTML and text) was rewritten; {len(done.links)} links are tracked:\n")
    for link in done.links:
        click.echo(f"  {link.part:<4}  {link.url}\n     →  {link.tracked_url}\n")
    for skipped in done.skipped:
        click.echo(f"  {skipped.part:<4}  left alone: {skipped.reason}")
    return [link.tracked_url for link in done.links]


async def _click_one(client: "httpx.AsyncClient", url: str) -> None:
    answer = await client.get(url, headers={"User-Agent": BROWSER})
    click.echo(f"\nClicked the first one: {answer.status_code} → {answer.headers.get('location')}")


async def _watch(api: "httpx.AsyncClient", seconds: float | None, since: datetime) -> None:
    """Print central's count of the clicks *since* whenever it changes."""
    loop, asked = asyncio.get_running_loop(), {"since": f"{since:%Y-%m-%dT%H:%M:%SZ}"}
    ends = None if seconds is None else loop.time() + seconds
    shown = None
    while ends is None or loop.time() < ends:
        stats = (await api.get("/v1/stats/clicks", params=asked)).raise_for_status().json()
        if (count := (stats["total"], stats["unique"], stats["robots"]["total"])) != shown:
            click.echo(f"Clicks at central: {count[0]} by people (links clicked: {count[1]}), {count[2]} by machines.")
            shown = count
        await asyncio.sleep(POLL_S)
