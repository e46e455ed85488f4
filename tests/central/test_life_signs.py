"""Signs of life: what systemd hears of a service, and what a hung loop comes to. This test stands in for systemd."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest
from processes import children, free_port, room, wait_until

WATCHDOG_S = 0.5
PROGRAM = """
import signal, sys, time
from linkrouter.__main__ import main
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(600))  # in the thread of the loop, as a hung call would
main()
"""


class Manager:
    """What hears the process and kills it when it is silent for longer than the watchdog allows."""

    def __init__(self, home, address: str) -> None:
        self._home, self._address = home, address
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._channel.settimeout(15 * room())

    def start(self) -> subprocess.Popen:
        return self.start_service(
            *("central", "--listen", f"127.0.0.1:{self._home.central_port}", "--admin-listen", "127.0.0.1:0"),
            *("--ingest-token-file", "ingest-token", "--api-token-file", "api-token"),
        )

    def start_service(self, *arguments) -> subprocess.Popen:
        environment = {"NOTIFY_SOCKET": self._address, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
        with open(self._home.path / "log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments],
                cwd=self._home.path,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
            )
        self._home.processes.append(process)
        return process

    def hear(self) -> str:
        return self._channel.recv(4096).decode()

    def watch(self, process: subprocess.Popen) -> None:
        """Wait until *process* was silent for too long, and abort it."""
        self._channel.settimeout(WATCHDOG_S)
        with contextlib.suppress(TimeoutError):
            while True:
                self.hear()
        self._channel.settimeout(15 * room())
        process.send_signal(signal.SIGABRT)

    def close(self) -> None:
        self._channel.close()


@pytest.mark.parametrize("is_abstract", [False, True], ids=["a path", "an abstract name"])
def test_a_service_is_ready_when_it_listens_and_alive_while_its_loop_turns(home, is_abstract):
    manager = Manager(home, f"@linkrouter-{os.getpid()}" if is_abstract else str(home.path / "notify"))
    with contextlib.closing(manager):
        process = manager.start()
        assert manager.hear() == "READY=1"
        assert home.answers(home.central_port, "/-/ready")
        assert [manager.hear() for _ in range(3)] == ["WATCHDOG=1"] * 3

        process.send_signal(signal.SIGTERM)

        heard = manager.hear()
        while heard == "WATCHDOG=1":
            heard = manager.hear()
        assert heard == "STOPPING=1"
        assert process.wait(15 * room()) == 0


def test_a_hung_loop_is_silent_and_is_killed_with_its_place_in_the_log(home):
    manager = Manager(home, str(home.path / "notify"))
    with contextlib.closing(manager):
        process = manager.start()
        assert manager.hear() == "READY=1"

        process.send_signal(signal.SIGUSR1)
        manager.watch(process)

        assert process.wait(15 * room()) == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in home.log()
        assert 'File "<string>", line 4' in home.log()
        manager.start()
        while manager.hear() != "READY=1":
            pass
        wait_until(lambda: home.answers(home.central_port, "/-/ready"))


def test_a_hung_worker_or_carrier_is_killed_and_started_again(home):
    manager, port = Manager(home, str(home.path / "notify")), free_port()
    with contextlib.closing(manager):
        options = ("--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{free_port(3)}", "--workers", "2")
        router = manager.start_service("router", "--keys", "keys.json", *options)
        while manager.hear() != "READY=1":
            pass
        first = children(router.pid)
        assert len(first) >= 2

        for pid in first:
            os.kill(pid, signal.SIGSTOP)

        wait_until(lambda: not set(first) & set(children(router.pid)), 60)
        wait_until(lambda: len(children(router.pid)) == len(first) and home.answers(port, "/-/ready"), 60)
        assert home.log().count('"worker.hung"') >= 2
        assert router.poll() is None
