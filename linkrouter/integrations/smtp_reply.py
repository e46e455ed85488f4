"""What SMTP answers."""

import re
from dataclasses import dataclass, field

__all__ = ["Reply"]

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Reply:
    """A code and its text, which may have several lines and begins with an enhanced code."""

    code: int
    text: str = field(repr=False)  # servers like to put addresses into it

    @property
    def is_good(self) -> bool:
        """Whether it says yes."""
        return 200 <= self.code < 300

    def __str__(self) -> str:
        *before, last = _CONTROL.sub(" ", self.text).split("\n") or [""]
        return "\r\n".join([*(f"{self.code}-{line}" for line in before), f"{self.code} {last}"])
