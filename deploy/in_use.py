"""What the routers of this machine use: which keys, which own domains, and what waits in memory.

Promise: what a router uses is what it says itself, in its metrics, each of its workers.
"""

import http.client
import re
from pathlib import Path

from asking import ask
from haproxy_socket import Server, Stopped

_KEY_INFO = re.compile(r'(?m)^linkrouter_key_info\{key_id="(\d+)",state="(\w+)"\} 1\.0$')
_BUILD_INFO = re.compile(r'(?m)^linkrouter_build_info\{[^}]*version="([^"]+)"')
_IN_MEMORY = re.compile(r"(?m)^linkrouter_queue_clicks (\S+)$")
_DOMAINS_INFO = re.compile(r'(?m)^linkrouter_domains_info\{fingerprint="(\w+)"\} 1\.0$')


def keys_in_use(server: Server, settings: Path) -> str | None:
    """Give the summary of the keys that *server* says it uses; None when it, or one of its workers, does not answer.

    *settings* is the folder of env files, which say where a router's metrics are. Workers that differ give None, too.
    """
    found = {
        tuple(sorted((int(key_id), state) for key_id, state in _KEY_INFO.findall(said)))
        for said in _metrics(server, settings)
    }
    return " ".join(f"{key_id}:{state}" for key_id, state in found.pop()) or None if len(found) == 1 else None


def domains_in_use(server: Server, settings: Path) -> str | None:
    """Give the fingerprint of the own domains that *server* says it uses; None as above, or when it uses no file."""
    found = {tuple(_DOMAINS_INFO.findall(said)) for said in _metrics(server, settings)}
    return "".join(found.pop()) or None if len(found) == 1 else None


def clicks_in_memory(server: Server, settings: Path) -> int | None:
    """Give how many clicks of *server* are not on disk yet; None when it, or one of its workers, does not say so."""
    found = [_IN_MEMORY.search(said) for said in _metrics(server, settings)]
    return sum(int(float(match[1])) for match in found if match) if all(found) else None


def version_in_use(server: Server, settings: Path) -> str | None:
    """Give the version that *server* says it is; None when it does not answer."""
    found = sorted({match[1] for said in _metrics(server, settings) if (match := _BUILD_INFO.search(said))})
    return " ".join(found) or None


def read_settings(settings: Path, *names: str) -> dict[str, str]:
    """Read the routers' env files *names* in the folder *settings*, the later the stronger.

    Raises:
        Stopped: one cannot be read.
    """
    values: dict[str, str] = {}
    for name in names:
        try:
            lines = (settings / name).read_text().splitlines()
        except OSError as exc:
            raise Stopped(f"{str(settings / name)!r} cannot be read ({exc.strerror}); give --settings") from exc
        values |= dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return values


def _metrics(server: Server, settings: Path) -> list[str]:
    """Give what each worker of *server* shows, "" for one that does not answer."""
    values = read_settings(settings, "router.env", f"{server.name}.env")
    host, _, port = values.get("LINKROUTER_ADMIN_LISTEN", "127.0.0.1:9080").rpartition(":")
    workers = int(values.get("LINKROUTER_WORKERS", "1"))
    return [_ask_metrics((host.strip("[]"), int(port) + worker)) for worker in range(workers)]


def _ask_metrics(address: tuple[str, int]) -> str:
    try:
        return ask(address, f"{address[0]}:{address[1]}", "/metrics", method="GET").body.decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
