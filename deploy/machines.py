"""The machines of all regions: one keyring everywhere, changed in an order in which no link dies by mistake.

Promise: a key signs only when every router of every machine says that it verifies it, and what did not succeed on one
machine is said of that machine. A keyring goes through standard input, never through a command line or a file on the
way. Each step may be done again.
"""

import json
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from haproxy_socket import Stopped
from keyfile import KeyFile, KeyRow, summary_of
from telling import say


@dataclass(frozen=True, slots=True)
class Remote:
    """One machine, and the command line by which its linkrouter-deploy is reached."""

    name: str
    command: tuple[str, ...]

    def ask(self, *arguments: str, stdin: bytes = b"", fine: tuple[int, ...] = (0,)) -> dict[str, object]:
        """Run linkrouter-deploy there with *arguments*, and give the JSON object it prints.

        Raises:
            Stopped: it cannot be reached, or ends with a code that is not *fine*.
        """
        done = self._run(*arguments, stdin=stdin, out=subprocess.PIPE)
        if done.returncode not in fine:
            said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"]
            raise Stopped(f"{self.name}: {said[-1].removeprefix('linkrouter-deploy: ')}")
        try:
            answer: dict[str, object] = json.loads(done.stdout)
        except ValueError as exc:
            raise Stopped(f"{self.name}: its linkrouter-deploy answers what is no JSON; is it older?") from exc
        return answer

    def run(self, *arguments: str) -> None:
        """Run linkrouter-deploy there with *arguments*; what it says is seen.

        Raises:
            Stopped: it cannot be reached, or says that it did not succeed.
        """
        if code := self._run(*arguments, out=None).returncode:
            raise Stopped(f"{self.name} did not succeed (exit {code}, see above)")

    def _run(self, *arguments: str, stdin: bytes = b"", out: int | None) -> "subprocess.CompletedProcess[bytes]":
        command = [*self.command, *arguments]
        try:
            return subprocess.run(command, input=stdin, stdout=out, stderr=out, check=False)  # noqa: S603 - operator's
        except OSError as exc:
            raise Stopped(f"{self.name}: {command[0]!r} cannot be run ({exc.strerror}); give --reach") from exc


def read_inventory(path: Path, reach: str, local: Sequence[str]) -> list[Remote]:
    """Read the machines in *path*, one a line, `local` for this one; with no file there is only this one.

    *reach* is the command for another machine, with {machine} in it; *local* the one for this machine.

    Raises:
        Stopped: the file cannot be read or names no machine.
    """
    if not path.exists():
        return [Remote("local", tuple(local))]
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as exc:
        raise Stopped(f"inventory {str(path)!r} cannot be read; it must name one machine a line") from exc
    names = list(dict.fromkeys(line for line in lines if line))
    if not names or any(len(name.split()) != 1 or name.startswith("-") for name in names):
        raise Stopped(f"inventory {str(path)!r} must name one machine a line, such as root@fra-1.example.com or local")

    def command(name: str) -> tuple[str, ...]:
        return tuple(local) if name == "local" else tuple(word.format(machine=name) for word in shlex.split(reach))

    return [Remote(name, command(name)) for name in names]


def rotate(machines: list[Remote], keys: KeyFile) -> int:
    """Give every machine a fresh key, make it the one that signs when all verify it, and give its id.

    A rotation that was cut off goes on with its key.

    Raises:
        Stopped: a machine cannot be reached, has a key that is not here, or has a router that does not verify the key.
    """
    _survey(machines, keys.rows())
    key_id = _pending(keys.rows()) or keys.add()
    say(f"key {key_id} verifies here; giving it to {_named(machines)}")
    failures = push(machines, keys)
    if failures:
        raise Stopped(
            f"{'; '.join(failures)}; so key {key_id} is not handed out, and no link is signed with it; "
            "mend that, then run 'linkrouter-deploy rotate' again"
        )
    say(f"every router says that it verifies key {key_id}")
    keys.sign_with(key_id)
    failures = push(machines, keys)
    if failures:
        raise Stopped(
            f"{'; '.join(failures)}; key {key_id} signs here all the same, for every router verifies it; "
            "mend that, then run 'linkrouter-deploy push'"
        )
    return key_id


def revoke(machines: list[Remote], keys: KeyFile, key_id: int, host: str) -> None:
    """Make the links of *key_id* dead on every machine; one that fails keeps no other from it.

    Raises:
        Stopped: a router still follows such a link, or a machine cannot be reached.
    """
    states = {row.id: row.state for row in keys.rows()}
    dead = keys.link(host, key_id).split()[0] if states.get(key_id) in ("sign", "verify") else None
    keys.revoke(key_id)
    say(f"key {key_id} is revoked here; telling {_named(machines)}")
    failures = push(machines, keys, *(("--dead", dead) if dead else ()))
    if failures:
        raise Stopped(
            f"{'; '.join(failures)}; the other machines refuse the links of key {key_id}; "
            f"mend that, then run 'linkrouter-deploy revoke {key_id}' again"
        )


def push(machines: list[Remote], keys: KeyFile, *arguments: str) -> list[str]:
    """Give every machine the keyring as it stands here, and give what failed, a line for each machine."""
    content, wanted, failures = keys.content(), summary_of(keys.rows()), []
    for machine in machines:
        try:
            answer = machine.ask("accept-keys", *arguments, stdin=content)
        except Stopped as exc:
            failures.append(str(exc))
            continue
        routers = answer.get("routers")
        said = {name: used for name, used in routers.items() if used} if isinstance(routers, dict) else {}
        if set(said.values()) - {wanted}:
            failures.append(f"{machine.name}: its routers use {', '.join(sorted(set(said.values())))}")
        say(f"  {machine.name}: {', '.join(sorted(said)) or 'no router runs'}; keys {wanted}")
    return failures


def _survey(machines: list[Remote], ours: list[KeyRow]) -> None:
    """Refuse when a machine holds what would be lost if it took over our keyring."""
    here = {row.id: row for row in ours}
    for machine in machines:
        rows = machine.ask("keys", "--json").get("keys")
        for row in [KeyRow(**row) for row in rows] if isinstance(rows, list) else []:
            known = here.get(row.id)
            if known is None or known.fingerprint != row.fingerprint:
                raise Stopped(
                    f"{machine.name} has a key {row.id} that is not the one here; its links would die; "
                    "begin where the keyring is complete, or copy it here first"
                )
            if row.state == "revoked" and known.state != "revoked":
                raise Stopped(f"{machine.name} has revoked key {row.id}, which is alive here; revoke it here first")


def _pending(rows: list[KeyRow]) -> int | None:
    """Give the key of a rotation that was cut off: one that is newer than the signing key and does not sign yet."""
    signing = next((row.id for row in rows if row.state == "sign"), 0)
    return max((row.id for row in rows if row.state == "verify" and row.id > signing), default=None)


def _named(machines: list[Remote]) -> str:
    return ", ".join(machine.name for machine in machines)
