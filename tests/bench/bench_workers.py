"""What a second worker adds: the rate of `--workers 2` beside that of one.

    python tests/bench/bench_workers.py [--rounds 3] [--seconds 4]

With three cores or more, each worker has one and the load another. With two, a worker is given two fifths of a core,
so that one on each leaves room for the load; that takes root, for control groups. Wanted: wrk.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import load

from linkrouter.link.keyring import Keyring

sys.path.insert(0, str(Path(__file__).parents[1]))
from processes import free_port

GROUPS = Path("/sys/fs/cgroup")
PERIOD_US, QUOTA_US = 100_000, 40_000
STORES = ("memory:", "sqlite:///{home}/spool")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    if load.find_missing("wrk"):
        sys.exit(3)
    print("| click store | one worker | two workers | ratio |")
    print("|---|---:|---:|---:|")
    for store in STORES:
        with tempfile.TemporaryDirectory(prefix="bench-workers-") as scratch, contextlib.ExitStack() as stack:
            one, two = _measure(stack, Path(scratch), store, options.rounds, options.seconds)
        print(f"| `{store.partition(':')[0]}:` | {one:,.0f}/s | {two:,.0f}/s | {two / one:.2f} |", flush=True)


def _measure(stack: contextlib.ExitStack, home: Path, store: str, rounds: int, seconds: int) -> tuple[float, float]:
    ring = Keyring.create()
    ring.save(home / "keys.json")
    script = load.write_wrk_script(home, [ring.sign(url) for url in load.destinations()])
    ports = free_port(count=3), free_port(count=3)  # each with its workers' admin ports
    for count, port in zip((1, 2), ports, strict=True):
        router = stack.enter_context(_router(home, port, count, store.format(home=home / str(count))))
        workers = load.tree(router.pid)[1:] or [router.pid]
        for core, worker in enumerate(workers):
            stack.enter_context(_given(worker, core, f"linkrouter-bench-{count}-{core}"))
    rates: dict[int, list[float]] = {port: [] for port in ports}
    for _ in range(rounds):
        for port, measured in rates.items():
            measured.append(load.closed_loop(f"http://127.0.0.1:{port}", script, seconds).rate)
    return statistics.median(rates[ports[0]]), statistics.median(rates[ports[1]])


@contextlib.contextmanager
def _router(home: Path, port: int, workers: int, store: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "linkrouter", "router", "--keys", str(home / "keys.json"), "--click-store", store]
    command += ["--workers", str(workers), "--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{port + 1}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        load.wait_for_port(port)
        time.sleep(1.0)  # for the second worker to listen, too
        yield process
    finally:
        process.terminate()
        process.wait(15)


@contextlib.contextmanager
def _given(pid: int, core: int, name: str) -> Iterator[None]:
    """Keep *pid* to one core, or to a share of one where there is none to spare for the load."""
    subprocess.run(["taskset", "-a", "-p", "-c", str(core), str(pid)], check=True, stdout=subprocess.DEVNULL)
    if (os.cpu_count() or 1) >= 3:
        yield
        return
    try:
        group = _make_group(name)
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as exc:
        raise SystemExit(
            f"no control group can be made here ({exc.strerror}); run it as root, or on more cores"
        ) from exc
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _make_group(name: str) -> Path:
    """Make a control group that may use `QUOTA_US` of every `PERIOD_US`, of version 1 or 2."""
    if (GROUPS / "cpu").is_dir():
        group = GROUPS / "cpu" / name
        group.mkdir(exist_ok=True)
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(QUOTA_US))
        return group
    (GROUPS / "cgroup.subtree_control").write_text("+cpu")
    group = GROUPS / name
    group.mkdir(exist_ok=True)
    (group / "cpu.max").write_text(f"{QUOTA_US} {PERIOD_US}")
    return group


if __name__ == "__main__":
    main()
