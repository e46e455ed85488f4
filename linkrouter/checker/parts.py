"""A canonical URL taken apart.

Promise: the target is what a browser puts into its request line for that URL, not a byte changed.
"""

import re
from functools import lru_cache

__all__ = ["split_url"]

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
