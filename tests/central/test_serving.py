"""What is left of HTTP: refusals in constant words, readiness, and requests that are none."""

import asyncio
import sqlite3

import pytest
from processes import HANG_S

from linkrouter.central.answers import Readiness
from linkrouter.central.api import central_routes
from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.settings import Address
from linkrouter.web.routes import Route
from linkrouter.web.server import create_app, serving
from linkrouter.web.tokens import Tokens

CANARY = "canary7f3a"

NO_HTTP = {
    "no version": f"GET /{CANARY}\r\n\r\n",
    "an unknown version": f"GET /{CANARY} HTTP/9.9\r\nHost: a\r\n\r\n",
    "a bad method": f"G@T{CANARY} /v1/clicks HTTP/1.1\r\nHost: a\r\n\r\n",
    "a bad header": f"GET /v1/clicks HTTP/1.1\r\nHost: a\r\n{CANARY}\x01: b\r\n\r\n",
    "a bad length": f"POST /v1/clicks HTTP/1.1\r\nHost: a\r\nContent-Length: {CANARY}\r\n\r\n",
    "a bad chunk": f"POST /v1/clicks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {CANARY}\r\n\r\n",
    "a long line": f"GET /{CANARY * 2000} HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long header": f"GET / HTTP/1.1\r\nHost: a\r\nX: {CANARY * 2000}\r\n\r\n",
    "bytes": f"\x16\x03\x01{CANARY}\r\n\r\n",
}


@pytest.mark.parametrize("request_text", NO_HTTP.values(), ids=NO_HTTP)
async def test_what_is_not_http_is_refused_in_our_own_words(centre, request_text):
    reader, writer = await asyncio.open_connection("127.0.0.1", centre.port)
    writer.write(request_text.encode("latin-1"))
    async with asyncio.timeout(HANG_S):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert answer.split()[1] in (b"400", b"404")  # a line without a version is HTTP/0.9, to a path that is not there
    assert b"application/problem+json" in answer
    assert CANARY.encode() not in answer


async def test_an_unknown_path_is_refused_without_naming_it(centre):
    answer = await centre.sender.get(f"/{CANARY}?{CANARY}")

    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert CANARY not in answer.text


async def test_a_method_that_a_path_does_not_take_is_told_those_it_takes(centre):
    answer = await centre.sender.request("PATCH", "/v1/clicks")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize("path", ["/-/ready", "/v1/clicks", "/none"])
async def test_every_answer_carries_the_security_headers(centre, path):
    headers = (await centre.anyone.get(path)).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "aiohttp" not in headers["Server"].lower()


async def test_a_refusal_before_the_end_of_a_body_ends_the_connection(centre):
    json = {"Content-Type": "application/json"}

    too_large = await centre.router.post("/v1/clicks", content=bytes(9 * 1024**2), headers=json)
    spoilt = await centre.anyone.post("/v1/clicks", content=b"junk", headers=json | {"Content-Encoding": "gzip"})
    read = await centre.router.post("/v1/clicks", json={})

    assert (too_large.status_code, too_large.headers["Connection"]) == (413, "close")
    assert (spoilt.status_code, spoilt.headers["Connection"]) == (401, "close")
    assert read.status_code == 422
    assert "Connection" not in read.headers


async def test_a_body_that_stops_coming_harms_nobody(centre, click):
    _, writer = await asyncio.open_connection("127.0.0.1", centre.port)
    token = centre.router.headers["Authorization"]
    writer.write(
        f"POST /v1/clicks HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nContent-Type: application/json\r\n"
        'Content-Length: 1000\r\n\r\n{"router":"ams"'.encode()
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await centre.take(click())).json() == {"stored": 1, "duplicates": 0}


async def test_a_database_that_is_locked_is_not_ready_and_asks_to_try_again(centre, click, tmp_path):
    other = sqlite3.connect(tmp_path / "central.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        ready, batch, stats = await asyncio.gather(
            centre.anyone.get("/-/ready"), centre.take(click()), centre.sender.get("/v1/stats/clicks")
        )
    finally:
        other.close()

    assert (ready.status_code, batch.status_code, stats.status_code) == (503, 503, 200)
    assert int(batch.headers["Retry-After"]) > 0
    assert (await centre.anyone.get("/-/ready")).json() == {"ready": True}
    assert (await centre.take(click())).json() == {"stored": 1, "duplicates": 0}


async def raw(port: int, request: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    async with asyncio.timeout(HANG_S):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_body_that_does_not_come_in_time_is_refused(tmp_path):
    routes = central_routes(SqliteCentralStore(tmp_path / "unused.db"))
    app = create_app(Tokens.of(("router-token-0123456789",), ()), routes, body_deadline_s=0.05)
    head = "POST /v1/clicks HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer router-token-0123456789\r\n"

    async with serving(app, Address("127.0.0.1", 0)) as port:
        answer = await raw(port, f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{")

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_fault_of_ours_is_answered_and_logged_without_its_words(tmp_path, caplog):
    async def fail(_asked, _caller):
        """Fail."""
        raise ValueError(CANARY)

    broken = Route(operation="fail", method="GET", path="/broken", scope=None, gives=Readiness, answer=fail)
    app = create_app(Tokens.of((), ()), [broken])

    async with serving(app, Address("127.0.0.1", 0)) as port:
        answer = await raw(port, "GET /broken HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert CANARY.encode() not in answer
    assert [record.message for record in caplog.records] == ["task.failed"]
    assert caplog.records[0].fields["exception"] == "ValueError"
