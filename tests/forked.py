"""Commands of the command line in forks of one process that has imported them: a start takes a hundredth of the time.

Promise: a command has the arguments, folder, environment and standard streams that it would have if a shell had started
it, in a process of its own. Only its modules were read before. Whatever tests a start itself, or serves until it is
told to stop, is started as a user does it.
"""

import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from importlib import import_module

MODULES = [
    *("checker.compose", "checker.layouts", "checker.pages"),
    *("cli.check_run", "cli.central", "cli.decode", "cli.encode", "cli.keys", "cli.router", "cli.takeback"),
]
LONGEST_S = 120
_lock = threading.Lock()
_server: list[tuple[subprocess.Popen, socket.socket]] = []


def run_forked(*arguments: str, cwd=None, stdin: bytes = b"", env=None) -> subprocess.CompletedProcess:
    """Run `linkrouter` with *arguments* to its end; one at a time.

    Raises:
        TimeoutError: it did not end.
    """
    order = {
        "arguments": [text if isinstance(text, str) else os.fsdecode(text) for text in arguments],
        "cwd": str(cwd or os.getcwd()),
        "env": dict(env or os.environ),
    }
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        with _lock:
            code = _order(json.dumps(order).encode(), [file.fileno() for file in (given, out, err)])
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(order["arguments"], code, out.read(), err.read())


def _order(message: bytes, streams: list[int]) -> int:
    """Have the process that forks do it, and give the exit code; the first call starts that process."""
    if not _server:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(LONGEST_S)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        process.returncode = 0  # it ends with this one
        _server.append((process, ours))
    process, connection = _server[0]
    socket.send_fds(connection, [message], streams)
    try:
        return int(connection.recv(16))
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        _server.clear()
        connection.close()
        raise


def _serve(connection: socket.socket) -> None:
    """Fork for each order and say how the command ended, until nobody can order any more."""
    while True:
        message, streams, _, _ = socket.recv_fds(connection, 2**20, 3)
        if not message:
            return
        if (pid := os.fork()) == 0:
            connection.close()
            _become(json.loads(message), streams)
            return
        for stream in streams:
            os.close(stream)
        connection.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _become(order: dict, streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["linkrouter", *order["arguments"]]
    runpy.run_module("linkrouter", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of the tests, which no command may import from
    for name in MODULES:
        with contextlib.suppress(ImportError):  # without an extra, its commands are not tested
            import_module(f"linkrouter.{name}")
    _serve(socket.socket(fileno=int(sys.argv[1])))
