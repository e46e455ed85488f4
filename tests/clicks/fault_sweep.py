"""A program that runs a store on a disk which fails at the Nth call, and says what became of the clicks.

Run under `shim.c`: fault_sweep.py DIRECTORY FAULT TIMES STEP. It prints one JSON object: how many calls a run without a
fault makes, and for each N whose fault left something to complain about, what that was.
"""

import asyncio
import ctypes
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from linkrouter.clicks import Click, StoreLimits
from linkrouter.clicks.click import write_click
from linkrouter.clicks.spool.store import Spool
from linkrouter.clicks.spool.timings import SpoolTimings
from linkrouter.errors import StoreError

COMMITS, CLICKS = 8, 25
# Rolls every few commits; looks at everything at once.
TIMINGS = SpoolTimings(segment_bytes=9000, search_interval_s=0.0, live_interval_s=0.0, measure_interval_s=0.0)
NEVER, FOR_EVER = 10**9, 10**9
SLOW_US = 20_000
START_S = 2 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # longer where others want the cores, too
SALVAGE_CALLS = 60  # more than taking over a damaged segment and closing takes

shim = ctypes.CDLL(None)
shim.shim_calls.restype = ctypes.c_long
shim.shim_arm.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_long, ctypes.c_long)


def arm(fault: str, nth: int, times: int = FOR_EVER) -> None:
    shim.shim_arm(fault.encode(), nth, times, SLOW_US)


def record(name: str) -> bytes:
    return write_click(Click(name, "-----w", 0, "html", 0, None, None, "click"))


def new_store(directory: Path) -> Spool:
    return Spool(directory, StoreLimits(reserve_bytes=0), TIMINGS)


async def drain(store: Spool, tell) -> None:
    while batch := await store.next_batch(40):
        tell("sent", [json.loads(record)["id"] for record in batch.records])
        await store.ack(batch)


async def work(store: Spool, tell) -> None:
    """Append, and send a part of it in between; tell what is durable, what is sent, and what was refused."""
    try:
        await store.open()
    except StoreError:
        tell("refused", ["open"])
    for commit in range(COMMITS):
        ids = [f"id-{commit:03d}-{number:03d}" for number in range(CLICKS)]
        try:
            await store.append([record(name) for name in ids])
            tell("kept", ids)
        except StoreError:
            tell("refused", ids)
        if commit % 3 == 2 and (batch := await store.next_batch(40)):
            tell("sent", [json.loads(record)["id"] for record in batch.records])
            await store.ack(batch)


async def run(directory: Path, fault: str, nth: int, times: int, tell) -> None:
    store = new_store(directory)
    arm(fault, nth, times)
    try:
        await work(store, tell)
    finally:
        arm("none", 0)
        await store.close()


def run_in_a_child(live, tell) -> None:
    """Run *live* until the shim kills; a pipe keeps what the child told."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        asyncio.run(live(lambda *line: os.write(writing, json.dumps(line).encode() + b"\n")))
        os._exit(0)
    os.close(writing)
    with open(reading) as told:
        for line in told:
            tell(*json.loads(line))
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status


async def recover(directory: Path, tell) -> dict:
    """Start afresh on a disk that works, and send all there is."""
    started = time.monotonic()
    store = new_store(directory)
    await store.open()
    tell("start_s", [time.monotonic() - started])
    try:
        await drain(store, tell)
        status = await store.status()
    finally:
        await store.close()
    return {"lost": dict(status.lost), "quarantined": status.quarantined, "pending": status.pending}


async def leave_eighty(directory: Path) -> None:
    """Leave a spool with eighty clicks, as a process does that dies."""
    store = Spool(directory, StoreLimits(reserve_bytes=0))
    await store.open()
    await store.append([record(f"id-{n:03d}") for n in range(80)])
    os._exit(0)


def judge_salvage(directory: Path, nth: int) -> dict:
    """Give what is wrong after a kill at the *nth* call of a process that takes over eighty clicks, one spoilt."""
    told: dict[str, list] = {"sent": [], "start_s": []}
    shutil.rmtree(directory, ignore_errors=True)
    run_in_a_child(lambda _: leave_eighty(directory), None)
    for path in directory.glob("*.db*"):
        path.write_bytes(path.read_bytes().replace(b'"id-040"', b'"XX-040"'))

    async def live(tell) -> None:
        arm("kill", nth, 1)
        await recover(directory, tell)

    run_in_a_child(live, lambda what, values: told[what].extend(values))
    after = asyncio.run(recover(directory, lambda what, values: told[what].extend(values)))
    wrong = {"pending": after["pending"]} if after["pending"] else {}
    # A kill between the moves of two files of a segment makes each miss what is in the other: too many, never too few.
    if not after["lost"] or not after["quarantined"]:
        wrong["status"] = after
    if len(set(told["sent"])) != 79:
        wrong["sent"] = len(set(told["sent"]))
    return wrong


def judge(directory: Path, fault: str, nth: int, times: int) -> dict:
    """Give what is wrong after a run whose *nth* call failed; nothing, if nothing is."""
    told: dict[str, list] = {"kept": [], "sent": [], "refused": [], "start_s": []}

    def tell(what, values):
        told[what] += values

    shutil.rmtree(directory, ignore_errors=True)
    if fault == "kill":
        run_in_a_child(lambda tell: run(directory, "kill", nth, 1, tell), tell)
    else:
        asyncio.run(run(directory, fault, nth, times, tell))
    wrong = {name: value for name, value in asyncio.run(recover(directory, tell)).items() if value}
    if left := sorted(path.name for path in directory.rglob("*") if path.is_file()):
        wrong["left"] = left
    if missing := sorted(set(told["kept"]) - set(told["sent"])):
        wrong["missing"] = missing
    if max(told["start_s"]) > START_S:
        wrong["start_s"] = told["start_s"]
    if times == 1 and told["refused"]:
        wrong["refused"] = told["refused"]
    return wrong


def main() -> None:
    root, fault, times, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) or FOR_EVER, int(sys.argv[4])
    directory = root / "spool"
    calls = count_calls(root, fault) if fault != "kill-salvage" else SALVAGE_CALLS
    wrong = {}
    for nth in range(1, calls + 1, step):
        found = judge_salvage(directory, nth) if fault == "kill-salvage" else judge(directory, fault, nth, times)
        if found:
            wrong[nth] = found
    print(json.dumps({"calls": calls, "wrong": wrong}))


def count_calls(root: Path, fault: str) -> int:
    """Count the calls of a run in which nothing fails."""

    async def count() -> int:
        store = new_store(root / "spool")
        arm(fault, NEVER)
        await work(store, lambda *_: None)
        calls = shim.shim_calls()
        arm("none", 0)
        await store.close()
        return calls

    shutil.rmtree(root / "spool", ignore_errors=True)
    return asyncio.run(count())


main()
