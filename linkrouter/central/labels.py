"""Labels: what is known of a stored click beyond the click itself, made from all clicks of its message.

Promise: a pure function of the clicks, of what the sender told of their message, and of the tables of `insight`. The
same input gives the same labels, so that history can be labelled again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from linkrouter.insight import Judgement, Networks, ObservedClick, Places, describe_agent, judge_message

__all__ = ["UNKNOWN", "Insight", "KnownLink", "KnownMessage", "Label", "StoredClick", "label_clicks"]

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Insight:
    """The tables that labels are made with."""

    places: Places = field(default_factory=Places)
    networks: Networks = field(default_factory=Networks)


class StoredClick(NamedTuple):
    """A click as the store has it; `seq` is the order of storing."""

    seq: int
    id: str
    link_id: str
    tenant: int
    part: str
    kind: str
    clicked_at: int
    ip: str | None
    user_agent: str | None


class KnownLink(NamedTuple):
    """What the sender told of one link."""

    url: str
    position: int
    is_trap: bool


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """What the sender told of one mail: how many links the part with most of them has, and those that were clicked."""

    seq: int
    tag: str = ""
    most_links: int = 0  # without the trap
    links: Mapping[tuple[str, str], KnownLink] = field(default_factory=dict, repr=False)  # by id and part


class Label(NamedTuple):
    """What statistics group a click by; a text that is not known is `UNKNOWN` or empty."""

    seq: int
    tenant: int
    clicked_at: int
    message: int  # the `seq` of the message, 0 while that is not known
    tag: str
    part: str
    kind: str
    browser: str
    os: str
    platform: str
    country: str
    region: str
    city: str
    url: str
    robot: str  # "human", "machine", "unsure" or "not judged"
    reasons: tuple[str, ...]  # the deciding one first
    version: int


def label_clicks(
    clicks: Sequence[StoredClick], message: KnownMessage | None, insight: Insight
) -> Iterable[tuple[StoredClick, Label]]:
    """Give the label of each of *clicks*, which are all of one message, or of one link whose message is not known."""
    links = message.links if message else {}
    observed = [
        ObservedClick(
            click.id,
            click.link_id,
            known.position if (known := links.get((click.link_id, click.part))) else None,
            click.part,
            click.kind,
            click.clicked_at,
            click.ip,
            click.user_agent,
            known is not None and known.is_trap,
        )
        for click in clicks
    ]
    judged = judge_message(observed, links=message.most_links if message else None, networks=insight.networks)
    number, tag = (message.seq, message.tag) if message else (0, "")
    for click, seen in zip(clicks, observed, strict=True):
        _, click_id, link_id, _, part, _, _, ip, user_agent = click
        judgement = judged[click_id]
        if ip is None and not user_agent:
            judgement = _machine_by_itself(seen) or judgement
        agent = describe_agent(user_agent) if user_agent else None
        place = insight.places.find_place(ip) if ip else None
        link = links.get((link_id, part))
        yield (
            click,
            Label(
                click.seq,
                click.tenant,
                click.clicked_at,
                number,
                tag,
                part,
                click.kind,
                (agent and agent.browser) or UNKNOWN,
                (agent and agent.os) or UNKNOWN,
                (agent and agent.platform) or UNKNOWN,
                (place and place.country) or UNKNOWN,
                (place and place.region) or "",
                (place and place.city) or "",
                link.url if link else "",
                judgement.label,
                judgement.reasons,
                judgement.version,
            ),
        )


def _machine_by_itself(click: ObservedClick) -> Judgement | None:
    """Judge what no person can have done, where a click was kept without what tells more of its client."""
    if click.is_trap:
        return Judgement("machine", ("trap",))
    return Judgement("machine", (click.kind,)) if click.kind != "click" else None
