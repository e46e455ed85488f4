"""Statistics by any filter, over any time, in any time zone: the same as counting click by click."""

import itertools
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from central.history import BEGIN, HOUR, make_history, robot_of

from linkrouter.central.labels import UNKNOWN, Insight
from linkrouter.central.statistics import break_down, count_totals, find_series
from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.questions import ClickFilter
from linkrouter.insight import describe_agent

INSIGHT = Insight()
FILTERS = {
    "tenant": 1,
    "tag": "november",
    "part": "text",
    "browser": "Firefox",
    "os": "iOS",
    "platform": "unknown",
    "url": "https://example.com/3",
    "since": BEGIN + 29 * HOUR + 1_234_567,
    "until": BEGIN + 31 * HOUR + 7_654_321,
    "recipient": "r3@example.net",
}


@pytest.fixture
async def history(database):
    """A store and all of its clicks, those that wait for a label told by what they say themselves."""
    store = open_central_store(database)
    await store.open()
    yield store, await make_history(store, seed=11)
    await store.close()


def value_of(found, dimension):
    """Give the value of a click, of one without a label as well as can be."""
    if dimension in ("part", "kind"):
        return getattr(found.click, dimension)
    if dimension in ("tag", "url"):
        return getattr(found, dimension) or ""
    if found.label is not None:
        return getattr(found.label, dimension)
    return (
        getattr(describe_agent(found.click.user_agent), dimension) if found.click.user_agent else UNKNOWN
    ) or UNKNOWN


def holds(found, asked):
    own = replace(asked, browser=None, os=None, platform=None, url=None, robots="include")
    values = [(name, getattr(asked, name)) for name in ("browser", "os", "platform", "url")]
    return all(wanted in (None, value_of(found, name)) for name, wanted in values), own


def counted(history, asked):
    found = [one for one in history.matching(holds(history.clicks[0], asked)[1]) if holds(one, asked)[0]]
    return found, [one for one in found if robot_of(one) != "machine"]


def questions():
    for names in (*itertools.combinations(FILTERS, 2), *((name,) for name in FILTERS), ()):
        yield replace(ClickFilter(robots="exclude"), **{name: FILTERS[name] for name in names})


async def test_totals_by_each_two_filters(history):
    store, known = history

    for asked in questions():
        found, people = counted(known, asked)
        totals = await count_totals(store, INSIGHT, asked)

        assert totals.figures.clicks == len(people), asked
        assert totals.figures.robots == len(found) - len(people), asked
        assert totals.by_part == {part: sum(one.click.part == part for one in people) for part in ("html", "text")}
        kinds = Counter(one.click.kind for one in found)
        assert totals.by_kind == {kind: kinds[kind] for kind in ("click", "head", "prefetch")}
        times = [one.click.clicked_at for one in people]
        assert (totals.first, totals.last) == (min(times, default=None), max(times, default=None)), asked


async def test_unique_adds_up_over_time_and_parts(history):
    store, known = history
    whole = await count_totals(store, INSIGHT, ClickFilter(robots="exclude"))
    edges = [0, BEGIN + 30 * HOUR, BEGIN + 77 * HOUR + 1, 2**60]

    pieces = [
        await count_totals(store, INSIGHT, ClickFilter(robots="exclude", since=since, until=until))
        for since, until in itertools.pairwise(edges)
    ]

    assert sum(piece.figures.unique for piece in pieces) == whole.figures.unique
    people = counted(known, ClickFilter(robots="exclude"))[1]
    assert whole.figures.unique == len({(one.click.link_id, one.click.tenant) for one in people})


@pytest.mark.parametrize("dimension", ["part", "browser", "os", "platform", "tag", "url"])
async def test_a_breakdown_by_each_filter(history, dimension):
    store, known = history

    for asked in questions():
        found, people = counted(known, asked)
        broken = await break_down(store, INSIGHT, asked, dimension, 1000)

        rows = {value: figures.clicks for value, figures in broken.rows if figures.clicks}
        assert rows == dict(Counter(value_of(one, dimension) for one in people)), asked
        robots = sum(figures.robots for _, figures in broken.rows)
        assert robots == len(found) - len(people), asked


async def test_a_short_breakdown_has_the_rest_in_other(history):
    store, known = history
    people = counted(known, ClickFilter())[1]

    broken = await break_down(store, INSIGHT, ClickFilter(robots="exclude"), "url", 2)
    folded = await break_down(store, INSIGHT, ClickFilter(robots="exclude"), "url", 50, min_cell=10_000)

    assert len(broken.rows) == 2
    assert sum(figures.clicks for _, figures in broken.rows) + broken.other.clicks == len(people)
    assert (folded.rows, folded.other.clicks) == ([], len(people))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"])
@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
async def test_a_series_has_every_point_and_every_click_in_its_own(history, zone, interval):
    store, known = history
    place = ZoneInfo(zone)

    for asked in (ClickFilter(robots="exclude"), ClickFilter(robots="exclude", browser="Chrome"), next(questions())):
        people = counted(known, asked)[1]
        points = await find_series(store, INSIGHT, asked, interval, place)

        local = [datetime.fromtimestamp(point.at, UTC).astimezone(place) for point in points]
        wanted = Counter(begin(one.click.clicked_at, place, interval) for one in people)
        figures = {moment: point.figures.clicks for moment, point in zip(local, points, strict=True)}
        assert {moment: count for moment, count in figures.items() if count} == dict(wanted)
        assert all(follows(one, other, interval) for one, other in itertools.pairwise(local)), local


def begin(time_us, place, interval):
    """Give the first moment of the point that a click falls into, by the clock of *place*."""
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC).astimezone(place)
    if interval == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if interval == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day


def follows(one, other, interval):
    passed = other.astimezone(UTC) - one.astimezone(UTC)
    least, most = {"hour": (0.5, 1.5), "day": (23, 25), "week": (167, 169), "month": (27 * 24, 32 * 24)}[interval]
    return timedelta(hours=least) <= passed <= timedelta(hours=most)
