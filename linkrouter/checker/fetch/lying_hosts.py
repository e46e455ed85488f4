"""Sites that lie to robots: a dated table (`tables/lying-hosts.toml`) that a user can add to.

Promise: an entry turns "broken" into "unverifiable" and never into "fine"; each says why, and when it was seen.
"""

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path

from linkrouter.errors import SettingsError

__all__ = ["LyingHosts", "find_lie", "load_lying_hosts"]

LyingHosts = dict[str, str]  # host in lower case → why it is not believed, and since when


def load_lying_hosts(extra: Path | None = None) -> LyingHosts:
    """Give the table, with the entries of the file *extra* after it.

    Raises:
        SettingsError: *extra* cannot be read, or is not such a table.
    """
    table = dict(_built_in())
    if extra is not None:
        try:
            table |= _read(extra.read_text("utf-8"))
        except OSError as exc:
            raise SettingsError(f"LYING_HOSTS: {str(extra)!r} cannot be read ({exc.strerror})") from exc
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            cure = "it must hold [[host]] entries with name, reason and seen"
            raise SettingsError(f"LYING_HOSTS: {str(extra)!r} is not such a table; {cure}") from exc
    return table


def find_lie(table: LyingHosts, host: str) -> str | None:
    """Give why *host*, or a domain it belongs to, is not believed, or None."""
    while host:
        if host in table:
            return table[host]
        _, _, host = host.partition(".")
    return None


@cache
def _built_in() -> LyingHosts:
    return _read(files(__package__).joinpath("tables/lying-hosts.toml").read_text("utf-8"))


def _read(text: str) -> LyingHosts:
    return {
        row["name"].lower(): f"{row['reason']} (seen {row['seen'].isoformat()})" for row in tomllib.loads(text)["host"]
    }
