"""What the checker needs of a reputation source.

Promise: a source that cannot answer says "unknown" and why. It never raises, never takes longer than its own deadline,
and never turns a failure, an error code or an answer it does not understand into "clean".
"""

from typing import Protocol

from linkrouter.checker.verdict import Opinion

__all__ = ["Source"]


class Source(Protocol):
    """One reputation source, shared by every check of a process."""

    name: str  # one word, for the store and the reports

    def query_for(self, url: str) -> str | None:
        """Give what this source is asked about the canonical *url* (its host, or itself), or None for nothing."""

    async def ask(self, query: str) -> Opinion:
        """Give the source's opinion of *query*."""

    async def close(self) -> None:
        """Let go of what the source holds."""
