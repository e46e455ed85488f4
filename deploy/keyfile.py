"""The keyring of this machine, and which keys its routers use.

Promise: secrets are read and written by the `linkrouter` program alone; here are ids, states and fingerprints. What a
router uses is what it says itself, in its metrics.
"""

import http.client
import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from haproxy_socket import Server, Stopped

ANSWER_S = 2.0
_KEY_INFO = re.compile(r'(?m)^linkrouter_key_info\{key_id="(\d+)",state="(\w+)"\} 1\.0$')


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
        self._program = shlex.split(program)

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

    def link(self, host: str, key_id: int | None = None) -> str:
        """Make a line of a canary file: a link of *key_id*, or of the key that signs, and where it leads."""
        key = () if key_id is None else ("--key", f"{key_id}")
        return self._run("canary", self.path, host, *key).strip()

    def _run(self, *arguments: str | Path, stdin: bytes = b"") -> str:
        command = [*self._program, "keys", *map(str, arguments)]
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, check=False)  # noqa: S603 - our program
        except OSError as exc:
            raise Stopped(f"{command[0]!r} cannot be run ({exc.strerror}); give --program") from exc
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise Stopped(f"'linkrouter keys {arguments[0]}' failed: {said[-1].removeprefix('linkrouter: ')}")
        return done.stdout.decode()


def summary_of(rows: list[KeyRow]) -> str:
    """Give ids and states as a router logs them, such as "1:verify 2:sign"."""
    return " ".join(f"{row.id}:{row.state}" for row in sorted(rows, key=lambda row: row.id))


def keys_in_use(server: Server, settings: Path) -> str | None:
    """Give the summary of the keys that *server* says it uses; None when it, or one of its workers, does not answer.

    *settings* is the folder of env files, which say where a router's metrics are. Workers that differ give None, too.
    """
    said = {_ask_metrics(address) for address in _admin_addresses(server, settings)}
    return said.pop() if len(said) == 1 else None


def _admin_addresses(server: Server, settings: Path) -> list[tuple[str, int]]:
    values: dict[str, str] = {}
    for name in ("router.env", f"{server.name}.env"):
        try:
            lines = (settings / name).read_text().splitlines()
        except OSError as exc:
            raise Stopped(f"{str(settings / name)!r} cannot be read ({exc.strerror}); give --settings") from exc
        values |= dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    host, _, port = values.get("LINKROUTER_ADMIN_LISTEN", "127.0.0.1:9080").rpartition(":")
    workers = int(values.get("LINKROUTER_WORKERS", "1"))
    return [(host.strip("[]"), int(port) + worker) for worker in range(workers)]


def _ask_metrics(address: tuple[str, int]) -> str | None:
    connection = http.client.HTTPConnection(*address, timeout=ANSWER_S)
    try:
        connection.request("GET", "/metrics")
        body = connection.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    keys = sorted((int(key_id), state) for key_id, state in _KEY_INFO.findall(body))
    return " ".join(f"{key_id}:{state}" for key_id, state in keys) or None
