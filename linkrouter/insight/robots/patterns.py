"""What clicks do together: bursts, sweeps, machines' neighbours, two places at once, and the pace of a reader.

Promise: every rule looks at the clicks of one client first, and a person who clicks while a scanner runs is not part of
its burst. Time since sending is never looked at: two scans in three begin within a minute, and so do readers of
log-in codes.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from linkrouter.insight.networks import NetworkKind
from linkrouter.insight.robots.observed import ObservedClick
from linkrouter.units import SECOND_US

__all__ = [
    "Seen",
    "find_hasty",
    "find_neighbours",
    "find_readers",
    "find_runs",
    "find_two_devices",
    "find_two_places",
    "group_by_client",
]

Seen = tuple[ObservedClick, NetworkKind]  # a click and where its address belongs

BURST_GAP_US = 2 * SECOND_US  # a longer rest ends a burst
CLOUD_BURST_GAP_US = 5 * SECOND_US
SWEEP_GAP_US = 30 * SECOND_US
HASTY_US = 300_000  # nobody finds a second link in less
HASTY_ALL_US = 1_500_000  # for both links of a mail with two, or in a cloud
NEIGHBOUR_US = 30 * SECOND_US
TWO_PLACES_US = 15 * SECOND_US
TWO_DEVICES_US = 2 * SECOND_US
READING_US = (5 * SECOND_US, 900 * SECOND_US)
BURST_LINKS, SWEEP_LINKS = 3, 4  # at least
SWEEP_SHARE = 0.8
MAX_PARTNERS = 100  # of a click in a flood: who hammers a link may not make the judgement slow
MAX_VISITS = 2  # a sweep opens each link about once; the readers of a much forwarded mail do not


def find_runs(seen: Sequence[Seen], links: int) -> dict[str, str]:
    """Give the clicks of bursts and sweeps, with the reason.

    First each client (address and agent) by itself, then what is left: all clouds together, because a gateway rotates
    its addresses, then each agent over its addresses, then everything, which has to be quicker still.
    """
    found: dict[str, str] = {}
    if _distinct([click for click, _ in seen]) < BURST_LINKS:
        return found
    for key, pace_us, may_burst in _GROUPINGS:
        left = [one for one in seen if one[0].kind == "click" and one[0].id not in found]
        for group in _grouped(left, key):
            in_cloud = all(network == "cloud" for _, network in group)
            clicks = [click for click, _ in group]
            if may_burst or in_cloud:
                found |= dict.fromkeys(_bursts(clicks, links, in_cloud), "burst")
            rest = [click for click in clicks if click.id not in found]
            found |= dict.fromkeys(_sweeps(rest, links, 10 * SECOND_US if in_cloud else pace_us), "sweep")
    return found


_GROUPINGS: tuple[tuple[Callable[[Seen], object], int, bool], ...] = (
    (lambda one: (one[0].ip, one[0].user_agent), 5 * SECOND_US, True),
    (lambda one: one[1] == "cloud" or None, 10 * SECOND_US, False),
    (lambda one: one[0].user_agent, 5 * SECOND_US, False),
    (lambda one: "all", SECOND_US, False),
)


def group_by_client(seen: Iterable[Seen]) -> list[list[Seen]]:
    """Give the clicks proper of each client, those of one address and agent."""
    return _grouped((one for one in seen if one[0].kind == "click"), _GROUPINGS[0][0])


def _grouped(seen: Iterable[Seen], key: Callable[[Seen], object]) -> list[list[Seen]]:
    groups: dict[object, list[Seen]] = {}
    for one in seen:
        value = key(one)
        if value is not None:
            groups.setdefault(value, []).append(one)
    return list(groups.values())


def _bursts(clicks: Sequence[ObservedClick], links: int, in_cloud: bool) -> Iterator[str]:
    """Half of the links, at least 3 and at most 5, under a second each; in a cloud 3, under three seconds each."""
    least = BURST_LINKS if in_cloud else max(BURST_LINKS, min(5, links // 2))
    pace_us = 3 * SECOND_US if in_cloud else SECOND_US
    for run in _split(clicks, CLOUD_BURST_GAP_US if in_cloud else BURST_GAP_US):
        if _distinct(run) >= least and _pace_us(run) < pace_us:
            yield from (click.id for click in run)


def _sweeps(clicks: Sequence[ObservedClick], links: int, pace_us: int) -> Iterator[str]:
    """Four fifths of at least four links, one after another without a rest."""
    for run in _split(clicks, SWEEP_GAP_US):
        distinct = _distinct(run)
        is_whole = distinct >= max(SWEEP_LINKS, SWEEP_SHARE * links)
        if is_whole and len(run) <= MAX_VISITS * distinct and _pace_us(run) <= pace_us:
            yield from (click.id for click in run)


def _split(clicks: Sequence[ObservedClick], gap_us: int) -> list[list[ObservedClick]]:
    runs: list[list[ObservedClick]] = []
    for click in clicks:
        if runs and click.clicked_at - runs[-1][-1].clicked_at <= gap_us:
            runs[-1].append(click)
        else:
            runs.append([click])
    return runs


def _distinct(run: Sequence[ObservedClick]) -> int:
    return len({click.link_id for click in run})


def _pace_us(run: Sequence[ObservedClick]) -> float:
    """Give the mean time between one link and the next."""
    return (run[-1].clicked_at - run[0].clicked_at) / max(1, _distinct(run) - 1)


def find_neighbours(seen: Sequence[Seen], reasons: dict[str, str]) -> set[str]:
    """Give the clicks within half a minute of a machine's act by the same client.

    A trap, a burst or a sweep tells of the address and agent together; in a cloud any act but a prefetch tells of the
    address. A preview or prefetch elsewhere says nothing: a phone fetches the preview that its owner then taps.
    """
    acts: dict[object, list[int]] = {}
    for click, network in seen:
        reason = reasons.get(click.id)
        if network == "cloud" and reason and click.kind != "prefetch":
            acts.setdefault(click.ip, []).append(click.clicked_at)
        elif reason in ("trap", "burst", "sweep") and click.kind == "click":
            acts.setdefault((click.ip, click.user_agent), []).append(click.clicked_at)
    if not acts:
        return set()
    return {
        click.id
        for click, network in seen
        if click.id not in reasons
        and _is_near(acts.get(click.ip if network == "cloud" else (click.ip, click.user_agent), ()), click.clicked_at)
    }


def _is_near(times: Sequence[int], at: int) -> bool:
    after = bisect_left(times, at - NEIGHBOUR_US)
    return after < len(times) and times[after] <= at + NEIGHBOUR_US


def find_two_places(seen: Sequence[Seen]) -> set[str]:
    """Give the clicks from a cloud that another place contradicts within 15 s.

    Two clouds with two agents are two machines. A cloud and a reader on one link are a check at the time of the click,
    as Safe Links makes it, and the reader's own click, which stays a person's.
    """
    found: set[str] = set()
    clouds = [click for click, network in seen if network == "cloud" and click.kind == "click"]
    if not clouds:
        return found
    others = [click for click, network in seen if network != "cloud" and click.kind == "click"]
    for one, other in _near_pairs(clouds, clouds, TWO_PLACES_US):
        if one.ip != other.ip and one.user_agent != other.user_agent:
            found |= {one.id, other.id}
    found |= {one.id for one, other in _near_pairs(clouds, others, TWO_PLACES_US) if one.link_id == other.link_id}
    return found


def find_two_devices(seen: Sequence[Seen]) -> set[str]:
    """Give the clicks on one link by two addresses with two agents within 2 s, none of them a cloud or a relay."""
    clicks = [click for click, network in seen if network == "other" and click.kind == "click"]
    pairs = _near_pairs(clicks, clicks, TWO_DEVICES_US)
    return {
        click.id
        for one, other in pairs
        if one.link_id == other.link_id and one.ip != other.ip and one.user_agent != other.user_agent
        for click in (one, other)
    }


def _near_pairs(
    ones: Sequence[ObservedClick], others: Sequence[ObservedClick], within_us: int
) -> Iterator[tuple[ObservedClick, ObservedClick]]:
    """Give each pair that lies at most *within_us* apart; both sequences are sorted by time."""
    first = 0
    for one in ones:
        while first < len(others) and others[first].clicked_at < one.clicked_at - within_us:
            first += 1
        for at in range(first, min(len(others), first + MAX_PARTNERS)):
            if others[at].clicked_at > one.clicked_at + within_us:
                break
            if others[at].id != one.id:
                yield one, others[at]


def find_hasty(by_client: Iterable[Sequence[Seen]], links: int) -> set[str]:
    """Give the clicks of a client on two links almost at once: a tab opener or a small scan."""
    found: set[str] = set()
    for group in by_client:
        if len(group) == 1:
            continue
        all_links = _distinct([click for click, _ in group]) >= links
        for (one, network), (other, _) in pairwise(group):
            limit_us = HASTY_ALL_US if all_links or network == "cloud" else HASTY_US
            if one.link_id != other.link_id and other.clicked_at - one.clicked_at < limit_us:
                found |= {one.id, other.id}
    return found


def find_readers(by_client: Iterable[Sequence[Seen]]) -> set[str]:
    """Give the clicks of a client that went on to another link after 5 s to 15 min."""
    found: set[str] = set()
    for group in by_client:
        for (one, _), (other, _) in pairwise(group):
            gap_us = other.clicked_at - one.clicked_at
            if one.link_id != other.link_id and READING_US[0] <= gap_us <= READING_US[1]:
                found |= {one.id, other.id}
    return found
