"""The running HAProxy as a deployment sees it: its routers, and which colour is active.

Promise: the active colour changes in the running process and in the file a reload reads, or in neither.
"""

import csv
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from files import replace

OTHER = {"blue": "green", "green": "blue"}
ASK_S = 3.0  # for the socket, which a reload takes away for a moment
LOOK_S = 0.25
_PEM_BLOCK = re.compile(rb"-----BEGIN [A-Z ]+-----[A-Za-z0-9+/=\s]+-----END [A-Z ]+-----")


class Stopped(Exception):
    """Something did not succeed: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """One router; the counters are since HAProxy started."""

    name: str
    address: tuple[str, int]
    is_up: bool
    is_doubted: bool  # up, but its last check failed; the next one may make it down
    check: str
    requests: int
    errors: int
    retries: int
    busy: int  # requests at it or waiting for it now

    @property
    def unit(self) -> str:
        """The systemd unit that runs it."""
        colour, _, number = self.name.partition("-")
        return f"linkrouter-{colour}@{number}.service"


class HAProxy:
    """HAProxy by its admin socket, and the file of its colour map.

    Raises:
        Stopped: nobody answers at the socket, or it is not linkrouter's HAProxy.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        maps = [line.split("(", 1)[1].split(")", 1)[0] for line in self._ask("show map").splitlines() if "(" in line]
        found = [name for name in maps if Path(name).name == "colour.map"]
        if not found:
            raise Stopped(f"haproxy at {path!r} has no colour.map; start it with linkrouter's haproxy.cfg")
        self.map = Path(found[0])

    def active(self) -> str:
        """Give the colour that gets the requests."""
        return _colour(self._entries())

    def written(self) -> str:
        """Give the colour that would get them after a reload, or "nothing" when the file cannot be read."""
        try:
            return _colour(_pairs(self.map.read_text("ascii")))
        except (OSError, UnicodeDecodeError):
            return "nothing"

    def activate(self, colour: str) -> None:
        """Make *colour* the active one, now and after a reload.

        Raises:
            Stopped: HAProxy or the disk refused, and the colour is what it was.
        """
        self._change("colour", colour, self.active())

    def is_drained(self) -> bool:
        """Tell whether health checks are told to send recipients elsewhere."""
        return self._entries().get("drained") == "yes"

    def drain(self, wanted: bool) -> None:
        """Have health checks answered with 503, now and after a reload; with *wanted* false, as ever.

        Raises:
            Stopped: as `activate`.
        """
        if wanted != self.is_drained():
            self._change("drained", *(("yes", "no") if wanted else ("no", "yes")))

    def redirects(self) -> int:
        """Count the links that were followed since HAProxy started."""
        rows = csv.DictReader(self._ask("show stat").lstrip("# ").splitlines())
        return sum(int(row["hrsp_3xx"] or 0) for row in rows if (row["pxname"], row["svname"]) == ("https", "FRONTEND"))

    def _change(self, key: str, value: str, before: str) -> None:
        self._set(key, value)
        entries = self._entries()
        lines = [f"colour {_colour(entries)}", *(["drained yes"] if entries.get("drained") == "yes" else [])]
        try:
            replace(self.map, "".join(f"{line}\n" for line in lines).encode())
        except OSError as exc:
            self._set(key, before)
            raise Stopped(f"{str(self.map)!r} cannot be written ({exc.strerror}); make room, or run as root") from exc

    def servers(self, colour: str) -> list[Server]:
        """List the routers of *colour*, without those of the other one that stand by in its backend.

        Raises:
            Stopped: there are none, so nobody may be sent there.
        """
        rows = csv.DictReader(self._ask("show stat").lstrip("# ").splitlines())
        ours = [row for row in rows if row["pxname"] == colour and row["svname"].startswith(f"{colour}-")]
        if not ours:
            raise Stopped(f"haproxy knows no router of {colour}; see the top of haproxy.cfg")
        return [_server(row) for row in ours]

    def acme_address(self) -> tuple[str, int]:
        """Give where challenges of http-01 are handed to.

        Raises:
            Stopped: HAProxy knows no such place.
        """
        for row in csv.DictReader(self._ask("show stat").lstrip("# ").splitlines()):
            if (row["pxname"], row["svname"]) == ("acme", "acme"):
                host, _, port = row["addr"].rpartition(":")
                return host.strip("[]"), int(port)
        raise Stopped("haproxy has no server acme/acme for challenges; see ACME at the top of haproxy.cfg")

    def serve_certificate(self, path: Path, pem: bytes) -> None:
        """Show *pem* from now on as the certificate in the file *path*; no process is started for it.

        Raises:
            Stopped: HAProxy refused.
        """
        known = self._ask(f"show ssl cert {path}")
        if "Filename: " not in known:
            self._do(f"new ssl cert {path}", "New empty certificate store")
        blocks = "\n".join(block.decode("ascii") for block in _PEM_BLOCK.findall(pem))  # an empty line would end them
        self._do(f"set ssl cert {path} <<\n{blocks}\n", "Transaction")
        self._do(f"commit ssl cert {path}", "Success!")
        if "Status: Used" not in known:
            self._do(f"add ssl crt-list {self.map.with_name('crt-list.txt')} {path}", "Success!")

    def drop_certificate(self, path: Path) -> None:
        """Show the certificate in the file *path* no more.

        Raises:
            Stopped: HAProxy refused.
        """
        known = self._ask(f"show ssl cert {path}")
        if "Status: Used" in known:
            self._do(f"del ssl crt-list {self.map.with_name('crt-list.txt')} {path}", "deleted")
        if "Filename: " in known:
            self._do(f"del ssl cert {path}", "deleted")

    def send_to_https(self, name: str, wanted: bool = True) -> None:
        """Send requests for *name* on port 80 to HTTPS from now on; with *wanted* false no more."""
        names = self.map.with_name("names.txt")
        if wanted != ("match=yes" in self._ask(f"get acl {names} {name}")):
            self._do(f"{'add' if wanted else 'del'} acl {names} {name}", "")

    def _do(self, command: str, wanted: str) -> None:
        said = self._ask(command).strip()
        if wanted not in said or (said and not wanted):
            what = command.partition(" <<")[0]
            raise Stopped(f"haproxy refuses {what!r} ({said.splitlines()[-1][:200] if said else 'it said nothing'})")

    def _entries(self) -> dict[str, str]:
        # Each line is an address, the key and the value.
        return _pairs("".join(f"{line.partition(' ')[2]}\n" for line in self._ask(f"show map {self.map}").splitlines()))

    def _set(self, key: str, value: str) -> None:
        said = self._ask(f"set map {self.map} {key} {value}").strip()
        if said == "entry not found.":
            said = self._ask(f"add map {self.map} {key} {value}").strip()
        if said:
            raise Stopped(f"haproxy does not take the {key} ({said[:60]!r}); its socket must have 'level admin'")

    def _ask(self, command: str) -> str:
        until = time.monotonic() + ASK_S
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(ASK_S)
                    connection.connect(self._path)
                    connection.sendall(f"{command}\n".encode())
                    return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
            except OSError as exc:
                if time.monotonic() > until:
                    raise Stopped(
                        f"haproxy does not answer at {self._path!r} ({exc.strerror or 'timed out'}); "
                        "run 'systemctl status haproxy', or give --socket"
                    ) from exc
                time.sleep(LOOK_S)


def _pairs(text: str) -> dict[str, str]:
    return {words[0]: words[1] for line in text.splitlines() if len(words := line.split()) == 2}


def _colour(entries: dict[str, str]) -> str:
    """Give the colour of a map; whatever is none is blue, as in haproxy.cfg."""
    return entries["colour"] if entries.get("colour") in OTHER else "blue"


def _server(row: dict[str, str]) -> Server:
    host, _, port = row["addr"].rpartition(":")
    why = row["last_chk"] or row["check_desc"] or "not checked yet"
    return Server(
        name=row["svname"],
        address=(host.strip("[]"), int(port)),
        is_up=row["status"].startswith("UP"),
        is_doubted=row["status"].startswith("UP "),  # such as "UP 1/2"
        check=f"{row['check_status'].lstrip('* ')} {why}".strip(),
        requests=int(row["stot"]),
        errors=int(row["hrsp_5xx"] or 0),
        retries=int(row["wretr"] or 0),
        busy=int(row["scur"]) + int(row["qcur"]),
    )
