"""The take-backs that a router has in force, read from its own file.

Promise: a rule that does not verify is counted and passed over; while rules are read, redirects go on.
"""

import asyncio
from collections.abc import Callable

from linkrouter.errors import BadRule
from linkrouter.link.keyring import Keyring, OpenedLink
from linkrouter.link.takeback import parse_take_back
from linkrouter.link.takeback_table import RuleInForce, TakeBacks
from linkrouter.router.rule_file import ListPage, RuleFile

__all__ = ["FindRule", "TakeBackList"]

SLICE_RULES = 100  # verified at a time: some two milliseconds

FindRule = Callable[[OpenedLink], RuleInForce | None]


class TakeBackList:
    """The rules in *file* that *keyring* verifies. After a change of keys, make another one."""

    def __init__(self, file: RuleFile, keyring: Keyring) -> None:
        self.file = file
        self.refused = 0
        self._table = TakeBacks(keyring)

    def __len__(self) -> int:
        """Give the number of rules in force."""
        return len(self._table)

    @property
    def find(self) -> FindRule | None:
        """What finds the rule for a link; None when no rule is in force, so that redirects need not ask."""
        return self._table.find if len(self._table) else None

    async def read(self) -> None:
        """Put in force what is new in the file.

        Raises:
            OSError: it cannot be read.
        """
        for page in self.file.read_new():
            await self._add(page)

    async def _add(self, page: ListPage) -> None:
        for number, fields in enumerate(page.rules, 1):
            try:
                self._table.add(parse_take_back(fields))
            except BadRule:
                self.refused += 1
            if number % SLICE_RULES == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
