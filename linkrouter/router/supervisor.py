"""Several processes of one router: a supervisor that starts them, passes signals on and replaces the dead.

Promise: a worker's death costs the requests it held and nothing else, a carrier's nothing; the supervisor's death ends
them gracefully. Where systemd watches the supervisor, that watches them: one whose event loop hangs is killed. Workers
share nothing: the kernel spreads connections over them (SO_REUSEPORT), and each has its own ring or its own segments.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from linkrouter.log import log
from linkrouter.settings import environment_of_children, find_service_manager

__all__ = ["run_workers", "watch_supervisor"]

RESTART_S = (0.25, 8.0)  # between a process's death and its successor, at first and where those cannot start
UNUSABLE = 3  # what ends with this code could not start; if it never could, all stop
STOP_S = 10.0
WORKER_EVENTS = ("worker.started", "worker.died", "worker.hung")
CARRIER_EVENTS = ("carrier.started", "carrier.died", "carrier.hung")
ABORT_S = 5.0  # for a process that hangs to say where
CREDENTIALS = struct.Struct("3i")  # of the sender of a datagram: its process, user and group (unix(7))


async def run_workers(
    command: Sequence[str], count: int, rings: Sequence[str] = (), tell_ready: Callable[[], object] = lambda: None
) -> int:
    """Run *count* workers, each `command --worker N`, until SIGTERM or SIGINT; give the exit code.

    With *rings*, the options that say where rings are, workers get them and `command --carrier` runs beside them, which
    is told to stop when the last worker has. SIGHUP goes on to every process. One whose standard input ends has lost
    its supervisor, and stops. *tell_ready* is called once all workers listen.
    """
    supervisor = _Supervisor()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.pass_on, signal.SIGHUP)
    carriers = [_Child(CARRIER_EVENTS, None, (*command, "--carrier", *rings))] if rings else []
    workers = [_Child(WORKER_EVENTS, worker, (*command, "--worker", str(worker), *rings)) for worker in range(count)]
    manager = find_service_manager()
    watchdog_s = manager.watchdog_s if manager is not None else None
    with _hearing(loop, supervisor, count, tell_ready) as address:
        return await supervisor.run(workers, carriers, environment_of_children(address, watchdog_s), watchdog_s)


@contextlib.contextmanager
def _hearing(
    loop: asyncio.AbstractEventLoop, supervisor: "_Supervisor", count: int, tell_ready: Callable[[], object]
) -> Iterator[str]:
    """Hear from children what systemd hears from a service, and call *tell_ready* when *count* workers are ready."""
    address = f"linkrouter-{os.getpid()}-{secrets.token_hex(8)}"
    ready = 0

    def hear() -> None:
        nonlocal ready
        with contextlib.suppress(OSError):
            said, more, _, _ = channel.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
            if supervisor.hear(CREDENTIALS.unpack(more[0][2])[0], said) and said == b"READY=1":
                ready += 1
                if ready == count:
                    tell_ready()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as channel:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        channel.bind(f"\0{address}")  # of Linux' abstract ones, which need no file
        loop.add_reader(channel, hear)
        try:
            yield f"@{address}"
        finally:
            loop.remove_reader(channel)


@dataclass
class _Child:
    """A process to be kept alive until it *is_ending*; *number* is a worker's."""

    events: tuple[str, str, str]  # that tell of its start, of its death, and that it hung
    number: int | None
    command: tuple[str, ...]
    process: asyncio.subprocess.Process | None = None
    is_ending: bool = False
    was_ready: bool = False
    heard_at: float | None = None  # its last sign of life; None before the first, and when it stops

    def send(self, number: int) -> None:
        """Send signal *number*, if the process lives."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)


class _Supervisor:
    """Keeps processes alive until it is told to stop."""

    def __init__(self) -> None:
        self._children: list[_Child] = []
        self._stopping = asyncio.Event()
        self._exit_code = 0
        self._environment: Mapping[str, str] = {}

    async def run(
        self,
        workers: list[_Child],
        carriers: list[_Child],
        environment: Mapping[str, str],
        watchdog_s: float | None,
    ) -> int:
        """Keep all alive until `stop`, let the workers end and then the carriers, and give the exit code."""
        self._children, self._environment = [*workers, *carriers], environment
        watching = asyncio.create_task(self._watch(watchdog_s)) if watchdog_s is not None else None
        keepers = [[asyncio.create_task(self._keep(child)) for child in children] for children in (workers, carriers)]
        await self._stopping.wait()
        if watching is not None:
            watching.cancel()
        for children, tasks in zip((workers, carriers), keepers, strict=True):
            if children:
                await self._end(children, tasks)
        return self._exit_code

    def stop(self) -> None:
        """Start no more, and have every process stop gracefully."""
        self._stopping.set()

    def hear(self, pid: int, said: bytes) -> bool:
        """Note the sign of life of process *pid*, and tell whether it is a worker."""
        for child in self._children:
            if child.process is not None and child.process.pid == pid:
                child.was_ready |= said == b"READY=1"
                child.heard_at = None if said == b"STOPPING=1" else time.monotonic()
                return child.events is WORKER_EVENTS
        return False

    def pass_on(self, number: int) -> None:
        """Send signal *number* to every process that lives."""
        for child in self._children:
            child.send(number)

    async def _end(self, children: list[_Child], keepers: "list[asyncio.Task[None]]") -> None:
        for child in children:
            child.is_ending = True
            child.send(signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=STOP_S)
        for child in children:
            child.send(signal.SIGKILL)
        for task in late:
            task.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    async def _watch(self, watchdog_s: float) -> None:
        """Kill what has given signs of life and gives none any more; its keeper starts it again."""
        every_s = watchdog_s / 4
        while True:
            looked_at = time.monotonic()
            await asyncio.sleep(every_s)
            now = time.monotonic()
            was_frozen = now - looked_at > 2 * every_s  # this process was, and so may all have been
            for child in self._children:
                if child.heard_at is None:
                    continue
                if was_frozen:
                    child.heard_at = now
                elif now - child.heard_at > watchdog_s:
                    self._abort(child)

    def _abort(self, child: _Child) -> None:
        log(child.events[2], worker=child.number)
        child.heard_at = None
        child.send(signal.SIGABRT)
        process = child.process

        def kill() -> None:
            if process is not None and process.returncode is None:
                process.kill()

        asyncio.get_running_loop().call_later(ABORT_S, kill)

    async def _keep(self, child: _Child) -> None:
        failures = 0
        while not child.is_ending:
            child.process = await asyncio.create_subprocess_exec(
                *child.command, stdin=asyncio.subprocess.PIPE, env=self._environment
            )
            child.heard_at = None
            log(child.events[0], worker=child.number)
            if child.is_ending:
                child.send(signal.SIGTERM)  # that was said while it was being started
            code = await child.process.wait()
            if child.is_ending:
                return
            log(child.events[1], worker=child.number, code=code)
            if code == UNUSABLE and not child.was_ready:
                self._exit_code = code  # it has said what is wrong, and a new one would say the same
                self.stop()
                return
            # What went wrong while others serve, such as a disk that is gone, is no reason to stop those.
            failures = failures + 1 if code == UNUSABLE else 0
            await asyncio.sleep(min(RESTART_S[0] * 2**failures, RESTART_S[1]))


def watch_supervisor(loop: asyncio.AbstractEventLoop) -> None:
    """Stop this worker (by SIGTERM to itself) when the supervisor's end of its standard input closes."""

    def look() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            loop.remove_reader(sys.stdin.fileno())
            os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sys.stdin.fileno(), look)
