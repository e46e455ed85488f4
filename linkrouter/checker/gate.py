"""The gate: may this mail be sent now?

Promise: "send" is said only when every link was fetched, and every host or page on its way was called clean by every
configured source, all of it still fresh at the moment of the question. What is pending, unknown or expired holds the
mail; what is flagged blocks it; what is broken, unverifiable, malformed or a merge tag only warns.

Without a reputation source (the command line's default) nobody is asked, so the fetches alone decide.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from linkrouter.checker.fetch.limits import Clock
from linkrouter.checker.mail.extract import Subject
from linkrouter.checker.reputation.interface import Source
from linkrouter.checker.verdict import LinkState, OpinionState
from linkrouter.errors import BadDestination, HeldMail
from linkrouter.link import canonical_url

__all__ = ["Decision", "Held", "asked_about", "decide", "gate_for_encoder"]


class Held(NamedTuple):
    """A link, and what about it: what is waited for, why it is blocked, or what to look at."""

    url: str
    why: str

    def __repr__(self) -> str:
        return f"<Held {self.why}>"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer: "send", "wait" or "block". It holds until `holds_until`, in seconds since the epoch."""

    answer: str
    waits: tuple[Held, ...]
    blocks: tuple[Held, ...]
    warnings: tuple[Held, ...]
    holds_until: float
    keys: frozenset[str] = field(repr=False)  # of the links that were decided about

    @property
    def may_send(self) -> bool:
        """Whether the answer is "send"."""
        return self.answer == "send"


def decide(
    subjects: Sequence[Subject],
    links: Mapping[str, LinkState],
    opinions: Mapping[tuple[str, str], OpinionState],
    sources: Sequence[Source],
    now: float,
) -> Decision:
    """Decide from what is stored; *now* is in seconds since the epoch."""
    waits: list[Held] = []
    blocks: list[Held] = []
    warnings: list[Held] = []
    times: list[float] = []
    for subject in subjects:
        for kind, why, holds_until in _judge(subject, links.get(subject.key), opinions, sources, now):
            found = {"wait": waits, "block": blocks, "warn": warnings}.get(kind)
            if found is not None:
                found.append(Held(subject.url, why))
            times.append(holds_until)
    answer = "block" if blocks else "wait" if waits else "send"
    keys = frozenset(subject.key for subject in subjects if subject.key)
    return Decision(answer, tuple(waits), tuple(blocks), tuple(warnings), min(times, default=float("inf")), keys)


def _judge(
    subject: Subject,
    state: LinkState | None,
    opinions: Mapping[tuple[str, str], OpinionState],
    sources: Sequence[Source],
    now: float,
) -> Iterator[tuple[str, str, float]]:
    """Give what *subject* does to the mail: ("wait" | "block" | "warn" | "pass", why, until when that is so)."""
    urls: tuple[str, ...] = (subject.key,) if subject.key else ()
    if subject.settled is not None:
        verdict, reason, detail = subject.settled
        harm = "wait" if reason == "unreadable" else "pass" if verdict == "fine" else "warn"
        yield harm, f"{reason}: {detail}" if detail else reason, float("inf")
    elif state is None or state.fetched is None:
        yield "wait", "not checked yet", now
    elif state.holds_until <= now:
        yield "wait", "checked too long ago", now
    else:
        fetched = state.fetched
        yield "pass" if fetched.verdict == "fine" else "warn", fetched.reason, state.holds_until
        urls += tuple(hop.url for hop in fetched.hops)
    for name, asked in asked_about(urls, sources):
        yield _weigh(name, opinions.get((name, asked)), now)


def _weigh(name: str, state: OpinionState | None, now: float) -> tuple[str, str, float]:
    if state is None or state.opinion.answer == "unknown":
        return "wait", f"{name} has not answered", now
    if state.holds_until <= now:
        return "wait", f"{name} was asked too long ago", now
    if state.opinion.answer != "listed":
        return "pass", "", state.holds_until
    return "block" if state.opinion.blocks else "warn", ", ".join(state.opinion.lists), state.holds_until


def asked_about(urls: Sequence[str], sources: Iterable[Source]) -> list[tuple[str, str]]:
    """Give what the *sources* are asked about the *urls* of a link's way: (source, subject), each once."""
    asked = ((source.name, source.subject(url)) for source in sources for url in urls)
    return [(name, subject) for name, subject in dict.fromkeys(asked) if subject is not None]


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
