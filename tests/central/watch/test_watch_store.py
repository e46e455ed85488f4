"""Watched destinations in every store: what is taken up, what is due, and events that are kept once."""

from dataclasses import replace

from central.test_every_store import a_message

from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.questions import Erasure
from linkrouter.central.store.watch import WatchEvent

NOON = 1_795_262_400_000_000
HOUR = 3_600_000_000
DAY = 24 * HOUR
URL = "https://example.com/html"


async def fold(store, now=NOON, days=14):
    while await store.fold_sent(now - days * DAY, now, HOUR):
        pass


async def due(store, now=NOON + HOUR, limit=100):
    return await store.due_links(now, limit)


def an_event(number=1, **changes):
    return replace(WatchEvent(f"{number:021d}A", "link.broken", NOON, 0, URL, "not found", 1, 0), **changes)


async def test_a_destination_is_due_an_hour_after_it_was_sent(store):
    await store.add_message(a_message())
    await fold(store)

    assert await due(store, NOON + HOUR - 1) == []
    [link] = await due(store)
    assert (link.url, link.anchored_at, link.sent_at, link.messages, link.clicks) == (URL, NOON, NOON, 1, 0)
    assert (link.standing, link.looks, link.due_at, link.stopped_by) == ("new", 0, NOON + HOUR, None)


async def test_each_destination_is_one_for_a_tenant_however_often_it_was_sent(store):
    await store.add_message(a_message("mail-1", [("AQ", "html"), ("Ag", "html"), ("AQ", "text")]))
    await fold(store)
    await store.add_message(a_message("mail-2", [("Aw", "html")], sent_at=NOON + HOUR))
    await store.add_message(a_message("mail-3", tenant=7))
    await fold(store, NOON + HOUR)

    found = {(link.tenant, link.url): (link.messages, link.anchored_at, link.sent_at) for link in await due(store)}

    assert found == {
        (0, URL): (2, NOON, NOON + HOUR),
        (0, "https://example.com/text"): (1, NOON, NOON),
        (7, URL): (1, NOON, NOON),
    }


async def test_traps_and_addresses_that_were_taken_away_are_not_watched(store):
    message = a_message(links=[("AQ", "html"), ("Ag", "text")])
    trap, blank = message.links
    await store.add_message(replace(message, links=(trap._replace(trap=True), blank._replace(url=""))))
    await fold(store)

    assert await due(store, NOON + 99 * DAY) == []


async def test_the_most_clicked_comes_first_whether_clicks_came_before_or_after_the_message(store, make_clicks):
    links = [("AQ", "html"), ("Ag", "text")]
    await store.add_clicks(make_clicks(1, link_id="Ag", part="text") + make_clicks(1, 1, link_id="Ag", kind="head"))
    await fold(store)
    await store.add_message(a_message(links=links))
    await store.add_clicks(make_clicks(2, 2, link_id="Ag", part="text") + make_clicks(2, 4, link_id="AQ"))
    await fold(store)
    await store.add_clicks(make_clicks(3, 6, link_id="AQ") + make_clicks(9, 9, link_id="AQ", tenant=7))
    await fold(store)
    await fold(store)

    assert [(link.url[-4:], link.clicks) for link in await due(store)] == [("html", 5), ("text", 3)]
    assert [link.clicks for link in await due(store, limit=1)] == [5]


async def test_many_messages_and_clicks_are_taken_up_in_steps_and_each_once(store, make_clicks):
    for number in range(1100):
        await store.add_message(a_message(f"mail-{number}", [(f"AA{number:06d}", "html")]))
    await store.add_clicks([make_clicks(1, n, link_id=f"AA{n % 1100:06d}")[0] for n in range(11_500)])

    await fold(store)

    assert [(link.messages, link.clicks) for link in await due(store)] == [(1100, 11_500)]


async def test_what_was_sent_before_the_days_is_not_taken_up_and_is_given_up_later(store):
    await store.add_message(a_message("mail-1", sent_at=NOON - 15 * DAY))
    await fold(store)
    before = await store.count_watched(NOON, None)
    await store.add_message(a_message("mail-2", [("AQ", "html")]))
    await fold(store)
    within = await store.count_watched(NOON + HOUR, None)
    await fold(store, NOON + 15 * DAY)

    assert (before, within, await store.count_watched(NOON, None)) == ((0, 0), (1, 1), (0, 0))


async def test_a_time_of_sending_that_is_still_to_come_is_now(store):
    await store.add_message(a_message(sent_at=NOON + 999 * DAY))
    await fold(store)

    [link] = await due(store)
    assert (link.anchored_at, link.sent_at) == (NOON, NOON)


