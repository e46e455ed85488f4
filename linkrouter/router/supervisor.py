"""Several workers on one port: a supervisor that starts them, passes signals on and replaces the dead.

Promise: a worker's death costs the requests it held and nothing else; the supervisor's death ends its workers
gracefully. Workers share nothing: the kernel spreads connections over them (SO_REUSEPORT), and each has its own
segments.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from linkrouter.observe import log

__all__ = ["run_workers", "watch_supervisor"]

RESTART_S = 0.25  # between a worker's death and its successor
GIVE_UP_S = 3.0  # a worker that dies this young, before any has lived longer, failed to start: say so and stop
STOP_S = 10.0


async def run_workers(command: Sequence[str], count: int) -> int:
    """Run *count* workers, each `command --worker N`, until SIGTERM or SIGINT; give the exit code.

    SIGHUP goes on to every worker. A worker whose standard input ends has lost its supervisor, and stops.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    failed: list[int] = []
    processes: dict[int, asyncio.subprocess.Process] = {}

    def pass_on(number: int) -> None:
        for process in processes.values():
            if process.returncode is None:
                process.send_signal(number)

    def stop() -> None:
        stopping.set()
        pass_on(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, pass_on, signal.SIGHUP)

    async def keep(worker: int) -> None:
        while not stopping.is_set():
            began = loop.time()
            process = await asyncio.create_subprocess_exec(
                *command, "--worker", str(worker), stdin=asyncio.subprocess.PIPE
            )
            processes[worker] = process
            log("worker.started", worker=worker)
            code = await process.wait()
            if stopping.is_set():
                return
            log("worker.died", worker=worker, code=code)
            if (
                code == 3 and loop.time() - began < GIVE_UP_S
            ):  # it has said what is wrong, and a new one would say the same
                failed.append(code)
                stop()
                return
            await asyncio.sleep(RESTART_S)

    keepers = [asyncio.create_task(keep(worker)) for worker in range(count)]
    await stopping.wait()
    _, late = await asyncio.wait(keepers, timeout=STOP_S)
    pass_on(signal.SIGKILL)
    for task in late:
        task.cancel()
    await asyncio.gather(*keepers, return_exceptions=True)
    return failed[0] if failed else 0


def watch_supervisor(loop: asyncio.AbstractEventLoop) -> None:
    """Stop this worker (by SIGTERM to itself) when the supervisor's end of its standard input closes."""

    def look() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            loop.remove_reader(sys.stdin.fileno())
            os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sys.stdin.fileno(), look)
