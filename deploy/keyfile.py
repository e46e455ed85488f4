"""The keyring of this machine.

Promise: secrets are read and written by the `linkrouter` program alone; here are ids, states and fingerprints.
"""

import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from haproxy_socket import Stopped


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key without its secret."""

    id: int
    state: str
    fingerprint: str


class KeyFile:
    """The keyring at *path*, read and changed by *program*, the command line of a `linkrouter`.

    Raises:
        Stopped: every method does, when the program cannot be run or refuses; its own words say why.
    """

    def __init__(self, path: Path, program: str) -> None:
        self.path = path
        self._program = program

    def rows(self) -> list[KeyRow]:
        """List the keys by id."""
        listed = json.loads(self._run("list", self.path, "--json"))["keys"]
        return [KeyRow(row["id"], row["state"], row["fingerprint"]) for row in listed]

    def add(self) -> int:
        """Add a key that verifies, and give its id."""
        return int(self._run("add", self.path))

    def sign_with(self, key_id: int) -> None:
        """Make *key_id* the one that signs."""
        self._run("sign", self.path, f"{key_id}")

    def revoke(self, key_id: int) -> None:
        """Make every link of *key_id* dead."""
        self._run("revoke", self.path, f"{key_id}")

    def receive(self, content: bytes) -> None:
        """Replace the keyring by *content*, another machine's."""
        self._run("receive", self.path, stdin=content)

    def content(self) -> bytes:
        """Give the file as it stands, to be sent to another machine."""
        try:
            return self.path.read_bytes()
        except OSError as exc:
            raise Stopped(f"{str(self.path)!r} cannot be read ({exc.strerror}); run this as root") from exc

    def link(self, host: str, key_id: int | None = None, tenant: int = 0) -> str:
        """Make a line of a canary file: a link of *key_id*, or of the key that signs, and where it leads."""
        key = () if key_id is None else ("--key", f"{key_id}")
        whose = ("--tenant", f"{tenant}") if tenant else ()
        return self._run("canary", self.path, host, *key, *whose).strip()

    def _run(self, *arguments: str | Path, stdin: bytes = b"") -> str:
        return run_program(self._program, "keys", *arguments, stdin=stdin)


def run_program(program: str, *arguments: str | Path, stdin: bytes = b"") -> str:
    """Run *program*, the command line of a `linkrouter`, and give what it prints.

    Raises:
        Stopped: it cannot be run or refuses; its own words say why.
    """
    command = [*shlex.split(program), *map(str, arguments)]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)  # noqa: S603 - our program
    except OSError as exc:
        raise Stopped(f"{command[0]!r} cannot be run ({exc.strerror}); give --program") from exc
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        words = " ".join(map(str, arguments[:2]))
        raise Stopped(f"'linkrouter {words}' failed: {said[-1].removeprefix('linkrouter: ')}")
    return done.stdout.decode()


def summary_of(rows: list[KeyRow]) -> str:
    """Give ids and states as a router logs them, such as "1:verify 2:sign"."""
    return " ".join(f"{row.id}:{row.state}" for row in sorted(rows, key=lambda row: row.id))
