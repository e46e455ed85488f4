"""The process: it starts or says why not, stops when told, and tells its log nothing."""

import asyncio
import gzip
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx
import pytest
from processes import HANG_S

from linkrouter.errors import SettingsError
from linkrouter.processes.central import run_central
from linkrouter.settings import Address, CentralSettings

ROUTER, SENDER, CANARY = "router-token-0123456789", "sender-token-0123456789", "canary7f3a"
PROGRAM = """
import sys
import uvloop
from pathlib import Path
from linkrouter.processes.central import run_central
from linkrouter.log import start_logging
from linkrouter.settings import Address, CentralSettings
start_logging(sys.stdout)
folder = Path(sys.argv[1])
uvloop.run(run_central(CentralSettings(
    listen=Address("127.0.0.1", 0), admin_listen=Address("127.0.0.1", 0), database=f"sqlite:///{folder}/central.db",
    ingest_token_file=folder / "ingest", api_token_file=folder / "api",
)))
"""


def write_token(path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text + "\n")


@pytest.fixture
def config(tmp_path) -> CentralSettings:
    write_token(tmp_path / "ingest", ROUTER)
    write_token(tmp_path / "api", SENDER)
    return CentralSettings(
        listen=Address("127.0.0.1", 0),
        admin_listen=Address("127.0.0.1", 0),
        database=f"sqlite:///{tmp_path}/central.db",
        ingest_token_file=tmp_path / "ingest",
        api_token_file=tmp_path / "api",
    )


