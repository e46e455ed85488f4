"""Records to keep, and the spool directory to keep them in."""

from collections.abc import Callable

import pytest

from linkrouter.clicks.click import Click, write_click

NOON = 1_795_262_400_000_000  # 2026-11-21T12:00:00Z


@pytest.fixture
def make_records() -> Callable[..., list[bytes]]:
    """Give the records of *count* clicks numbered from *first*, a millisecond apart."""

    def make(count: int, first: int = 0, agent: str | None = "Mozilla/5.0") -> list[bytes]:
        return [
            write_click(
                Click(f"id-{number:06d}", "-----w", 0, "html", NOON + number * 1000, "203.0.113.7", agent, "click")
            )
            for number in range(first, first + count)
        ]

    return make
