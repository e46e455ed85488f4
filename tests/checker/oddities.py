"""Servers as odd as people have met them, on the loopback over plain HTTP, with the verdicts that are right.

`python oddities.py PORT` serves them until standard input closes, and speaks with its caller as `farm.py` does. Each
has an address of its own. A checker that knows "fine" and "broken" alone is judged by the links that are one of these.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

FINE, BROKEN, UNVERIFIABLE = {"fine"}, {"broken"}, {"unverifiable"}
PAGE = b"<title>Shoes</title><h1>Shoes</h1>"

Answer = bytes | float | None  # bytes to send, seconds to be silent, None to hang up


@dataclass(frozen=True)
class Asked:
    """One request: `number` counts those for its path from 1, `age_s` is the time since the first of them."""

    method: str
    path: str
    number: int
    age_s: float

    @property
    def is_head(self) -> bool:
        return self.method == "HEAD"


@dataclass(frozen=True)
class Oddity:
    """A server: what it answers, and for each of its paths which verdicts are right."""

    name: str
    answer: Callable[[Asked], Answer]
    right: dict[str, set[str]]


def status(number: int, *lines: str, body: bytes = b"") -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {number} X", *lines, f"Content-Length: {len(body)}"))
    return head.encode() + b"\r\n" + body


def page(asked: Asked, *lines: str, body: bytes = PAGE) -> bytes:
    """Give an honest page; HEAD gets its headers alone."""
    whole = status(200, "Content-Type: text/html", *lines, body=body)
    return whole.removesuffix(body) if asked.is_head else whole


def raw(head: bytes) -> Callable[[Asked], Answer]:
    """Answer everything with *head*, and close."""
    return lambda asked: head + (b"" if asked.is_head else PAGE)


def dislikes_head(answer: Answer) -> Callable[[Asked], Answer]:
    return lambda asked: answer if asked.is_head else page(asked)


def once(number: int) -> Callable[[Asked], Answer]:
    return lambda asked: status(number) if asked.number == 1 else page(asked)


def led_to(where: str, *lines: str, then: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """Redirect everything but *where*."""
    return lambda asked: then(asked) if asked.path.startswith(where) else status(302, f"Location: {where}", *lines)


def meta(asked: Asked) -> Answer:
    return page(asked, body=b'<noscript><META http-equiv="refresh" content="0;URL=/gone"></noscript>')


def by_path(**answers: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """Answer by the path's first word; everything else is not there."""
    return lambda asked: answers.get(asked.path.strip("/").partition("/")[0], lambda _: status(404))(asked)


