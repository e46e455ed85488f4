"""How one machine runs linkrouter-deploy on another, where both are on this one."""

import json
import subprocess
import sys

from haproxy.machine import Machine

REACH = """
import json, os, sys
from pathlib import Path
command = json.loads((Path(__file__).parent / "reach.json").read_text())[sys.argv[1]]
os.execv(command[0], [*command, *sys.argv[2:]])
"""


def let_reach(first: Machine, other: Machine, inventory: str) -> None:
    """Let *first*, whose inventory is to be that, reach *other* by that name."""
    (first.home / "reach.py").write_text(REACH)
    (first.home / "reach.json").write_text(json.dumps({"other": other.deploy_command()}))
    (first.home / "machines").write_text(inventory)


def deploy_over(machine: Machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run linkrouter-deploy on *machine*, which reaches the other."""
    return machine.deploy("--reach", f"{sys.executable} {machine.home}/reach.py {{machine}}", *arguments)
