"""The command line as a user has it: real processes on free ports."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from forked import run_forked

from linkrouter.link import Keyring

COMMAND = [sys.executable, "-m", "linkrouter"]
os.environ.setdefault("LINKROUTER_RING", "off")  # most tests and benches look at one process; those of the ring say so
HANG_S = 120  # only what would never end takes as long, on a machine that does ten other things, too

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8
_PORTS = (20_000 + 1_500 * _WORKER, 20_000 + 1_500 * (_WORKER + 1) - 20)
_given: set[int] = set()


def free_port(count: int = 1) -> int:
    """Give the first of *count* ports in a row that nobody uses, and that this process of pytest gave nobody before.

    What got a port may listen there much later, or stop and start again. Below the range that the kernel takes outgoing
    connections from, so that none of those takes it meanwhile; each worker of xdist has a part of its own.
    """
    while True:
        first = random.randrange(*_PORTS)
        wanted = range(first, first + count)
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for port in wanted:
                probes.enter_context(socket.create_server(("127.0.0.1", port)))
            if _given.isdisjoint(wanted):
                _given.update(wanted)
                return first


def children(pid: int) -> list[int]:
    """Give the ids of the processes that *pid* started and that live."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def room():
    """Give how many times longer than alone a process may take here, where others want the cores, too.

    The load of the last minute says nothing of what began ten seconds ago; the pressure on the processor does.
    """
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1), 1 / (1.01 - _share_of_time_waited()))


def _share_of_time_waited():
    """Give the share of the last ten seconds in which something waited for a core, as Linux tells it."""
    with contextlib.suppress(OSError):
        if found := re.search(r"some avg10=([0-9.]+)", Path("/proc/pressure/cpu").read_text()):
            return min(0.9, float(found[1]) / 100)
    return 0.0


def wait_until(condition, timeout_s=15.0):
    """Look until *condition* gives something true, and give that; a refused connection is not yet.

    A busy machine is given longer than *timeout_s*.
    """
    began = time.monotonic()
    while time.monotonic() - began < timeout_s * room():
        with contextlib.suppress(OSError):
            if found := condition():
                return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def fetch(url, *, method="GET", headers=None, body=None, timeout=HANG_S):
    """Give (status, headers, body) of one request; redirects are not followed."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.headers, exc.read()


@dataclass
class Home:
    """A folder with keys and tokens, and the processes started in it."""

    path: Path
    processes: list[subprocess.Popen] = field(default_factory=list)
    central_port: int = field(default_factory=free_port)

    def run(self, *arguments, stdin=b"", check=True):
        """Run one command to its end."""
        done = run_forked(*arguments, cwd=self.path, stdin=stdin)
        assert not check or done.returncode == 0, done.stderr
        return done

    def start(self, *arguments):
        """Start a server; its standard error goes to `log` in this folder."""
        with open(self.path / "log", "ab") as log:
            process = subprocess.Popen([*COMMAND, *arguments], cwd=self.path, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def start_router(self, port, *options, wait=True):
        admin = free_port(count=4)  # one for each worker
        process = self.start(
            *("router", "--keys", "keys.json", "--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"),
            *("--ingest-url", f"http://127.0.0.1:{self.central_port}", "--ingest-token-file", "ingest-token"),
            *options,
        )
        process.admin_port = admin
        if wait:
            wait_until(lambda: self.answers(port, "/-/ready"))
        return process

    def start_central(self, *options, wait=True):
        process = self.start(
            *("central", "--listen", f"127.0.0.1:{self.central_port}", "--admin-listen", "127.0.0.1:0"),
            *("--ingest-token-file", "ingest-token"),
            *("--api-token-file", "api-token", *options),
        )
        if wait:
            wait_until(lambda: self.answers(self.central_port, "/-/ready"))
        return process

    def answers(self, port, path):
        with contextlib.suppress(OSError):
            return fetch(f"http://127.0.0.1:{port}{path}")[0] == 200

    def ask_central(self, path):
        token = (self.path / "api-token").read_text().strip()
        status, _, body = fetch(
            f"http://127.0.0.1:{self.central_port}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        assert status == 200, body
        return json.loads(body)

    def log(self) -> str:
        return (self.path / "log").read_text()

    def end(self):
        """Stop everything that was started here."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def make_home(path: Path) -> Home:
    """Give a home with a keyring and tokens."""
    home = Home(path)
    Keyring.create().save(path / "keys.json")
    for name in ("ingest-token", "api-token"):
        file = path / name
        file.touch(mode=0o600)
        file.write_text(f"{name}-" + os.urandom(16).hex())
    return home
