"""Start and stop "units" where there is no systemd: `starter.py VERB UNIT…` as systemctl has it, in a machine's folder.

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


def restart(home: Path, unit: str) -> None:
    """Stop *unit* if it runs, and start it."""
    stop(home, unit)
    start(home, unit)


def reload(home: Path, unit: str) -> None:
    """Have *unit* read its files again."""
    pid = find_pid(home, unit)
    if pid is None:
        sys.exit(f"{unit} is not active")
    os.kill(pid, signal.SIGHUP)


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
    folder, (verb, *names) = Path(sys.argv[0]).parent, sys.argv[1:]
    for name in names:
        if verb == "is-active":
            sys.exit(3 if find_pid(folder, name) is None else 0)
        {"start": start, "stop": stop, "restart": restart, "reload": reload}[verb](folder, name)
