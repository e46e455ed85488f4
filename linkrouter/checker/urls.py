"""URLs as a browser takes them.

Promise: where a browser would go is known even for a link that is never requested, and the target of a canonical URL is
what a browser puts into its request line, not a byte changed.
"""

import re
from functools import lru_cache

import ada_url

__all__ = ["find_browser_url", "split_url"]

_URL = re.compile(r"(https?)://(\[[^\]]*\]|[^:/?#]*)(?::([0-9]+))?([^#]*)", re.DOTALL)


@lru_cache(16_384)  # a check and its gate ask for each link several times
def split_url(url: str) -> tuple[str, str, str]:
    """Give the origin (`https://host:port`), the host and the request target of a canonical URL."""
    match = _URL.match(url)
    if match is None:
        raise ValueError("not a canonical URL")
    scheme, host, port, target = match.groups()
    origin = f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"
    return origin, host, target if target.startswith("/") else f"/{target}"


def find_browser_url(url: str, base: str | None = None) -> str | None:
    """Give what a browser requests for *url* on the page *base*, without user name and fragment; None for nothing.

    It tells where a malformed link leads: a listed host must not pass for being badly spelt.
    """
    try:
        parsed = ada_url.URL(url, base)
    except ValueError:
        return None
    if parsed.protocol not in ("http:", "https:"):
        return None
    return f"{parsed.protocol}//{parsed.host}{parsed.pathname}{parsed.search}"
