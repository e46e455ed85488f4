"""The stop that central makes by itself: signed, kept and told like one of a sender's, and never twice."""

import pytest

from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.watch import WatchEvent
from linkrouter.central.watch.stops import FlaggedStops
from linkrouter.errors import KeyringError
from linkrouter.link import Keyring
from linkrouter.link.codec import encode_base64url
from linkrouter.link.takeback import TakeBack, match_destination, sign_take_back
from linkrouter.link.takeback_table import TakeBacks

RING = Keyring.create()
URL = "https://shop.example/offer?a=b"
EVENT = WatchEvent(encode_base64url(bytes(16)), "link.flagged", 0, 7, URL, "listed", 1, 0, "wanted", 1)


@pytest.fixture
async def store(database):
    store = open_central_store(database)
    await store.open()
    yield store
    await store.close()


async def rules(store):
    return await store.find_take_backs(None, 100, None)


async def add(store, action, **options):
    options |= {"match": match_destination(RING, URL, tenant=7), "tenant": 7, "made_at": 2**33}
    await store.add_take_backs([sign_take_back(RING, action=action, **options)], 0, "sender")


async def test_the_rule_stops_the_destination_and_nothing_else_of_its_origin(store):
    assert await FlaggedStops(store, lambda: RING).stop(EVENT)

    [kept] = await rules(store)
    table = TakeBacks(RING)
    table.add(kept.rule)
    links = {
        (url, tenant): RING.open(RING.sign(url, tenant=tenant))
        for url, tenant in ((URL, 7), (URL, 0), ("https://shop.example/", 7), ("https://shop.example/offer", 7))
    }
    assert [asked for asked, link in links.items() if table.find(link)] == [(URL, 7)]
    assert (kept.rule.id, kept.rule.action, kept.added_by) == (EVENT.id, "stop", "central")


async def test_the_same_event_again_makes_no_second_rule(store):
    stops = FlaggedStops(store, lambda: RING)

    assert [await stops.stop(EVENT), await stops.stop(EVENT)] == [True, True]
    assert len(await rules(store)) == 1


async def test_a_rule_of_before_a_kill_that_was_lifted_meanwhile_is_not_made_again(store):
    stops = FlaggedStops(store, lambda: RING)
    await stops.stop(EVENT)
    await add(store, "lift")

    assert await stops.stop(EVENT)
    assert [one.rule.action for one in await rules(store)] == ["lift", "stop"]


async def test_what_the_sender_stopped_or_replaced_is_left_as_it_is(store):
    await add(store, "replace", to=RING.sign("https://shop.example/new", tenant=7))

    assert await FlaggedStops(store, lambda: RING).stop(EVENT)
    assert [one.rule.action for one in await rules(store)] == ["replace"]


async def test_it_wins_over_a_rule_that_was_lifted_by_a_fast_clock(store):
    await add(store, "lift")

    await FlaggedStops(store, lambda: RING).stop(EVENT)

    assert [one.rule.at for one in await rules(store)] == [2**33 + 1, 2**33]


async def test_a_rule_that_nobody_signed_holds_up_nothing(store):
    forged = sign_take_back(Keyring.create(), match="link:AQ", action="stop", made_at=9)._asdict()
    forged |= {"match": match_destination(RING, URL, tenant=7), "tenant": 7}
    await store.add_take_backs([TakeBack(**forged)], 0, "thief")

    await FlaggedStops(store, lambda: RING).stop(EVENT)

    assert [one.added_by for one in await rules(store)] == ["central", "thief"]


async def test_a_keyring_that_cannot_be_used_is_told_and_asked_again_later(store, caplog):
    tries = iter([KeyringError("gone"), KeyringError("gone"), None])

    def load():
        if error := next(tries):
            raise error
        return RING

    stops = FlaggedStops(store, load)

    assert [await stops.stop(EVENT) for _ in range(3)] == [False, False, True]
    assert [record.msg for record in caplog.records] == ["watch.not_stopped"]
    assert len(await rules(store)) == 1
