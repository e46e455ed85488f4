"""URLs of servers that data is kept in.

Promise: a wrong URL and a password in the wrong place each get one line that names the setting and the cure, before
anything is connected. The URL is not quoted, for it may hold a password; passwords stand in files.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from linkrouter.errors import ExposedSecret, SettingsError
from linkrouter.secretfile import read_secret_file

__all__ = ["ServiceUrl", "read_service_url"]

MAX_PASSWORD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class ServiceUrl:
    """A URL, read: `SCHEME://[USER@]HOST[:PORT][,…][/PATH][?OPTIONS]`."""

    setting: str
    hosts: tuple[tuple[str, int], ...]
    path: tuple[str, ...]
    user: str | None
    options: Mapping[str, str] = field(repr=False)

    def password(self) -> str | None:
        """Read the password, anew for each connection, so that a changed one needs no restart.

        Raises:
            SettingsError: its file cannot be read, or others can read it.
        """
        name = self.options.get("password_file")
        if name is None:
            return None
        try:
            return read_secret_file(name, MAX_PASSWORD_BYTES).decode().strip()
        except ExposedSecret as exc:
            raise SettingsError(f"{self.setting}: password_file {name!r} {exc}") from exc
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsError(f"{self.setting}: password_file {name!r} cannot be read") from exc


def read_service_url(
    setting: str, url: str, port: int, options: Set[str], *, documented: str, many_hosts: bool = False
) -> ServiceUrl:
    """Read *url*, which may have *options*; *port* is the usual one, and *documented* says where the form is told.

    Raises:
        SettingsError: it is not such a URL.
    """
    scheme = url.partition(":")[0]
    try:
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        user, _, hosts = parts.netloc.rpartition("@")
        found = tuple(_host(text, port) for text in hosts.split(","))
    except ValueError as exc:
        raise SettingsError(f"{setting} must be {scheme}://HOST[:PORT]/…, as {documented} has it") from exc
    if ":" in user:
        raise SettingsError(f"{setting} holds a password; put it into a file and name that with ?password_file=FILE")
    if len(found) > 1 and not many_hosts:
        raise SettingsError(f"{setting}: {scheme}: takes one host")
    if unknown := sorted(given.keys() - options):
        raise SettingsError(f"{setting}: {scheme}: has no option {unknown[0]!r}")
    if "ca_file" in given and not Path(given["ca_file"]).is_file():
        raise SettingsError(f"{setting}: ca_file names no file")
    path = tuple(unquote(step) for step in parts.path.split("/") if step)
    return ServiceUrl(setting, found, path, unquote(user) or None, given)


def _host(text: str, port: int) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", text)
    if found is None:
        raise ValueError("no host")
    return found[1].strip("[]"), int(found[2] or port)
