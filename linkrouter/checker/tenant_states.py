"""The store of link states as one tenant sees it.

Promise: what one tenant's checks learnt of a link is never told to another: each tenant's verdicts, redirects and
records of authors stand under names of its own. What lists say of hosts and pages is the same for all, and shared.
"""

from collections.abc import Collection, Iterable

from linkrouter.checker.states import AuthorRecord, LinkStates
from linkrouter.checker.verdict import LinkState, OpinionState

__all__ = ["TenantStates"]


class TenantStates(LinkStates):
    """What *states* keeps for *tenant*; *states* is opened and closed by whoever made it."""

    def __init__(self, states: LinkStates, tenant: int) -> None:
        self._shared = states
        self._prefix = f"{tenant} "  # no URL begins like this

    async def links(self, keys: Collection[str]) -> dict[str, LinkState]:
        """Do what `LinkStates.links` does, as all below do what their namesakes do."""
        found = await self._shared.links({self._prefix + key for key in keys})
        return {key.removeprefix(self._prefix): state for key, state in found.items()}

    async def opinions(self, queries: Iterable[tuple[str, str]]) -> dict[tuple[str, str], OpinionState]:
        """See `links`."""
        return await self._shared.opinions(queries)

    async def author(self, author: str) -> AuthorRecord:
        """See `links`."""
        return await self._shared.author(self._own(author))

    async def not_before(self) -> dict[str, float]:
        """See `links`."""
        return await self._shared.not_before()

    async def begin(self, keys: Collection[str]) -> None:
        """See `links`."""
        await self._shared.begin({self._prefix + key for key in keys})

    async def save_link(self, key: str, state: LinkState, author: str = "") -> None:
        """See `links`."""
        await self._shared.save_link(self._prefix + key, state, self._own(author))

    async def save_opinion(self, source: str, subject: str, state: OpinionState, author: str = "") -> None:
        """See `links`."""
        await self._shared.save_opinion(source, subject, state, self._own(author))

    async def save_not_before(self, hosts: dict[str, float]) -> None:
        """See `links`."""
        await self._shared.save_not_before(hosts)

    def _own(self, author: str) -> str:
        return self._prefix + author if author else ""
