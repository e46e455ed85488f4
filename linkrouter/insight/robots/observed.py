"""What is judged and what comes of it: a click as the rules see it, and the judgement with its reasons.

Promise: a judgement names every signal that was seen, the deciding one first, so that an analyst can read why.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["REASONS", "RULES_VERSION", "Judgement", "ObservedClick", "RobotLabel"]

RULES_VERSION = 1  # grows with every change of a rule or of a table; history is then judged again

RobotLabel = Literal["human", "machine", "unsure", "not judged"]

REASONS: dict[str, str] = {
    # reason: what a page says of it
    "trap": "it followed a link that no reader can see",
    "head": "it asked for the headers alone, as previews and scanners do",
    "prefetch": "a browser fetched it ahead of a reader",
    "declared agent": "the user agent names a scanner, a preview or a tool, or has no browser's shape",
    "burst": "one client opened several links faster than a reader can",
    "sweep": "nearly all links of the message were opened one after another",
    "two places": "another address opened the message within seconds, and this one is in a cloud",
    "near machine": "the same client showed itself as a machine within half a minute",
    "cloud": "the address belongs to a cloud; alone it proves nothing",
    "no agent": "the client sent no user agent; alone it proves nothing",
    "old agent": "the browser is many years old; alone it proves nothing",
    "hasty": "two links were opened almost at once; alone it proves nothing",
    "two devices": "two addresses and two agents opened one link within two seconds; alone it proves nothing",
    "reading pace": "the client opened other links at the pace of a reader, which outweighs one weak signal",
}


class ObservedClick(NamedTuple):
    """One stored click of a message. Without address and agent it was kept to be counted only, and is not judged."""

    id: str
    link_id: str
    position: int | None  # of the link in its part; None when the message is not known
    part: str  # "html" or "text"
    kind: str  # "click", "head" or "prefetch"
    clicked_at: int  # microseconds since the epoch, UTC
    ip: str | None  # may be cut to its network
    user_agent: str | None
    is_trap: bool = False

    def __repr__(self) -> str:
        return f"<ObservedClick {self.kind} {self.part} {self.position}>"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a click is taken for: the deciding reason first, then whatever else was seen."""

    label: RobotLabel
    reasons: tuple[str, ...] = ()  # keys of `REASONS`
    version: int = RULES_VERSION
