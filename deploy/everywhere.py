"""All machines of the inventory at once: their status in one table, and a switch or drain of one after the other.

Promise: a machine is touched only when all before it have succeeded; one that cannot be asked is said, not left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from haproxy_socket import Stopped
from machines import Remote
from telling import say

HEAD = ("machine", "active", "routers", "keys", "version")
FINDINGS = 1  # the exit code of a status that has some


@dataclass(frozen=True, slots=True)
class Survey:
    """What each machine said of itself; `said` lacks those in `silent`, which has the reason of each."""

    said: dict[str, dict[str, Any]]
    silent: dict[str, str]

    @property
    def findings(self) -> list[str]:
        """List what each machine found, and in what machines differ that should be alike."""
        found = [*self.silent.values()]
        found += [f"{name}: {finding}" for name, status in self.said.items() for finding in status["findings"]]
        keys = {name: status["keys"] for name, status in self.said.items()}
        if len(set(keys.values())) > 1:
            cure = "run 'linkrouter-deploy push' where the keyring is complete"
            found.append(f"machines have different keys ({_each(keys)}): {cure}")
        versions = {name: _version(status) for name, status in self.said.items()}
        if len({version for version in versions.values() if version != "?"}) > 1:
            cure = "finish with 'install.sh colour' and 'linkrouter-deploy switch --all'"
            found.append(f"active routers are of different versions ({_each(versions)}): {cure}")
        return found

    def lines(self) -> list[str]:
        """Give it as a table, with the findings below."""
        rows = [HEAD, *(_row(name, status) for name, status in self.said.items())]
        rows += [(name, "?", "?", "?", "?") for name in self.silent]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return [*table, *self.findings]

    def to_json(self) -> dict[str, object]:
        """Give it as a JSON object."""
        return {"machines": self.said, "silent": self.silent, "findings": self.findings}


def survey(machines: Sequence[Remote]) -> Survey:
    """Ask every machine for its status; changes nothing."""
    said: dict[str, dict[str, Any]] = {}
    silent: dict[str, str] = {}
    for machine in machines:
        try:
            status = machine.ask("status", "--json", fine=(0, FINDINGS))
            _row(machine.name, status)
        except Stopped as exc:
            silent[machine.name] = str(exc)
        except (KeyError, TypeError):
            silent[machine.name] = f"{machine.name}: its linkrouter-deploy says less than this one; is it older?"
        else:
            said[machine.name] = status
    return Survey(said, silent)


def move_all(machines: Sequence[Remote], *commands: Sequence[str]) -> None:
    """Have one machine after the other do all *commands*, such as `switch green`; each says its steps itself.

    Raises:
        Stopped: one did not succeed; those behind it are as they were.
    """
    done: list[str] = []
    for machine in machines:
        say(f"{machine.name}:")
        try:
            for command in commands:
                machine.run(*command)
        except Stopped as exc:
            left = [other.name for other in machines[len(done) + 1 :]]
            raise Stopped(
                f"{exc}; done: {', '.join(done) or 'none'}; not begun: {', '.join(left) or 'none'}; "
                "mend that machine, then run this again"
            ) from exc
        done.append(machine.name)


def _row(name: str, status: dict[str, Any]) -> tuple[str, ...]:
    routers = status["routers"]
    up = sum(bool(router["up"]) for router in routers)
    return (name, str(status["active"]), f"{up} of {len(routers)} up", str(status["keys"]), _version(status))


def _version(status: dict[str, Any]) -> str:
    """Give the version of the active routers; several where they differ."""
    found = {str(router["version"]) for router in status["routers"] if router["active"] and router["version"]}
    return " ".join(sorted(found)) or "?"


def _each(values: dict[str, str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in values.items())
