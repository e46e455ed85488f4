"""Start-up and memory: what `linkrouter --help` costs, and what a router at rest takes.

python tests/bench/bench_size.py
"""

import contextlib
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from linkrouter.link import Keyring

COMMAND = [sys.executable, "-m", "linkrouter"]
RUNS = 7


def main() -> None:
    print("| what | measured |")
    print("|---|---:|")
    for name, command in (
        ("linkrouter --help", [*COMMAND, "--help"]),
        ("python -c pass", [sys.executable, "-c", "pass"]),
    ):
        print(f"| `{name}`, CPU | {statistics.median(_cpu_s(command) for _ in range(RUNS)):.3f} s |")
    print(f"| a router at rest, resident | {_router_rss_mb():.0f} MB |")


def _cpu_s(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _router_rss_mb() -> float:
    """Start a router with spool and sync, let it settle, and read its resident size."""
    with tempfile.TemporaryDirectory(prefix="bench-size-") as scratch:
        home = Path(scratch)
        Keyring.create().save(home / "keys.json")
        (home / "token").touch(mode=0o600)
        (home / "token").write_text("t" * 32)
        port = _free_port()
        process = subprocess.Popen(
            [
                *(
                    *COMMAND,
                    "router",
                    "--keys",
                    str(home / "keys.json"),
                    "--listen",
                    f"127.0.0.1:{port}",
                    "--ring",
                    "off",
                ),
                *("--admin-listen", "127.0.0.1:0", "--click-store", f"sqlite:///{home}/spool"),
                *("--ingest-url", "http://127.0.0.1:1", "--ingest-token-file", str(home / "token")),
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            time.sleep(2)
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.terminate()
            process.wait(15)
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