async def test_what_is_sent_again_a_day_later_begins_anew_and_within_the_day_it_does_not(store):
    await store.add_message(a_message("mail-1"))
    await fold(store)
    [first] = await due(store)
    await store.keep_look(first, replace(first, due_at=NOON + 6 * HOUR), None)
    await store.add_message(a_message("mail-2", [("AQ", "html")], sent_at=NOON + 4 * HOUR))
    await fold(store, NOON + 4 * HOUR)
    [same_day] = await due(store, NOON + 6 * HOUR)
    await store.keep_look(same_day, replace(same_day, due_at=NOON + 7 * DAY), None)
    await store.add_message(a_message("mail-3", [("Ag", "html")], sent_at=NOON + 2 * DAY))
    await fold(store, NOON + 2 * DAY)

    [anew] = await due(store, NOON + 2 * DAY + HOUR)
    assert (same_day.anchored_at, same_day.due_at) == (NOON, NOON + 6 * HOUR)
    assert (anew.anchored_at, anew.due_at, anew.messages) == (NOON + 2 * DAY, NOON + 2 * DAY + HOUR, 3)


async def test_what_is_never_looked_at_is_asked_about_again_when_it_is_sent_again(store):
    await store.add_message(a_message("mail-1"))
    await fold(store)
    [link] = await due(store)
    await store.keep_look(link, replace(link, due_at=None), None)
    parked = await due(store, NOON + 99 * DAY)
    await store.add_message(a_message("mail-2", [("AQ", "html")], sent_at=NOON + HOUR))
    await fold(store)

    assert parked == []
    assert [link.messages for link in await due(store, NOON + 2 * HOUR)] == [2]


async def test_a_look_and_its_event_are_kept_once_and_there_after_a_restart(store, url):
    await store.add_message(a_message())
    await fold(store)
    [link] = await due(store)
    after = replace(link, standing="broken", verdict="broken", reason="not found", looked_at=NOON, changed_at=NOON)

    kept = [await store.keep_look(link, after, an_event(number)) for number in (1, 2)]
    await store.close()
    second = open_central_store(url)
    await second.open()
    events, changed = await second.link_events(0, 10, None), await second.changed_links(10, None)
    await second.close()

    assert kept == [True, False]
    assert events == [an_event(1, seq=1)]
    assert changed == [replace(after, looks=1)]


async def test_events_are_read_by_number_and_by_tenant(store):
    await store.add_message(a_message())
    await store.add_message(a_message("theirs", tenant=7))
    await fold(store)
    for number, tenant in enumerate((0, 7, 0, 0)):
        [link] = [one for one in await due(store) if one.tenant == tenant]
        await store.keep_look(link, link, an_event(number, tenant=tenant))

    async def seqs(*asked):
        return [event.seq for event in await store.link_events(*asked)]

    assert [await seqs(0, 10, None), await seqs(2, 1, None), await seqs(4, 9, None)] == [[1, 2, 3, 4], [3], []]
    assert [await seqs(1, 9, 0), await seqs(0, 9, 7)] == [[3, 4], [2]]


async def test_a_stop_is_wanted_while_the_destination_is_flagged_and_until_it_was_made(store):
    await store.add_message(a_message())
    await fold(store)
    [link] = await due(store)
    flagged = replace(link, standing="flagged", changed_at=NOON)
    await store.keep_look(link, flagged, an_event(type="link.flagged", stop="wanted"))
    [wanted] = await store.wanted_stops(10)
    await store.keep_look(replace(link, looks=1), replace(flagged, standing="fine"), None)
    recovered = await store.wanted_stops(10)
    await store.keep_look(replace(link, looks=2), flagged, None)
    await store.note_stop(wanted)

    assert wanted == an_event(type="link.flagged", stop="wanted", seq=1)
    assert (recovered, await store.wanted_stops(10)) == ([], [])
    assert [one.stopped_by for one in await store.changed_links(10, None)] == [wanted.id]
    assert [event.stop for event in await store.link_events(0, 10, None)] == ["made"]


async def test_what_changed_is_listed_with_the_bad_ones_first(store, make_clicks):
    await store.add_message(a_message(links=[("AQ", "html"), ("Ag", "text")]))
    await store.add_message(a_message("theirs", tenant=7))
    await store.add_clicks(make_clicks(5, link_id="AQ"))
    await fold(store)
    standings = {(0, URL): "fine", (0, "https://example.com/text"): "broken"}
    for link in await due(store):
        if standing := standings.get((link.tenant, link.url)):
            await store.keep_look(link, replace(link, standing=standing, changed_at=NOON), None)

    assert [link.standing for link in await store.changed_links(10, None)] == ["broken", "fine"]
    assert [link.standing for link in await store.changed_links(1, 0)] == ["broken"]
    assert await store.changed_links(10, 7) == []


async def test_an_erasure_takes_what_was_learnt_of_a_url_that_nobody_else_was_sent(store):
    await store.add_message(a_message("mail-1", [("AQ", "html"), ("Ag", "text")]))
    await store.add_message(a_message("mail-2", [("Aw", "html")], recipient="other@example.net"))
    await fold(store)
    for number, link in enumerate(await due(store)):
        await store.keep_look(link, link, an_event(number, url=link.url))

    await store.erase(Erasure(recipient="r@example.net", message_id=None, tenant=None))

    assert {link.url for link in await due(store)} == {URL}
    assert {event.url for event in await store.link_events(0, 10, None)} == {URL}
