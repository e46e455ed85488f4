"""The file of own domains (LINKROUTER_DOMAINS of the routers).

Promise: what an operator wrote in it stays as it is, comments included; and no text replaces it that the routers' own
program would not take.
"""

import itertools
import json
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from haproxy_socket import Stopped
from keyfile import run_program

APP_FILES = {
    # its name in the file: where recipients' systems ask for it
    "apple_app_site_association": "/.well-known/apple-app-site-association",
    "assetlinks": "/.well-known/assetlinks.json",
}
EMPTY = "[domains]\n"


@dataclass(frozen=True, slots=True)
class DomainFile:
    """The file at *path*, judged by *program*, the command line of a `linkrouter`."""

    path: Path
    program: str

    def text(self) -> str:
        """Give the file as it stands."""
        try:
            return self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise Stopped(
                f"{str(self.path)!r} cannot be read; without domains it must hold the line [domains]"
            ) from exc

    def entries(self) -> dict[str, dict[str, object]]:
        """Give what the file says of each domain, by its name in lower case."""
        return {name.lower(): entry for name, entry in _parse(self.text(), self.path).items()}

    def fingerprint(self) -> str:
        """Give the short name of what the file says, as routers show it.

        Raises:
            Stopped: no router would take the file; the program's words say why.
        """
        return self._fingerprint(self.path)

    def judge(self, text: str) -> str:
        """Give the fingerprint that the file would have with *text*.

        Raises:
            Stopped: no router would take it.
        """
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self.path.parent, prefix=".domains.") as file:
            file.write(text)
            file.flush()
            try:
                return self._fingerprint(Path(file.name))
            except Stopped as exc:
                raise Stopped(str(exc).replace(file.name, str(self.path))) from exc

    def with_domain(self, name: str, tenant: int, files: Mapping[str, Path]) -> str:
        """Give the text with this domain, instead of what it says of that name now."""
        text = self.without_domain(name) if name in self.entries() else self.text()
        rows = [f"{key} = {json.dumps(str(path), ensure_ascii=False)}\n" for key, path in sorted(files.items())]
        return "".join((text.rstrip("\n"), f"\n\n[domains.{json.dumps(name)}]\ntenant = {tenant}\n", *rows))

    def without_domain(self, name: str) -> str:
        """Give the text with a domain less.

        Raises:
            Stopped: it stands there in a way that only a person can take out.
        """
        lines = self.text().splitlines(keepends=True)
        heads = [number for number, line in enumerate(lines) if line.lstrip().startswith("[")] + [len(lines)]
        for begin, end in itertools.pairwise(heads):
            if _names(lines[begin]) == name:
                # What stands before the next table is the next table's.
                ours = next(last for last in range(end, begin, -1) if lines[last - 1].lstrip()[:1] not in ("", "#"))
                del lines[begin:ours]
                break
        text = "".join(lines)
        text = text.rstrip("\n") + "\n"
        text = text if "domains" in tomllib.loads(text) else EMPTY + text
        left = _parse(self.text(), self.path)
        if {key: entry for key, entry in left.items() if key.lower() != name} != _parse(text, self.path):
            raise Stopped(f"{name} stands in {str(self.path)!r} in a way of its own; take it out there first")
        return text

    def _fingerprint(self, path: Path) -> str:
        return str(json.loads(run_program(self.program, "domains", "list", path, "--json"))["fingerprint"])


def _parse(text: str, path: Path) -> dict[str, dict[str, object]]:
    try:
        found = tomllib.loads(text).get("domains")
    except tomllib.TOMLDecodeError as exc:
        raise Stopped(f"{str(path)!r} is not TOML, or names a domain twice ({exc})") from exc
    return found if isinstance(found, dict) else {}


def _names(line: str) -> str | None:
    """Give the domain whose table *line* begins."""
    try:
        names = list(tomllib.loads(line)["domains"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        return None
    return str(names[0]).lower() if len(names) == 1 else None
