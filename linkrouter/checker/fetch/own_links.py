"""Links of our own click domain, which are read with the keyring instead of being requested.

Promise: checking a mail that was rewritten already makes no click, and a link that a router would answer with 404 is
found without asking one.
"""

from collections.abc import Callable

from linkrouter.link import Keyring

__all__ = ["OwnLinks", "no_own_links", "own_links_of"]

OwnLinks = Callable[[str], str | None]  # the destination of a link of ours, None for any other; raises BadLink


def no_own_links(_: str) -> None:
    """Know no click domain."""


def own_links_of(base_url: str, keyring: Keyring) -> OwnLinks:
    """Give the function for the click domain *base_url*, such as `https://click.example.com`."""
    base = base_url.rstrip("/")

    def own_links(url: str) -> str | None:
        if url != base and not url.startswith((f"{base}/", f"{base}?")):
            return None
        return keyring.verify(url[len(base) :].partition("?")[0]).destination

    return own_links
