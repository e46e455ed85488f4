"""A process that outlives the relay by seconds, to hear what the next hop says to mails that were on their way.

Promise: when the relay is killed while the next hop decides, its yes is written down as the relay would have done, so
that the mail is not sent twice when it comes again. The witness shares the connections, and reads nothing while the
relay lives. It cannot read what is in TLS, and those connections are not shared.

It is run as a file of its own, with nothing but the standard library, so that it is small.
"""

import array
import contextlib
import fcntl
import os
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["Witness", "watch"]

HEAR_WITHIN_S = 20.0  # for the next hop to decide, once the relay is dead
MAX_TOLD_BYTES = 100_000  # what one message between two processes may hold
NOTHING = b"-"


class Witness:
    """The relay's side. *acceptances* is the open file of what was taken, *reports* where reports for central wait."""

    def __init__(self, acceptances: int, reports: Path | None) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._last = 0
        command = [sys.executable, "-I", __file__, str(theirs.fileno()), str(acceptances), str(reports or "")]
        self._process = subprocess.Popen(  # noqa: S603 – ourselves
            command, pass_fds=(theirs.fileno(), acceptances), stdin=subprocess.DEVNULL, start_new_session=True
        )
        theirs.close()

    def share(self, descriptor: int) -> int:
        """Share a connection to the next hop, and give its number."""
        self._last += 1
        self._tell(b"open %d" % self._last, descriptor)
        return self._last

    def sending(self, connection: int, key: str, report: bytes) -> None:
        """Say that the mail *key*, of which central is to get *report*, goes over *connection*."""
        told = b"send %d %s %s" % (connection, key.encode(), report or NOTHING)
        self._tell(told if len(told) <= MAX_TOLD_BYTES else b"send %d %s -" % (connection, key.encode()))

    def heard(self, connection: int) -> None:
        """Say that the answer came, and that what it means is written down."""
        self._tell(b"done %d" % connection)

    def forget(self, connection: int) -> None:
        """Say that a connection is closed."""
        self._tell(b"shut %d" % connection)

    def close(self) -> None:
        """End the witness, which has nothing to hear any more."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(HEAR_WITHIN_S)

    def _tell(self, what: bytes, descriptor: int | None = None) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))] if descriptor else []
        with contextlib.suppress(OSError):  # without a witness all goes on
            self._socket.sendmsg([what], rights)


def watch(relay: socket.socket, acceptances: int, reports: str) -> None:
    """Follow what the *relay* tells until it is dead, and then hear what is still to be heard."""
    connections: dict[bytes, socket.socket] = {}
    sending: dict[bytes, tuple[bytes, bytes]] = {}
    while True:
        told, descriptors, _, _ = socket.recv_fds(relay, 2 * MAX_TOLD_BYTES, 1)
        if not told:
            break
        word, connection, *rest = told.split(b" ", 3)
        if word == b"open" and descriptors:
            connections[connection] = socket.socket(fileno=descriptors[0])
        elif word == b"send":
            sending[connection] = (rest[0], rest[1])
        else:
            sending.pop(connection, None)
            if word == b"shut" and connection in connections:
                connections.pop(connection).close()
    written = os.pread(acceptances, os.fstat(acceptances).st_size, 0)
    left = {
        connections[number]: told
        for number, told in sending.items()
        if number in connections and b"+ " + told[0] not in written
    }
    _hear(left, acceptances, reports)


def _hear(left: dict[socket.socket, tuple[bytes, bytes]], acceptances: int, reports: str) -> None:
    said = dict.fromkeys(left, b"")
    until = time.monotonic() + HEAR_WITHIN_S
    with selectors.DefaultSelector() as selector:
        for each in left:
            each.setblocking(False)
            selector.register(each, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < until:
            for ready, _ in selector.select(until - time.monotonic()):
                assert isinstance(ready.fileobj, socket.socket)
                connection, piece = ready.fileobj, b""
                with contextlib.suppress(OSError):
                    piece = connection.recv(4096)
                said[connection] += piece
                if not piece or b"\n" in piece:
                    selector.unregister(connection)
                    if said[connection].startswith(b"250"):
                        _write_down(*left[connection], acceptances, reports)


def _write_down(key: bytes, report: bytes, acceptances: int, reports: str) -> None:
    os.write(acceptances, b"+ %s %d\n" % (key, time.time()))
    if not reports or report == NOTHING:
        return
    folder = Path(reports)  # as `ReportSpool` has it
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(folder / "lock", "ab", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with open(folder / "waiting.jsonl", "ab", buffering=0, opener=_private) as waiting:
                waiting.write(report + b"\n")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


if __name__ == "__main__":
    import signal

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends by itself, and a service's stop must not end it first
    watch(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3])
