"""HAProxy in front of two routers, with the time-outs and retries of the shipped configuration and without its TLS."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SHIPPED = Path(__file__).parents[2] / "haproxy" / "haproxy.cfg"
CONFIG = """
global
    maxconn 1000

{defaults}
frontend clicks
    bind 127.0.0.1:{port}
    default_backend routers

backend routers
    option httpchk GET /-/ready
    default-server check observe layer4 error-limit 1 on-error mark-down
{servers}
"""


def start_front(folder: Path, port: int, routers: list[int]) -> subprocess.Popen:
    """Start HAProxy on *port* before the *routers*' ports; skips the test where there is none."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        pytest.skip("HAProxy is not installed")
    defaults = re.search(r"(?ms)^defaults\n.*?(?=^\w)", SHIPPED.read_text())[0]
    servers = "\n".join(f"    server r{router} 127.0.0.1:{router}" for router in routers)
    config = folder / "haproxy.cfg"
    config.write_text(CONFIG.format(defaults=defaults, port=port, servers=servers))
    with open(folder / "log", "ab") as log:
        return subprocess.Popen([program, "-db", "-f", config], stdout=log, stderr=log)
