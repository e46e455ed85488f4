"""A finding: what one check says of one thing, with its cure. Where nothing is wrong, there is none."""

from typing import NamedTuple

from linkrouter.errors import LinkrouterError

__all__ = ["Finding", "finding_of"]


class Finding(NamedTuple):
    """`check` is the group, such as "disk"; `problem` and `cure` are one line each, without a secret."""

    check: str
    problem: str
    cure: str

    def __str__(self) -> str:
        return f"{self.check}: {self.problem}; {self.cure}"


def finding_of(check: str, exc: LinkrouterError) -> Finding:
    """Give the finding that *exc* is: its message says what is wrong and, behind a semicolon, the cure."""
    problem, _, cure = str(exc).partition("; ")
    return Finding(check, problem, cure or "docs/settings.md says what it must be")
