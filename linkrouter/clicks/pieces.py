"""Long work that takes turns with redirects.

Promise: however much there is to do, nothing else on the loop waits for more than one piece of it.
"""

import asyncio
from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

__all__ = ["in_pieces"]

PIECE = 50  # items; a click is written down in about a microsecond

Item = TypeVar("Item")


async def in_pieces(items: Iterable[Item]) -> list[Item]:
    """Give the list of *items*, whose making is the work; after each piece the loop goes round once."""
    made: list[Item] = []
    rest = iter(items)
    while piece := list(islice(rest, PIECE)):
        made += piece
        await asyncio.sleep(0)
    return made
