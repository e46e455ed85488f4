"""Several processes of one router: a supervisor that starts them, passes signals on and replaces the dead.

Promise: a worker's death costs the requests it held and nothing else, a carrier's nothing; the supervisor's death ends
them gracefully. Workers share nothing: the kernel spreads connections over them (SO_REUSEPORT), and each has its own
ring or its own segments.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from linkrouter.log import log
from linkrouter.settings import environment_of_children

__all__ = ["run_workers", "watch_supervisor"]

RESTART_S = 0.25  # between a worker's death and its successor
UNUSABLE, GIVE_UP_S = 3, 3.0  # a worker that ends with this code, and this young, could not start: then all stop
STOP_S = 10.0
WORKER_EVENTS, CARRIER_EVENTS = ("worker.started", "worker.died"), ("carrier.started", "carrier.died")


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
    with _hearing(loop, count, tell_ready) as address:
        return await supervisor.run(workers, carriers, environment_of_children(address))


@contextlib.contextmanager
def _hearing(loop: asyncio.AbstractEventLoop, count: int, tell_ready: Callable[[], object]) -> Iterator[str]:
    """Hear from children what systemd hears from a service, and call *tell_ready* when *count* of them are ready."""
    address = f"linkrouter-{os.getpid()}-{secrets.token_hex(8)}"
    ready = 0

    def hear() -> None:
        nonlocal ready
        with contextlib.suppress(OSError):
            ready += channel.recv(4096).startswith(b"READY=1")
            if ready == count:
                loop.remove_reader(channel)
                tell_ready()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as channel:
        channel.bind(f"\0{address}")  # of Linux' abstract ones, which need no file
        loop.add_reader(channel, hear)
        try:
            yield f"@{address}"
        finally:
            loop.remove_reader(channel)


@dataclass
class _Child:
    """A process to be kept alive until it *is_ending*; *number* is a worker's."""

    events: tuple[str, str]  # that tell of its start and of its death
    number: int | None
    command: tuple[str, ...]
    process: asyncio.subprocess.Process | None = None
    is_ending: bool = False

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

    async def run(self, workers: list[_Child], carriers: list[_Child], environment: Mapping[str, str]) -> int:
        """Keep all alive until `stop`, let the workers end and then the carriers, and give the exit code."""
        self._children, self._environment = [*workers, *carriers], environment
        keepers = [[asyncio.create_task(self._keep(child)) for child in children] for children in (workers, carriers)]
        await self._stopping.wait()
        for children, tasks in zip((workers, carriers), keepers, strict=True):
            if children:
                await self._end(children, tasks)
        return self._exit_code

    def stop(self) -> None:
        """Start no more, and have every process stop gracefully."""
        self._stopping.set()

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

    async def _keep(self, child: _Child) -> None:
        while not child.is_ending:
            began_at = time.monotonic()
            child.process = await asyncio.create_subprocess_exec(
                *child.command, stdin=asyncio.subprocess.PIPE, env=self._environment
            )
            log(child.events[0], worker=child.number)
            if child.is_ending:
                child.send(signal.SIGTERM)  # that was said while it was being started
            code = await child.process.wait()
            if child.is_ending:
                return
            log(child.events[1], worker=child.number, code=code)
            if code == UNUSABLE and time.monotonic() - began_at < GIVE_UP_S:
                self._exit_code = code  # it has said what is wrong, and a new one would say the same
                self.stop()
                return
            await asyncio.sleep(RESTART_S)


def watch_supervisor(loop: asyncio.AbstractEventLoop) -> None:
    """Stop this worker (by SIGTERM to itself) when the supervisor's end of its standard input closes."""

    def look() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            loop.remove_reader(sys.stdin.fileno())
            os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sys.stdin.fileno(), look)
