"""The gate: may this mail be sent now?

Promise: "send" is said only when every link was fetched, and every host or page on its way was called clean by every
configured source, all of it still fresh at the moment of the question. What is pending, unknown or expired holds the
mail; what is flagged blocks it; what is broken, unverifiable, malformed or a merge tag only warns.

Without a reputation source (the command line's default) nobody is asked, so the fetches alone decide.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from linkrouter.checker.fetch.limits import Clock
from linkrouter.checker.mail.extract import LinkToCheck
from linkrouter.checker.reputation.interface import Source
from linkrouter.checker.verdict import LinkState, OpinionState
from linkrouter.errors import BadDestination, HeldMail
from linkrouter.link import canonical_url

__all__ = ["Decision", "GateAnswer", "GateFinding", "decide", "gate_for_encoder", "queries_about", "with_pending"]


_NO_WARNING = ("in a header", "part of the mail", "excluded")

GateAnswer = Literal["send", "wait", "block"]


class GateFinding(NamedTuple):
    """A link, and what about it: what is waited for, why it is blocked, or what to look at."""

    url: str
    why: str

    def __repr__(self) -> str:
        return f"<GateFinding {self.why}>"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer: "send", "wait" or "block". It holds until `holds_until`, in seconds since the epoch."""

    answer: GateAnswer
    waits: tuple[GateFinding, ...]
    blocks: tuple[GateFinding, ...]
    warnings: tuple[GateFinding, ...]
    holds_until: float
    keys: frozenset[str] = field(repr=False)  # of the links that were decided about

    @property
    def may_send(self) -> bool:
        """Whether the answer is "send"."""
        return self.answer == "send"


def decide(
    links: Sequence[LinkToCheck],
    states: Mapping[str, LinkState],
    opinions: Mapping[tuple[str, str], OpinionState],
    sources: Sequence[Source],
    now: float,
) -> Decision:
    """Decide from what is stored; *now* is in seconds since the epoch."""
    waits: list[GateFinding] = []
    blocks: list[GateFinding] = []
    warnings: list[GateFinding] = []
    times: list[float] = []
    for link in links:
        for kind, why, holds_until in _judge(link, states.get(link.key), opinions, sources, now):
            found = {"wait": waits, "block": blocks, "warn": warnings}.get(kind)
            if found is not None:
                found.append(GateFinding(link.url, why))
            times.append(holds_until)
    answer: GateAnswer = "block" if blocks else "wait" if waits else "send"
    keys = frozenset(link.key for link in links if link.key)
    return Decision(answer, tuple(waits), tuple(blocks), tuple(warnings), min(times, default=float("inf")), keys)


def with_pending(decision: Decision, links: Iterable[LinkToCheck]) -> Decision:
    """Give *decision* about a mail that has *links* besides, of which nothing is known yet."""
    waits = tuple(GateFinding(link.url, "not checked yet") for link in links)
    if not waits:
        return decision
    answer: GateAnswer = "block" if decision.answer == "block" else "wait"
    return replace(decision, answer=answer, waits=decision.waits + waits)


def _judge(
    link: LinkToCheck,
    state: LinkState | None,
    opinions: Mapping[tuple[str, str], OpinionState],
    sources: Sequence[Source],
    now: float,
) -> Iterator[tuple[str, str, float]]:
    """Give what *link* does to the mail: ("wait" | "block" | "warn" | "pass", why, until when that is so)."""
    urls: tuple[str, ...] = (link.key,) if link.key else ()
    if link.settled is not None:
        verdict, reason, detail = link.settled
        calm = verdict == "fine" or reason in _NO_WARNING
        harm = "wait" if reason == "unreadable" else "pass" if calm else "warn"
        yield harm, f"{reason}: {detail}" if detail else reason, float("inf")
    elif state is None or state.fetched is None:
        yield "wait", "not checked yet", now
    elif state.holds_until <= now:
        yield "wait", "checked too long ago", now
    else:
        fetched = state.fetched
        yield "pass" if fetched.verdict == "fine" else "warn", fetched.reason, state.holds_until
        urls += tuple(hop.url for hop in fetched.hops)
    for name, query in queries_about(urls, sources):
        yield _weigh(name, opinions.get((name, query)), now)


def _weigh(name: str, state: OpinionState | None, now: float) -> tuple[str, str, float]:
    if state is None or state.opinion.answer == "unknown":
        return "wait", f"{name} has not answered", now
    if state.holds_until <= now:
        return "wait", f"{name} was asked too long ago", now
    if state.opinion.answer != "listed":
        return "pass", "", state.holds_until
    return "block" if state.opinion.blocks else "warn", ", ".join(state.opinion.lists), state.holds_until


def queries_about(urls: Sequence[str], sources: Iterable[Source]) -> list[tuple[str, str]]:
    """Give what the *sources* are asked about the *urls* of a link's way: (source, query), each once."""
    queries = ((source.name, source.query_for(url)) for source in sources for url in urls)
    return [(name, query) for name, query in dict.fromkeys(queries) if query is not None]


def gate_for_encoder(decision: Decision, *, clock: Clock = time.time) -> Callable[[tuple[str, ...]], None]:
    """Give what `Encoder(gate=…)` takes.

    It raises `HeldMail`, naming the links, unless *decision* says "send", still holds and knows every link.
    """

    def gate(urls: tuple[str, ...]) -> None:
        held = [link.url for link in (*decision.blocks, *decision.waits)]
        unknown = [url for url in urls if _key(url) not in decision.keys]
        if decision.may_send and not unknown and clock() < decision.holds_until:
            return
        if held or unknown:
            links = tuple(dict.fromkeys((*held, *unknown)))
            raise HeldMail(f"the mail is held by {len(links)} of its links; check it again", links)
        raise HeldMail("the check of the mail is too old; check it again", urls)

    return gate


def _key(url: str) -> str:
    try:
        return canonical_url(url).partition("#")[0]
    except BadDestination:
        return ""
