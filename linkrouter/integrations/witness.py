"""A process that outlives the relay by seconds, to hear what the next hop says to mails that were on their way.

Promise: when the relay is killed while the next hop decides, its yes is written down as the relay would have done, so
that the mail is not sent twice when it comes again. The witness shares the connections, and reads nothing while the
relay lives. It cannot read what is in TLS, and those connections are not shared.

It is run as a file of its own, with nothing but the standard library, so that it is small.
"""

import array
import contextlib
import fcntl
import mmap
import os
import selectors
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["Witness", "watch"]

HEAR_WITHIN_S = 20.0  # for the next hop to decide, once the relay is dead
SLOTS = 512  # connections that can be shared; each takes memory only as it is used
SLOT_BYTES = 64 * 1024
SIZE = struct.Struct("=I")  # of what a slot holds, in front of it; 0 while nothing is on its way


class Witness:
    """The relay's side. *acceptances* is the open file of what was taken, *reports* where reports for central wait.

    What is on its way stands in memory that both share, so that a mail costs no message between them.
    """

    def __init__(self, acceptances: int, reports: Path | None) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        notes = os.memfd_create("linkrouter-witness")
        os.ftruncate(notes, SLOTS * SLOT_BYTES)
        self._notes = mmap.mmap(notes, SLOTS * SLOT_BYTES)
        self._free = list(range(SLOTS))
        self._forgotten: set[int] = set()  # while an answer is still to be heard
        files = (theirs.fileno(), notes, acceptances)
        command = [sys.executable, "-I", __file__, *map(str, files), str(reports or "")]
        self._process = subprocess.Popen(  # noqa: S603 – ourselves
            command, pass_fds=files, stdin=subprocess.DEVNULL, start_new_session=True
        )
        theirs.close()
        os.close(notes)

    def share(self, descriptor: int) -> int | None:
        """Share a connection to the next hop, and give its slot; None if no more can be shared."""
        if not self._free or not self._tell(b"open %d" % self._free[-1], descriptor):
            return None
        return self._free.pop()

    def sending(self, slot: int, key: str, report: bytes) -> None:
        """Say that the mail *key*, of which central is to get *report*, goes over the connection of *slot*."""
        told = b"%s %s" % (key.encode(), report)
        if len(told) > SLOT_BYTES - SIZE.size:
            told = key.encode() + b" "
        at = slot * SLOT_BYTES
        self._notes[at + SIZE.size : at + SIZE.size + len(told)] = told
        SIZE.pack_into(self._notes, at, len(told))  # last: a kill before leaves nothing half said

    def heard(self, slot: int) -> None:
        """Say that the answer came, and that what it means is written down."""
        SIZE.pack_into(self._notes, slot * SLOT_BYTES, 0)
        if slot in self._forgotten:
            self.forget(slot)

    def forget(self, slot: int) -> None:
        """Say that a connection is closed; the witness keeps it until its answer is heard."""
        if SIZE.unpack_from(self._notes, slot * SLOT_BYTES)[0]:
            self._forgotten.add(slot)
        elif self._tell(b"shut %d" % slot):
            self._forgotten.discard(slot)
            self._free.append(slot)

    def close(self) -> None:
        """End the witness, which has nothing to hear any more."""
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(HEAR_WITHIN_S)

    def _tell(self, what: bytes, descriptor: int | None = None) -> bool:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))] if descriptor else []
        with contextlib.suppress(OSError):  # without a witness all goes on
            return bool(self._socket.sendmsg([what], rights))
        return False


def watch(relay: socket.socket, notes: int, acceptances: int, reports: str) -> None:
    """Follow what the *relay* tells until it is dead, and then hear what is still to be heard."""
    connections: dict[int, socket.socket] = {}
    while True:
        told, descriptors, _, _ = socket.recv_fds(relay, 100, 1)
        if not told:
            break
        word, slot = told.split()
        if word == b"open" and descriptors:
            connections[int(slot)] = socket.socket(fileno=descriptors[0])
        elif found := connections.pop(int(slot), None):
            found.close()
    written = os.pread(acceptances, os.fstat(acceptances).st_size, 0)
    left = {}
    with mmap.mmap(notes, SLOTS * SLOT_BYTES) as noted:
        for number, connection in connections.items():
            at = number * SLOT_BYTES + SIZE.size
            key, _, report = noted[at : at + SIZE.unpack_from(noted, at - SIZE.size)[0]].partition(b" ")
            if key and b"+ " + key not in written:
                left[connection] = (key, report)
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
    if not reports or not report:
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
    watch(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
