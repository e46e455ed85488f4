"""Real brokers on loopback for the tests: Redis and PostgreSQL from Debian's packages."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import HANG_S, free_port

AS_POSTGRES = "postgres"  # PostgreSQL does not run as root


class Server:
    """A server process that can be killed, frozen and started again on the same data and port."""

    def __init__(self, command, port, folder=None, is_ready=None, **options):
        self._command, self._options, self.port, self._folder = command, options, port, folder
        self._is_ready = is_ready  # a command that says so, where an open port does not
        self._process = None
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **self._options
        )
        wait_for_port(self.port)
        while self._is_ready and subprocess.run(self._is_ready, stdout=subprocess.DEVNULL).returncode:
            assert self._process.poll() is None
            time.sleep(0.05)

    @property
    def pid(self):
        return self._process.pid

    def send(self, number):
        """Send a signal to the server and all that it started; PostgreSQL's have groups of their own."""
        pid = self._process.pid
        started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, started)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, number)

    def kill(self):
        self.send(signal.SIGKILL)
        self._process.wait()

    def is_alive(self):
        return self._process.poll() is None

    def stop(self):
        if self.is_alive():
            self.send(signal.SIGCONT)
            self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder)


def wait_for_port(port):
    end = time.monotonic() + HANG_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def start_redis(folder: Path, *options: str) -> Server:
    """Start a Redis that keeps its data in *folder*, with every write synced unless *options* say otherwise."""
    program = shutil.which("redis-server")
    if program is None or find_spec("redis") is None:
        pytest.skip("needs redis-server and the package redis")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    return Server([*command, "--appendonly", "yes", "--appendfsync", "always", *options], port)


def start_postgres(*options: str) -> Server:
    """Start a PostgreSQL, set to *options*, with the database `postgres` and its user, trusted on loopback."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs or find_spec("asyncpg") is None:
        pytest.skip("needs PostgreSQL's server and the package asyncpg")
    ran_as = {"user": AS_POSTGRES} if os.geteuid() == 0 else {}
    data = Path(tempfile.mkdtemp(prefix="linkrouter-postgres-"))  # pytest's folders are for one user alone
    if ran_as:
        shutil.chown(data, AS_POSTGRES)
    made = [programs[-1] / "initdb", "--auth=trust", "--username=postgres", "--no-sync", "-D", data]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd="/", **ran_as)
    port = free_port()
    command = [programs[-1] / "postgres", "-D", data, "-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1"]
    is_ready = [programs[-1] / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    command += [f"--{option}" for option in options]
    return Server(command, port, data, is_ready, cwd="/", **ran_as)
