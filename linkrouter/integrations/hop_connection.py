"""One open connection to the next hop, over which one mail goes after another.

Promise: the answer to a mail is acted on in the turn in which it is seen, and before it is taken off the socket. So a
`Witness` of this process, if it is killed, reads every answer that was not acted on. What comes through TLS is the
exception: nobody else could read it.

aiosmtplib opens the connection, with STARTTLS and AUTH. The rest is done here: it would wait for each answer before it
says more, and look at an answer some turns after it took it.
"""

import asyncio
import os
import re
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from aiosmtplib import SMTP

from linkrouter.integrations.smtp_reply import Reply
from linkrouter.integrations.witness import Witness

__all__ = ["GONE", "Heed", "HopConnection"]

Heed = Callable[[Reply], None]

LOOK_BYTES = 16 * 1024
MAX_REPLY_BYTES = 32 * 1024
GO_ON = 354
QUIT_WITHIN_S = 1.0
EXTENSIONS = ("pipelining", "8bitmime", "smtputf8")

GONE = Reply(451, "4.4.2 the next hop went away before it answered; try again")
UNCLEAN = Reply(553, "5.1.3 the address has a control character")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class HopConnection(asyncio.Protocol):
    """What *client* opened, which must not be used any more.

    Args:
        client: An open connection on which nothing is under way.
        timeout_s: Seconds for each answer.
        witness: Who hears the answer to a mail when this process is killed.
    """

    def __init__(self, client: SMTP, timeout_s: float, witness: Witness | None = None) -> None:
        self._transport = cast(asyncio.Transport, client.transport)
        self._timeout_s, self._witness = timeout_s, witness
        self._offers = frozenset(filter(client.supports_extension, EXTENSIONS))
        self._waiting: deque[tuple[asyncio.Future[Reply], Heed | None]] = deque()
        self._data: asyncio.Future[Reply] | None = None  # the answer to DATA
        self._unread = b""
        self._lines: list[str] = []  # of an answer that is not whole yet
        self._socket: socket.socket | None = None
        self._slot: int | None = None
        self._transport.set_protocol(self)
        if self._transport.get_extra_info("sslcontext") is None:
            self._look_before_taking()

    @property
    def is_idle(self) -> bool:
        """Whether a mail may begin on it."""
        return not self._transport.is_closing() and not self._waiting and self._data is None

    def offers(self, extension: str) -> bool:
        """Whether the next hop has one of `EXTENSIONS`."""
        return extension in self._offers

    async def ask(self, *lines: str) -> list[Reply]:
        """Say *lines*, and give the answer to each, `GONE` where there is none; at once if the next hop takes that."""
        if any(map(_CONTROL.search, lines)):
            return [UNCLEAN] * len(lines)
        ended = [f"{line}\r\n".encode("utf-8", "surrogateescape") for line in lines]
        if self.offers("pipelining"):
            return await self._hear(self._say(b"".join(ended), len(lines)))
        return [reply for line in ended for reply in await self._hear(self._say(line))]

    def begin_data(self) -> None:
        """Say that a mail comes; `send` must follow."""
        [self._data] = self._say(b"DATA\r\n")

    async def send(self, content: bytes, key: str, report: bytes, heed: Heed) -> Reply:
        """Hand over *content*, whose lines end with CRLF, and give the answer, which *heed* gets first if there is one.

        When this process is killed before, the witness hears the answer to a mail with a *key*, and tells central its
        *report*.
        """
        assert self._data is not None
        [go_on] = await self._hear([self._data])
        self._data = None
        if go_on.code != GO_ON:
            return go_on if go_on.code >= 400 else GONE
        if key and self._witness is not None and self._slot is not None:
            self._witness.sending(self._slot, key, report)
        stuffed = content.replace(b"\r\n.", b"\r\n..")  # RFC 5321, section 4.5.2
        [reply] = await self._hear(self._say((b"." if content[:1] == b"." else b"") + stuffed + b".\r\n", heed=heed))
        return reply

    async def quit(self) -> None:
        """Say goodbye and hang up."""
        self._timeout_s = QUIT_WITHIN_S
        await self.ask("QUIT")
        self.close()

    def close(self) -> None:
        """Hang up; who waits for an answer gets `GONE`."""
        self._transport.close()
        self.connection_lost(None)

    def data_received(self, data: bytes) -> None:
        """Give whoever waits the answers in *data*."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._lines.append(line[4:].strip().decode("utf-8", "surrogateescape"))
            if not line[:3].isdigit() or not self._waiting:
                self.close()  # no SMTP, or a goodbye
            elif line[3:4] != b"-":
                reply, self._lines = Reply(int(line[:3]), "\n".join(self._lines)), []
                self._give(reply)
        if sum(map(len, self._lines)) + len(self._unread) > MAX_REPLY_BYTES:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let nobody wait any longer; an answer that nobody waits for any more is left to the witness."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        while self._waiting:
            future, heed = self._waiting.popleft()
            if not future.done():
                future.set_result(GONE)
                self._has_heard(heed)
        if self._witness is not None and self._slot is not None:
            self._witness.forget(self._slot)
            self._slot = None

    def _give(self, reply: Reply) -> None:
        future, heed = self._waiting.popleft()
        if heed is not None:
            heed(reply)
        self._has_heard(heed)
        if not future.done():
            future.set_result(reply)

    def _has_heard(self, heed: Heed | None) -> None:
        if heed is not None and self._witness is not None and self._slot is not None:
            self._witness.heard(self._slot)

    def _say(self, said: bytes, answers: int = 1, heed: Heed | None = None) -> list[asyncio.Future[Reply]]:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Reply]] = [loop.create_future() for _ in range(answers)]
        self._waiting += ((future, heed) for future in futures)
        self._transport.write(said)
        if self._transport.is_closing():
            self.connection_lost(None)
        return futures

    async def _hear(self, replies: Sequence[asyncio.Future[Reply]]) -> list[Reply]:
        timer = asyncio.get_running_loop().call_later(self._timeout_s, self.close)
        try:
            return [await reply for reply in replies]
        finally:
            timer.cancel()

    def _look_before_taking(self) -> None:
        """Read by a descriptor of our own, since transports take off the socket what they read before they give it."""
        self._transport.pause_reading()
        descriptor = os.dup(self._transport.get_extra_info("socket").fileno())
        self._socket = socket.socket(fileno=descriptor)
        asyncio.get_running_loop().add_reader(self._socket, self._look)
        if self._witness is not None:
            self._slot = self._witness.share(descriptor)

    def _look(self) -> None:
        assert self._socket is not None
        try:
            seen = self._socket.recv(LOOK_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            seen = b""
        if not seen:
            self.close()
            return
        self.data_received(seen)
        if self._socket is not None:
            self._socket.recv(len(seen))
