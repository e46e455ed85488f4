"""Several workers on one port: a supervisor that starts them, passes signals on and replaces the dead.

Promise: a worker's death costs the requests it held and nothing else; the supervisor's death ends its workers
gracefully. Workers share nothing: the kernel spreads connections over them (SO_REUSEPORT), and each has its own
segments.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence

from linkrouter.log import log

__all__ = ["run_workers", "watch_supervisor"]

RESTART_S = 0.25  # between a worker's death and its successor
UNUSABLE, GIVE_UP_S = 3, 3.0  # a worker that ends with this code, and this young, could not start: then all stop
STOP_S = 10.0


async def run_workers(command: Sequence[str], count: int) -> int:
    """Run *count* workers, each `command --worker N`, until SIGTERM or SIGINT; give the exit code.

    SIGHUP goes on to every worker. A worker whose standard input ends has lost its supervisor, and stops.
    """
    supervisor = _Supervisor(command)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.pass_on, signal.SIGHUP)
    return await supervisor.run(count)


class _Supervisor:
    """Keeps workers alive until it is told to stop."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self, count: int) -> int:
        """Keep *count* workers until `stop`, let them end, and give the exit code."""
        keepers = [asyncio.create_task(self._keep(worker)) for worker in range(count)]
        await self._stopping.wait()
        _, late = await asyncio.wait(keepers, timeout=STOP_S)
        self.pass_on(signal.SIGKILL)
        for task in late:
            task.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        return self._exit_code

    def stop(self) -> None:
        """Start no more, and have every worker stop gracefully."""
        self._stopping.set()
        self.pass_on(signal.SIGTERM)

    def pass_on(self, number: int) -> None:
        """Send signal *number* to every worker that lives."""
        for process in self._processes.values():
            if process.returncode is None:
                process.send_signal(number)

    async def _keep(self, worker: int) -> None:
        while not self._stopping.is_set():
            began_at = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *self._command, "--worker", str(worker), stdin=asyncio.subprocess.PIPE
            )
            self._processes[worker] = process
            log("worker.started", worker=worker)
            code = await process.wait()
            if self._stopping.is_set():
                return
            log("worker.died", worker=worker, code=code)
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
