"""Own domains: which host serves whose links, and the files by which apps claim a domain.

Promise: a tenant that has domains is served on those and nowhere else, and a domain serves its tenant's links alone;
other hosts and tenants serve each other as without a file. A file that cannot be used whole is not used at all.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linkrouter.errors import SettingsError
from linkrouter.link.codec import MAX_TENANT
from linkrouter.log import log
from linkrouter.metrics import Metrics

__all__ = ["APP_FILES", "Domains", "load_domains", "reload_domains", "tell_domains"]

APP_FILES = {
    # name in the file: path, and the type of its JSON
    "apple_app_site_association": ("/.well-known/apple-app-site-association", dict),
    "assetlinks": ("/.well-known/assetlinks.json", list),
}
MAX_APP_FILE_BYTES = 128 * 1024  # Apple's limit; Android's is no smaller
MAX_DOMAINS = 100_000
_IS_HOST = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
).fullmatch
_PORT = re.compile(r":[0-9]{1,5}\Z")


@dataclass(frozen=True, slots=True)
class Domains:
    """The tenant of each host, and each host's files by path."""

    tenants: Mapping[str, int] = field(repr=False)
    files: Mapping[tuple[str, str], bytes] = field(repr=False)
    owners: frozenset[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "owners", frozenset(self.tenants.values()))

    def serves(self, host: str | None, tenant: int) -> bool:
        """Whether a request for *host*, as the header has it, may follow a link of *tenant*."""
        own = self.tenants.get(_name_of(host))
        return own == tenant if own is not None else tenant not in self.owners

    @property
    def fingerprint(self) -> str:
        """Give a short name of all that these domains say, by which two files, or a file and a router, are compared."""
        files = sorted((*of, hashlib.sha256(content).hexdigest()) for of, content in self.files.items())
        said = json.dumps([sorted(self.tenants.items()), files])
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    def find_file(self, host: str | None, target: str) -> bytes | None:
        """Give the app file at the raw request *target* of *host*, None when there is none."""
        return self.files.get((_name_of(host), target.partition("?")[0]))


def load_domains(path: Path | None) -> Domains | None:
    """Read the file *path* and the app files beside it; None when there is no *path*.

    Raises:
        SettingsError: something in it cannot be used; the message names the domain.
    """
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as exc:
        raise SettingsError(f"DOMAINS: {str(path)!r} cannot be read ({exc.strerror})") from exc
    except (ValueError, RecursionError) as exc:
        raise SettingsError(f"DOMAINS: {str(path)!r} is not TOML, or names a domain twice") from exc
    entries = document.get("domains")
    if document.keys() != {"domains"} or not isinstance(entries, dict) or len(entries) > MAX_DOMAINS:
        raise SettingsError(f'DOMAINS: {str(path)!r} must hold [domains."NAME"] tables and nothing else')
    tenants: dict[str, int] = {}
    files: dict[tuple[str, str], bytes] = {}
    for name, entry in entries.items():
        host = name.lower()
        try:
            _check_entry(host, entry, tenants)
            for key in APP_FILES.keys() & entry.keys():
                files[host, APP_FILES[key][0]] = _read_app_file(path.parent, key, entry[key])
        except ValueError as exc:
            raise SettingsError(f"DOMAINS: {name[:253]!r} {exc}") from None
        tenants[host] = entry["tenant"]
    return Domains(tenants, files)


def reload_domains(path: Path | None, before: Domains | None) -> Domains | None:
    """Read the domains again; *before* when the file cannot be used."""
    if path is None:
        return None
    try:
        domains = load_domains(path)
    except SettingsError:
        log("domains.kept")
        return before
    log("domains.loaded")
    return domains


def tell_domains(domains: Domains | None, metrics: Metrics) -> Domains | None:
    """Show in *metrics* which *domains* are in use, and give them."""
    if domains is not None:
        metrics.info("linkrouter_domains_info", [(domains.fingerprint,)])
    return domains


def _check_entry(host: str, entry: Any, known: Mapping[str, int]) -> None:
    if _IS_HOST(host) is None:
        raise ValueError("is not a host name; write it without scheme, port and path, in its ASCII form")
    if host in known:
        raise ValueError("stands there twice")
    if not isinstance(entry, dict) or not entry.keys() <= {"tenant", *APP_FILES}:
        raise ValueError(f"may have tenant, {' and '.join(APP_FILES)}, and nothing else")
    tenant = entry.get("tenant")
    if type(tenant) is not int or not 0 <= tenant <= MAX_TENANT:
        raise ValueError(f"must have a tenant, a whole number from 0 to {MAX_TENANT}")


def _read_app_file(folder: Path, key: str, name: Any) -> bytes:
    if not isinstance(name, str):
        raise ValueError(f"must have the name of a file as {key}")
    try:
        with open(folder / name, "rb") as file:
            content = file.read(MAX_APP_FILE_BYTES + 1)
    except (OSError, ValueError):
        raise ValueError(f"names a file as {key} that cannot be read") from None
    if len(content) > MAX_APP_FILE_BYTES:
        raise ValueError(f"names a file as {key} that is larger than {MAX_APP_FILE_BYTES // 1024} KB")
    kind = APP_FILES[key][1]
    try:
        fits = isinstance(json.loads(content.decode("utf-8")), kind)
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        raise ValueError(f"names a file as {key} that is not a JSON {'object' if kind is dict else 'array'} in UTF-8")
    return content


def _name_of(host: str | None) -> str:
    """Give the name in a Host header: one spelling, without port and without the dot of the root."""
    name = (host or "").lower()
    return (_PORT.sub("", name) if ":" in name else name).removesuffix(".")
