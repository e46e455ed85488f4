"""Start and stop "units" where there is no systemd: `starter.py start|stop UNIT`, in the folder of a machine.

What a unit runs stands in `units/UNIT.json`; its process id in `run/UNIT`, what it says in `log/UNIT`.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STOP_S = 15.0


def start(home: Path, unit: str) -> int:
    """Start *unit* unless it runs; give its process id."""
    if (running := find_pid(home, unit)) is not None:
        return running
    what = json.loads((home / "units" / f"{unit}.json").read_text())
    for name in ("run", "log"):
        (home / name).mkdir(exist_ok=True)
    with open(home / "log" / unit, "ab") as log:
        process = subprocess.Popen(
            what["command"],
            cwd=home,
            env={**os.environ, **what["environment"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (home / "run" / unit).write_text(f"{process.pid}")
    process.returncode = 0  # it outlives this program, or is looked after by its id
    return process.pid


def stop(home: Path, unit: str) -> None:
    """Stop *unit* gracefully, and return when it is gone."""
    pid = find_pid(home, unit)
    if pid is None:
        return
    os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + STOP_S
    while find_pid(home, unit) is not None:
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def find_pid(home: Path, unit: str) -> int | None:
    """Give the process of *unit*, if it lives."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((home / "run" / unit).read_text())
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            return pid
    return None


if __name__ == "__main__":
    {"start": start, "stop": stop}[sys.argv[1]](Path(sys.argv[0]).parent, sys.argv[2])
