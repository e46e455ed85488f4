"""The judgement: all clicks of one message in, a label with reasons for each out.

Promise: a pure function, so that history can be judged again. A machine is known by what it says of itself or by what
its clicks do together. One weak signal (a cloud, no agent, an old browser, haste) makes a click unsure, two make it a
machine's.
"""

from collections.abc import Iterable, Mapping

from linkrouter.insight.networks import Networks
from linkrouter.insight.robots.agents import is_declared_agent, is_old_agent
from linkrouter.insight.robots.observed import Judgement, ObservedClick
from linkrouter.insight.robots.patterns import (
    Seen,
    find_hasty,
    find_neighbours,
    find_readers,
    find_runs,
    find_two_devices,
    find_two_places,
    group_by_client,
)

__all__ = ["judge_message"]

_NO_NETWORKS = Networks()
_NOT_JUDGED = Judgement("not judged")
_HUMAN = Judgement("human")


def judge_message(
    clicks: Iterable[ObservedClick], *, links: int | None = None, networks: Networks = _NO_NETWORKS
) -> dict[str, Judgement]:
    """Judge *clicks*, all that are known of one message, in any order.

    *links* is the number of tracked links in the part that has most, without the trap; where the message is not known,
    None, and the links that were clicked are counted. A click that was kept without address and agent is not judged,
    and is no evidence about others.
    """
    clicks = list(clicks)
    if len(clicks) == 1:  # as most are: there is nothing to hold it against
        return {clicks[0].id: _judge_alone(clicks[0], networks)}
    judgements: dict[str, Judgement] = {}
    seen: list[Seen] = []
    for click in sorted(clicks, key=lambda click: (click.clicked_at, click.id)):
        if click.ip is None and not click.user_agent:
            judgements[click.id] = _NOT_JUDGED
        else:
            seen.append((click, networks.kind_of(click.ip)))
    if links is None:
        links = len({click.link_id for click, _ in seen if not click.is_trap})
    strong = _strong(seen, links)
    weak = _weak(_others(seen, strong), links)
    for click, network in seen:
        judgements[click.id] = _judged(strong.get(click.id), [*_own_signs(click, network), *weak.get(click.id, ())])
    return judgements


def _judge_alone(click: ObservedClick, networks: Networks) -> Judgement:
    if click.ip is None and not click.user_agent:
        return _NOT_JUDGED
    return _judged(_declared(click), _own_signs(click, networks.kind_of(click.ip)))


def _strong(seen: list[Seen], links: int) -> dict[str, str]:
    """Give the clicks that are machines' without doubt, each with its deciding reason."""
    strong = {click.id: reason for click, _ in seen if (reason := _declared(click))}
    strong |= find_runs(_others(seen, strong), links)
    if strong:
        strong |= dict.fromkeys(find_neighbours(seen, strong), "near machine")
    return strong | dict.fromkeys(find_two_places(_others(seen, strong)), "two places")


def _others(seen: list[Seen], strong: Mapping[str, str]) -> list[Seen]:
    return [one for one in seen if one[0].id not in strong] if strong else seen


def _declared(click: ObservedClick) -> str | None:
    if click.is_trap:
        return "trap"
    if click.kind != "click":
        return click.kind
    return "declared agent" if click.user_agent and is_declared_agent(click.user_agent) else None


def _weak(seen: list[Seen], links: int) -> dict[str, list[str]]:
    """Give what the clicks that are left do together; a reader's pace stands with the signs it outweighs."""
    weak: dict[str, list[str]] = {}
    if len(seen) > 1:
        by_client = group_by_client(seen)
        rules = (
            (find_hasty(by_client, links), "hasty"),
            (find_two_devices(seen), "two devices"),
            (find_readers(by_client), "reading pace"),
        )
        for ids, reason in rules:
            for click_id in ids:
                weak.setdefault(click_id, []).append(reason)
    return weak


def _own_signs(click: ObservedClick, network: str) -> list[str]:
    signs = ["cloud"] if network == "cloud" else []
    if not click.user_agent:
        signs.append("no agent")
    elif is_old_agent(click.user_agent):
        signs.append("old agent")
    return signs


def _judged(strong: str | None, signs: list[str]) -> Judgement:
    if not strong and not signs:
        return _HUMAN
    if strong:
        return Judgement("machine", (strong, *(sign for sign in signs if sign != "reading pace")))
    is_reader = "reading pace" in signs
    weak = [sign for sign in signs if sign != "reading pace"]
    if not weak:
        return _HUMAN
    if len(weak) > 1:
        return Judgement("machine", tuple(weak))
    if is_reader and weak != ["hasty"]:
        return Judgement("human", ("reading pace", *weak))
    return Judgement("unsure", tuple(weak))
