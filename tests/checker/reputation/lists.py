"""A real rbldnsd on a free loopback port, with zones made for a test."""

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import HANG_S, free_port


@contextmanager
def rbldnsd(**zones):
    """Serve *zones*, from a zone's name with _ for . to lines of a dnset; gives the server's (address, port)."""
    program = shutil.which("rbldnsd") or shutil.which("rbldnsd", path="/usr/sbin")
    if program is None:
        pytest.skip("rbldnsd is not installed; run: apt-get install rbldnsd")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # root's rbldnsd reads it as another user
        for zone, lines in zones.items():
            (folder / zone).write_text("\n".join(lines) + "\n")
        port = free_port()
        served = [f"{zone.replace('_', '.')}:dnset:{folder / zone}" for zone in zones]
        process = subprocess.Popen(
            [program, "-n", "-b", f"127.0.0.1/{port}", "-w", folder, *served],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(process, port)
            yield "127.0.0.1", port
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(process, port):
    query = b"\0\1\1\0\0\1\0\0\0\0\0\0\1x\0\0\1\0\1"
    deadline = time.monotonic() + HANG_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        while time.monotonic() < deadline and process.poll() is None:
            try:
                probe.sendto(query, ("127.0.0.1", port))
                probe.recv(512)
            except OSError:
                continue
            return
    pytest.skip("rbldnsd does not start here")