ODDITIES = [
    Oddity("a line that is no header", raw(b"HTTP/1.1 200 OK\r\nget-ban/forum.php: no\r\n\r\n"), {"/": FINE}),
    Oddity("a line without a colon", raw(b"HTTP/1.1 200 OK\r\nrubbish\r\n\r\n"), {"/": FINE}),
    Oddity("a second status line", raw(b"HTTP/1.0 200 OK\r\nA: b\r\nHTTP/1.0 200 OK\r\n\r\n"), {"/": FINE}),
    Oddity("a blank before the status", raw(b" HTTP/1.1 200 OK\r\n\r\n"), {"/": FINE}),
    Oddity("a blank before the colon", raw(b"HTTP/1.1 200 OK\r\nServer : x\r\n\r\n"), {"/": FINE}),
    Oddity("folded and Latin-1", raw(b"HTTP/1.1 200 D\xe9j\xe0\r\nX: a\r\n b\xe9\r\n\r\n"), {"/": FINE}),
    Oddity("no reason", raw(b"HTTP/1.1 200\r\n\r\n"), {"/": FINE}),
    Oddity("ICY", raw(b"ICY 200 OK\r\n\r\n"), {"/": FINE}),
    Oddity("not HTTP at all", lambda _: b"SSH-2.0-OpenSSH_9.2\r\n", {"/": UNVERIFIABLE}),
    Oddity("hangs up on HEAD", dislikes_head(None), {"/": FINE}),
    Oddity("never answers HEAD", dislikes_head(30.0), {"/": FINE}),
    Oddity("HEAD leads round", dislikes_head(status(302, "Location: /")), {"/": FINE}),
    Oddity(
        "HEAD leads to an error",
        lambda asked: status(404) if asked.path == "/error" else dislikes_head(status(302, "Location: /error"))(asked),
        {"/a": FINE},
    ),
    Oddity(
        "HEAD is always 200", lambda asked: page(asked) if asked.is_head else status(404), {"/a": BROKEN, "/b": BROKEN}
    ),
    *(
        Oddity(f"HEAD is {number}", dislikes_head(status(number)), {"/": FINE})
        for number in (403, 404, 405, 409, 412, 415, 418, 422, 500, 501)
    ),
    *(Oddity(f"one {number}", once(number), {"/": FINE}) for number in (502, 503, 504, 520)),
    Oddity("502 for good", lambda _: status(502), {"/": BROKEN}),
    Oddity(
        "403 with Retry-After",
        lambda asked: status(403, "Retry-After: 2") if asked.age_s < 1.8 else page(asked),
        {"/": FINE},
    ),
    Oddity("a Retry-After of no date", dislikes_head(status(503, "Retry-After: Mon, 1 Jan 99999 0:0:0")), {"/": FINE}),
    Oddity("a wall's marks on a page", lambda asked: page(asked, "x-datadome: protected"), {"/": FINE}),
    Oddity("a wall's cookie on a page", lambda asked: page(asked, "Set-Cookie: datadome=x"), {"/": FINE}),
    Oddity("a wall", lambda _: status(403, "cf-mitigated: challenge"), {"/": UNVERIFIABLE}),
    Oddity("a meta refresh", by_path(short=meta), {"/short": BROKEN}),
    Oddity("a Refresh header", by_path(short=lambda asked: page(asked, "Refresh: 0; url=/gone")), {"/short": BROKEN}),
    Oddity("a page that reloads", lambda asked: page(asked, "Refresh: 5; url=/"), {"/": FINE}),
    Oddity("wants its cookie", lambda _: status(302, "Location: /a", "Set-Cookie: s=1"), {"/a": UNVERIFIABLE}),
    Oddity(
        "wants its cookie, counting",
        lambda asked: status(302, f"Location: /a{asked.path[2:]}x", "Set-Cookie: s=1"),
        {"/a": UNVERIFIABLE},
    ),
    Oddity("a log-in page", led_to("/login", then=page), {"/members": UNVERIFIABLE}),
    Oddity(
        "a parked domain", lambda asked: page(asked, body=b"<h1>This domain is for sale!</h1>"), {"/": UNVERIFIABLE}
    ),
    Oddity("not there", lambda _: status(404), {"/": BROKEN}),
    Oddity("gone", lambda _: status(410), {"/": BROKEN}),
    Oddity("a page", page, {"/": FINE}),
]


@dataclass
class Odd:
    """All of them at once, on one port."""

    port: int = 0
    requests: Counter = field(default_factory=Counter)
    _first: dict = field(default_factory=dict)
    _servers: list = field(default_factory=list)

    async def __aenter__(self):
        for number, oddity in enumerate(ODDITIES, 1):
            server = await asyncio.start_server(self._serve(oddity), f"127.0.2.{number}", self.port)
            self.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        return self

    async def __aexit__(self, *_):
        for server in self._servers:
            server.close()

    def truth(self):
        """Give (url, verdicts that are right, name) for every link."""
        return [
            (f"http://127.0.2.{number}:{self.port}{path}", right, oddity.name)
            for number, oddity in enumerate(ODDITIES, 1)
            for path, right in oddity.right.items()
        ]

    def page(self):
        """Give the links as one HTML page."""
        return "<!doctype html>\n" + "\n".join(f'<p><a href="{url}">x</a></p>' for url, *_ in self.truth())

    def reset(self):
        """Forget who was here."""
        self.requests.clear()
        self._first.clear()

    def _serve(self, oddity):
        async def talk(reader, writer):
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    method, path, _ = head.decode("latin-1").split(" ", 2)
                    answer = oddity.answer(self._asked(oddity.name, method, path))
                    if isinstance(answer, float):
                        await asyncio.sleep(answer)
                    if not isinstance(answer, bytes):
                        break
                    writer.write(answer)
                    await writer.drain()
                    if b"Content-Length" not in answer:
                        break
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        return talk

    def _asked(self, name, method, path):
        self.requests[name, method] += 1
        count, began = self._first.get((name, path), (0, time.monotonic()))
        self._first[name, path] = count + 1, began
        return Asked(method, path, count + 1, time.monotonic() - began)


async def _main(port):
    async with Odd(port) as odd:
        rows = [(url, sorted(right), kind) for url, right, kind in odd.truth()]
        print(json.dumps({"links": rows, "page": odd.page()}), flush=True)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            counts = {f"{name} {method}": number for (name, method), number in odd.requests.items()}
            print(json.dumps({"requests": counts, "early": 0}), flush=True)
            if line.strip() == b"reset":
                odd.reset()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
