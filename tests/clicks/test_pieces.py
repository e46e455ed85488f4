"""Long work that gives way to the loop."""

import asyncio

from linkrouter.clicks.pieces import PIECE, in_pieces


async def test_gives_all_items_in_order():
    assert await in_pieces(iter(range(2 * PIECE + 1))) == list(range(2 * PIECE + 1))
    assert await in_pieces([]) == []


async def test_others_run_after_each_piece():
    made, seen = [], []

    async def watch():
        while len(made) < 3 * PIECE:
            seen.append(len(made))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await in_pieces(made.append(number) for number in range(3 * PIECE))
    await watching
    assert seen == [PIECE, 2 * PIECE]
