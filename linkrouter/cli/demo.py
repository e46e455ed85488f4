"""`linkrouter demo`: everything on this machine, in one process, until Ctrl-C."""

import asyncio
import json
import secrets
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from linkrouter.link.keyring import Keyring
from linkrouter.settings import Address, CentralSettings, RouterSettings

if TYPE_CHECKING:
    import httpx

__all__ = ["demo"]

LOOPBACK = "127.0.0.1"
POLL_S = 1.0


@click.command()
@click.option("--directory", type=click.Path(path_type=Path), help="Keep keys and clicks here instead of nowhere.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop after so long; by default at Ctrl-C.")
def demo(directory: Path | None, seconds: float | None) -> None:
    """Run router, sync and centre on SQLite, rewrite a sample mail, and click one of its links."""
    import uvloop

    from linkrouter.observe import start_logging

    start_logging(level=40)  # errors only: the story is told below
    with tempfile.TemporaryDirectory(prefix="linkrouter-demo-") as scratch:
        home = directory or Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        uvloop.run(_run_until_told(home, seconds))
    click.echo("Stopped.")


async def _run_until_told(home: Path, seconds: float | None) -> None:
    """Run until *seconds* are over, or until SIGINT or SIGTERM, and stop cleanly either way."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    running, waiting = asyncio.create_task(_run(home, seconds)), asyncio.create_task(told.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
    try:
        await running
    except asyncio.CancelledError:
        if not told.is_set():
            raise  # the router stopped by itself


async def _run(home: Path, seconds: float | None) -> None:
    import httpx

    router, central = _settings(home)
    async with _running(router, central), httpx.AsyncClient(timeout=5) as client:
        paths = _rewrite_sample(home, f"http://{router.listen}")
        api = httpx.AsyncClient(
            base_url=f"http://{central.listen}",
            headers={"Authorization": f"Bearer {central.api_token_file.read_text().strip()}"},
        )
        async with api:
            for line in (home / "manifest.jsonl").read_text().splitlines():
                (await api.post("/v1/messages", json=json.loads(line))).raise_for_status()
            await _click_one(client, paths[0])
            click.echo(f"\nThe statistics are at http://{central.listen}/v1/stats/clicks; ask them with")
            click.echo(
                f'  curl -H "Authorization: Bearer $(cat {central.api_token_file})" '
                f"http://{central.listen}/v1/stats/clicks\n"
            )
            click.echo(
                f"Check a mail before it is sent at http://{central.listen}/check; the page asks for that token.\n"
            )
            click.echo("Click links in a browser and watch the count. Ctrl-C stops.\n")
            await _watch(api, seconds)


def _settings(home: Path) -> tuple[RouterSettings, CentralSettings]:
    """Make keys and tokens in *home* where there are none, and find free ports."""
    keys, ingest, api = home / "keys.json", home / "ingest-token", home / "api-token"
    if not keys.exists():
        Keyring.create().save(keys)
    for file in (ingest, api):
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(32) + "\n")
    listen, admin, centre = (Address(LOOPBACK, _free_port(port)) for port in (8080, 9080, 8090))
    return (
        RouterSettings(
            keys=keys,
            listen=listen,
            admin_listen=admin,
            click_store=f"sqlite:///{home.resolve() / 'spool'}",
            ingest_url=f"http://{centre}",
            ingest_token_file=ingest,
            router_id="demo",
            drain_ms=0,
        ),
        CentralSettings(
            listen=centre,
            database=f"sqlite:///{home.resolve() / 'central.db'}",
            ingest_token_file=ingest,
            api_token_file=api,
        ),
    )


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError:
            probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def _running(router: RouterSettings, central: CentralSettings) -> AsyncIterator[None]:
    """Run both until the block ends, the router first to stop so that the centre still takes its last clicks."""
    from linkrouter.central.app import create_app, serving
    from linkrouter.central.routes import ROUTES
    from linkrouter.central.store import open_central_store
    from linkrouter.central.tokens import Tokens
    from linkrouter.cli.central import with_checks
    from linkrouter.cli.router import serve

    store = open_central_store(central.database)
    await store.open()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        checks = await stack.enter_async_context(with_checks(central))
        tokens = Tokens.load(central.ingest_token_file, central.api_token_file)
        app = create_app(store, tokens, (*ROUTES, *checks.routes), checks.files)
        await stack.enter_async_context(serving(app, central.listen))
        stop, main = asyncio.Event(), asyncio.current_task()
        routing = asyncio.create_task(serve(router, stop=stop))
        routing.add_done_callback(lambda _: None if stop.is_set() or main is None else main.cancel())
        try:
            await _until_ready(router.listen)
            yield
        finally:
            stop.set()
            await routing


async def _until_ready(listen: Address) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(listen.host, listen.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def _rewrite_sample(home: Path, base_url: str) -> list[str]:
    """Rewrite the sample newsletter, write it and its manifest to *home*, and give the tracked links."""
    from linkrouter.cli.encode import manifest_entry
    from linkrouter.encoder import Encoder

    sample = files("linkrouter.cli").joinpath("newsletter.eml").read_bytes()
    done = Encoder(base_url, Keyring.load(home / "keys.json")).rewrite_message(sample)
    (home / "newsletter.eml").write_bytes(done.content)
    entry = manifest_entry(done.links, f"demo-{secrets.token_hex(6)}@garden.example", "reader@example.net", "november")
    (home / "manifest.jsonl").write_text(json.dumps(entry) + "\n")
    click.echo(f"A newsletter (HTML and text) was rewritten; {len(done.links)} links are tracked:\n")
    for link in done.links:
        click.echo(f"  {link.part:<4}  {link.url}\n     →  {link.tracked_url}\n")
    for skipped in done.skipped:
        click.echo(f"  {skipped.part:<4}  left alone: {skipped.reason}")
    return [link.tracked_url for link in done.links]


async def _click_one(client: "httpx.AsyncClient", url: str) -> None:
    answer = await client.get(url)
    click.echo(f"\nClicked the first one: {answer.status_code} → {answer.headers.get('location')}")


async def _watch(api: "httpx.AsyncClient", seconds: float | None) -> None:
    """Print the centre's count of clicks whenever it changes."""
    loop = asyncio.get_running_loop()
    ends = None if seconds is None else loop.time() + seconds
    shown = None
    while ends is None or loop.time() < ends:
        stats = (await api.get("/v1/stats/clicks")).raise_for_status().json()
        if (count := (stats["total"], stats["unique"])) != shown:
            click.echo(f"The centre has {count[0]} clicks on {count[1]} links.")
            shown = count
        await asyncio.sleep(POLL_S)
