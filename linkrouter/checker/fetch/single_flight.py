"""Single flight: work that several ask for at once is done once.

Promise: whoever asks while the work runs gets its result; one who stops waiting does not stop it for the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["SingleFlight"]

_Key = TypeVar("_Key", bound=Hashable)
_Result = TypeVar("_Result")


class SingleFlight(Generic[_Key, _Result]):
    """The work that is under way, by key."""

    def __init__(self) -> None:
        self._tasks: dict[_Key, asyncio.Task[_Result]] = {}

    def join(self, key: _Key, work: Callable[[], Coroutine[Any, Any, _Result]]) -> Awaitable[_Result]:
        """Give the result of the work under *key*, which is begun by *work* when none is under way."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
        return asyncio.shield(task)

    async def close(self) -> None:
        """Stop all work."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
