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
        self._command, self._options, self.port, self.folder = command, options, port, folder
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

    def is_running(self):
        return self._process.poll() is None

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

    def end(self):
        """Let it end in order, at once."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def stop(self):
        if self.is_alive():
            self.send(signal.SIGCONT)
            self.kill()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


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


def start_postgres(*options: str, place: Path | None = None) -> Server:
    """Start a PostgreSQL, set to *options*, with the database `postgres` and its user, trusted on loopback.

    Its files are in a new folder, in *place* where that is given.
    """
    programs = _find_postgres()
    data = _make_folder(place)
    made = [programs / "initdb", "--auth=trust", "--username=postgres", "--no-sync", "-D", data]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd="/", **_ran_as())
    return serve_postgres(data, free_port(), *options)


def start_replica(primary: Server, *options: str) -> Server:
    """Start a PostgreSQL that follows *primary*."""
    data = _make_folder(None)
    data.chmod(0o700)
    copied = [_find_postgres() / "pg_basebackup", "-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"]
    subprocess.run([*copied, "-D", data, "-R", "-X", "stream", "-c", "fast"], check=True, cwd="/", **_ran_as())
    return serve_postgres(data, free_port(), *options)


def promote(replica: Server, port: int, *options: str) -> Server:
    """Make *replica* a primary of its own, and move it to *port*, as an address moves that clients know."""
    subprocess.run(
        [_find_postgres() / "pg_ctl", "promote", "-w", "-D", replica.folder],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
        **_ran_as(),
    )
    replica.end()
    return serve_postgres(replica.folder, port, *options)


def serve_postgres(data: Path, port: int, *options: str) -> Server:
    """Start a PostgreSQL on what is in *data*."""
    programs = _find_postgres()
    command = [programs / "postgres", "-D", data, "-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1"]
    is_ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    command += [f"--{option}" for option in options]
    return Server(command, port, data, is_ready, cwd="/", **_ran_as())


def _find_postgres() -> Path:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs or find_spec("asyncpg") is None:
        pytest.skip("needs PostgreSQL's server and the package asyncpg")
    return programs[-1]


def _make_folder(place: Path | None) -> Path:
    """Make a folder for the user that the server runs as; pytest's are for one user alone."""
    data = Path(tempfile.mkdtemp(prefix="linkrouter-postgres-", dir=place))
    if _ran_as():
        shutil.chown(data, AS_POSTGRES)
    return data


def _ran_as() -> dict[str, str]:
    return {"user": AS_POSTGRES} if os.geteuid() == 0 else {}