@asynccontextmanager
async def process(folder):
    """Run the centre in a process of its own; give it, a client, and the lines it has logged so far."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        line = json.loads(await asyncio.wait_for(started.stdout.readline(), HANG_S))
        assert line["event"] == "central.started"
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{line['port']}", trust_env=False, verify=False, timeout=HANG_S
        ) as client:
            yield started, client
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def stopped(started) -> list[dict]:
    """Wait for the end after a signal; give what was logged."""
    rest = await asyncio.wait_for(started.stdout.read(), HANG_S)
    assert await started.wait() == 0
    return [json.loads(line) for line in rest.splitlines()]


async def test_ends_with_0_on_sigterm_and_keeps_what_it_took(config, tmp_path, click):
    async with process(tmp_path) as (started, client):
        taken = await client.post("/v1/clicks", json={"router": "ams", "clicks": [click()]}, headers=bearer(ROUTER))
        started.send_signal(signal.SIGTERM)
        lines = await stopped(started)

    async with process(tmp_path) as (started, client):
        again = await client.post("/v1/clicks", json={"router": "ams", "clicks": [click()]}, headers=bearer(ROUTER))

    assert taken.json() == {"stored": 1, "duplicates": 0}
    assert [line["event"] for line in lines] == ["central.stopped"]
    assert again.json() == {"stored": 0, "duplicates": 1}


async def test_what_it_acknowledged_outlives_a_kill(config, tmp_path, click):
    async with process(tmp_path) as (started, client):
        clicks = [click(f"id-{n}") for n in range(500)]
        await client.post("/v1/clicks", json={"router": "ams", "clicks": clicks}, headers=bearer(ROUTER))
        started.kill()
        await started.wait()

    async with process(tmp_path) as (started, client):
        stats = await client.get("/v1/stats/clicks", headers=bearer(SENDER))

    assert stats.json()["total"] == 500


async def test_a_request_in_flight_is_answered_before_the_end(config, tmp_path, click):
    async with process(tmp_path) as (started, client):
        port = client.base_url.port
        other = sqlite3.connect(tmp_path / "central.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # the batch has to wait for this
        body = json.dumps({"router": "ams", "clicks": [click()]}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /v1/clicks HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ROUTER}\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        await client.get("/v1/stats/clicks", headers=bearer(SENDER))  # what came before this has been begun
        started.send_signal(signal.SIGTERM)
        await until_it_listens_no_more(port)
        other.close()
        answer = await asyncio.wait_for(reader.read(), HANG_S)
        writer.close()
        await stopped(started)

    assert answer.endswith(b'{"stored":1,"duplicates":0}')


async def until_it_listens_no_more(port: int) -> None:
    while True:
        try:
            _, probe = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        probe.close()
        await asyncio.sleep(0.01)


async def test_sighup_reads_the_tokens_again_and_a_bad_file_keeps_the_old(config, tmp_path):
    async with process(tmp_path) as (started, client):

        async def reload(text: str) -> str:
            write_token(tmp_path / "api", text)
            started.send_signal(signal.SIGHUP)
            return json.loads(await asyncio.wait_for(started.stdout.readline(), HANG_S))["event"]

        assert await reload("newer-token-0123456789") == "tokens.loaded"
        assert (await client.get("/v1/clicks", headers=bearer(SENDER))).status_code == 401
        assert (await client.get("/v1/clicks", headers=bearer("newer-token-0123456789"))).status_code == 200
        assert await reload("short") == "tokens.kept"
        assert (await client.get("/v1/clicks", headers=bearer("newer-token-0123456789"))).status_code == 200


async def test_nothing_of_a_request_reaches_the_log(config, tmp_path, click):
    marked = {
        "link_id": "canary7f3aAA",
        "user_agent": CANARY,
        "ip": CANARY,
        "kind": CANARY,
        CANARY: CANARY,
    }
    raw = [
        f"GET /{CANARY} HTTP/9.9\r\n\r\n",
        f"G@T{CANARY} / HTTP/1.1\r\n\r\n",
        f"GET /{CANARY * 2000} HTTP/1.1\r\nHost: a\r\n\r\n",
        f"GET /\xff{CANARY} HTTP/1.1\r\nHost: {CANARY}\r\n\r\n",
        f"POST /v1/clicks HTTP/1.1\r\nContent-Length: {CANARY}\r\n\r\n",
    ]
    async with process(tmp_path) as (started, client):
        for name, value in marked.items():
            await client.post(
                "/v1/clicks", json={"router": "a", "clicks": [click(**{name: value})]}, headers=bearer(ROUTER)
            )
        for headers in ({}, bearer(ROUTER), bearer(SENDER), bearer(CANARY)):
            for path in ("/v1/clicks", "/v1/messages", f"/{CANARY}", f"/v1/clicks?{CANARY}={CANARY}&tag={CANARY}"):
                for body in (f'"{CANARY}', f'{{"{CANARY}": "{CANARY}"}}'.encode(), gzip.compress(CANARY.encode())[:-9]):
                    kind = {"Content-Type": "application/json", "User-Agent": CANARY}
                    await client.post(path, content=body, headers=headers | kind)
                    await client.post(path, content=body, headers=headers | kind | {"Content-Encoding": "gzip"})
                await client.get(path, headers=headers)
        for text in raw:
            reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
            writer.write(text.encode("latin-1"))
            assert CANARY.encode() not in await asyncio.wait_for(reader.read(), HANG_S)
            writer.close()
        other = sqlite3.connect(tmp_path / "central.db")
        other.execute("DROP TABLE clicks")  # every statement fails from here on
        other.close()
        await client.post("/v1/clicks", json={"router": "a", "clicks": [click(CANARY)]}, headers=bearer(ROUTER))
        await client.get(f"/v1/clicks?tag={CANARY}", headers=bearer(SENDER))
        started.send_signal(signal.SIGTERM)
        logged = await asyncio.wait_for(started.stdout.read(), HANG_S)

    assert b"central.store_failed" in logged
    assert CANARY.encode() not in logged
    assert ROUTER.encode() not in logged
    assert SENDER.encode() not in logged


async def test_a_port_that_is_taken_is_one_line_with_the_cure(config):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = CentralSettings(
            listen=Address("127.0.0.1", other.getsockname()[1]),
            database=config.database,
            ingest_token_file=config.ingest_token_file,
            api_token_file=config.api_token_file,
        )
        with pytest.raises(SettingsError, match=r"^LISTEN: .* stop what uses it, or give another") as caught:
            await run_central(taken)

    assert "\n" not in str(caught.value)


async def test_a_host_that_is_not_here_is_one_line_with_the_cure(config):
    elsewhere = CentralSettings(
        listen=Address("192.0.2.1", 8090),
        database=config.database,
        ingest_token_file=config.ingest_token_file,
        api_token_file=config.api_token_file,
    )

    with pytest.raises(SettingsError, match=r"^LISTEN: "):
        await run_central(elsewhere)


async def test_a_database_that_is_none_is_one_line_with_the_cure(config, tmp_path):
    (tmp_path / "central.db").write_bytes(b"no database at all " * 100)

    with pytest.raises(SettingsError, match=r"^DATABASE: .*restore it from a backup"):
        await run_central(config)


async def test_runs_in_the_loop_it_is_given_until_told_to_stop(config):
    running = asyncio.create_task(run_central(config))
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        await asyncio.sleep(0.01)

    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(HANG_S):
        await running
