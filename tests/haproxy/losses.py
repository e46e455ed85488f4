"""What is lost when things happen to a pair under load; `python -m haproxy.losses` prints haproxy/README.md's table.

Every request is one link of its own, so what the client saw and what the centre has can be compared one by one.
"""

import argparse
import asyncio
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from haproxy.load import HOST, Load, Outcome
from haproxy.machine import Machine

from linkrouter.link.codec import encode_base64url

RATE = 300.0  # requests a second; two shared cores carry the client, HAProxy, routers and centre
NOT_DURABLE_S = 0.5  # what a kill may cost in clicks: 50 ms between commits, and a commit on a busy disk
LONGEST_S = 900.0
Events = Callable[[Machine, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Losses:
    """One row of the table."""

    event: str
    times: int
    requests: int
    lost: int  # no answer
    wrong: int  # an answer, but not the one redirect
    faults: str
    max_ms: float
    p99_ms: float
    gap_ms: float  # the longest time in which requests failed
    missing: int  # answered, and not at the centre
    twice: int  # at the centre more than once

    def line(self) -> str:
        """Give the row in Markdown."""
        at_most = "–" if self.lost or self.wrong else f"{300 / self.requests:.3f} %"
        cells = (
            *(self.event, self.times, self.requests, self.lost, self.wrong),
            *(f"{self.max_ms:.0f}", f"{self.p99_ms:.0f}", self.missing, self.twice, at_most),
        )
        return f"| {' | '.join(str(cell) for cell in cells)} |"


HEAD = (
    "| event | times | requests | lost | not the 302 | max ms | p99 ms "
    "| clicks missing | clicks twice | lost at most (95 %) |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


async def measure(machine: Machine, event: str, times: int, happen: Events, rate: float = RATE) -> Losses:
    """Let *event* happen *times* times under load, and compare what clients saw with what the centre has."""
    first = machine.sign_number + 1
    load = Load((machine.address, machine.ports["https"]), machine.home / f"{HOST}.crt", rate, machine.link)
    stop = asyncio.Event()
    running = asyncio.create_task(load.run(stop, LONGEST_S))
    try:
        await asyncio.sleep(1)
        await happen(machine, times)
        await asyncio.sleep(1)
    finally:
        stop.set()
        outcomes = await running
    missing, twice = await asyncio.to_thread(_compare, machine, outcomes, first)
    return _row(event, times, outcomes, missing, twice)


def _row(event: str, times: int, outcomes: list[Outcome], missing: int, twice: int) -> Losses:
    latencies = sorted(outcome.latency_s for outcome in outcomes)
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    return Losses(
        event=event,
        times=times,
        requests=len(outcomes),
        lost=sum(outcome.status == 0 for outcome in bad),
        wrong=sum(outcome.status != 0 for outcome in bad),
        faults=str(dict(Counter((outcome.kind, outcome.status, outcome.fault) for outcome in bad))),
        max_ms=latencies[-1] * 1000,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1000,
        gap_ms=_longest_gap_s(sorted(outcome.due_s for outcome in bad)) * 1000,
        missing=missing,
        twice=twice,
    )


def _longest_gap_s(failed: list[float]) -> float:
    """Give the longest of the spans in which requests failed; half a second without a failure ends one."""
    longest, first, last = 0.0, 0.0, float("-inf")
    for due in failed:
        if due > last + 0.5:
            first = due
        longest, last = max(longest, due - first), due
    return longest


def _compare(machine: Machine, outcomes: list[Outcome], first: int) -> tuple[int, int]:
    """Wait until the centre has what was answered, or gets no more; count what is missing and what is there twice."""
    answered = {_link_id(outcome.number) for outcome in outcomes if outcome.is_good}
    seen, quiet_since = -1, time.monotonic()
    while True:
        counts = Counter(click["link_id"] for click in machine.clicks() if click["kind"] == "click")
        if len(counts) != seen:
            seen, quiet_since = len(counts), time.monotonic()
        missing = len(answered - counts.keys())
        # Three seconds of quiet: a batch is at the centre within a fraction of one.
        if (not missing and time.monotonic() > quiet_since + 1) or time.monotonic() > quiet_since + 3:
            ours = {_link_id(number) for number in range(first, machine.sign_number + 1)}
            return missing, sum(count > 1 for link, count in counts.items() if link in ours)
        time.sleep(0.25)


def _link_id(number: int) -> str:
    return encode_base64url(number.to_bytes(8, "big"))


# What happens


async def nothing(machine: Machine, times: int) -> None:
    """Let time pass, *times* seconds of it."""
    await asyncio.sleep(times)


async def switch_colours(machine: Machine, times: int) -> None:
    """Deploy with the script an operator uses, to and fro."""
    for _ in range(times):
        colour = "green" if (machine.home / "colour.map").read_text() == "colour blue\n" else "blue"
        done = await asyncio.to_thread(machine.deploy, "switch", colour)
        assert done.returncode == 0, done.stderr


async def reload_haproxy(machine: Machine, times: int) -> None:
    """Reload HAProxy's configuration."""
    for _ in range(times):
        await asyncio.to_thread(machine.reload_haproxy)
        await asyncio.sleep(1)


async def kill_one(machine: Machine, times: int) -> None:
    """Kill one of the two active routers with SIGKILL, and start it again."""
    for number in range(times):
        name = f"blue-{1 + number % 2}"
        machine.signal(name, signal.SIGKILL)
        await asyncio.sleep(0.25)  # as systemd waits
        await asyncio.to_thread(machine.revive, name)


async def freeze_one(machine: Machine, times: int) -> None:
    """Stop one of the two active routers in its tracks for two seconds."""
    for number in range(times):
        name = f"blue-{1 + number % 2}"
        machine.signal(name, signal.SIGSTOP)
        await asyncio.sleep(2)
        machine.signal(name, signal.SIGCONT)
        await asyncio.sleep(2)


async def rotate_keys(machine: Machine, times: int) -> None:
    """Give the routers a new key with SIGHUP, then sign with it."""
    for _ in range(times):
        machine.give_key()
        await asyncio.sleep(0.5)
        machine.use_key()
        await asyncio.sleep(0.5)


async def kill_both_with_standby(machine: Machine, times: int) -> None:
    """Kill both active routers at once while the other colour stands by."""
    for name in ("green-1", "green-2"):
        machine.start(name)
        await asyncio.to_thread(machine.wait_up, name)
    for _ in range(times):
        await _kill_both(machine)
    for name in ("green-1", "green-2"):
        await asyncio.to_thread(machine.stop, name)


async def kill_both(machine: Machine, times: int) -> None:
    """Kill both active routers at once while the other colour is stopped; they are started again 250 ms later."""
    for _ in range(times):
        await _kill_both(machine)


async def _kill_both(machine: Machine) -> None:
    for name in ("blue-1", "blue-2"):
        machine.signal(name, signal.SIGKILL)
    await asyncio.sleep(0.25)
    await asyncio.gather(*(asyncio.to_thread(machine.revive, name) for name in ("blue-1", "blue-2")))
    await asyncio.sleep(1)


TABLE: dict[str, tuple[int, Events]] = {
    "nothing, for 30 s": (30, nothing),
    "colour switch": (50, switch_colours),
    "HAProxy reload": (20, reload_haproxy),
    "SIGKILL of one router": (10, kill_one),
    "SIGSTOP of one router for 2 s": (10, freeze_one),
    "key rotation": (10, rotate_keys),
    "SIGKILL of both, the other colour standing by": (5, kill_both_with_standby),
    "SIGKILL of both, the other colour stopped": (5, kill_both),
}


async def main(names: list[str], share: float) -> None:
    """Print the table, row by row."""
    print(HEAD, flush=True)
    for name in names or TABLE:
        times, happen = TABLE[name]
        with tempfile.TemporaryDirectory(prefix="losses-") as folder:
            machine = Machine(Path(folder))
            try:
                machine.begin()
                row = await measure(machine, name, max(1, round(times * share)), happen)
            finally:
                await asyncio.to_thread(machine.end)
        note = f" <!-- {row.faults}, in at most {row.gap_ms:.0f} ms at a time -->" if row.lost or row.wrong else ""
        print(f"{row.line()}{note}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the times each event happens, such as 0.1")
    parser.add_argument("--only", action="append", choices=list(TABLE), default=[], help="one event; repeatable")
    options = parser.parse_args()
    asyncio.run(main(options.only, options.share))
