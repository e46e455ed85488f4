"""Labels and roll-ups in a store: figures are a sum over labels, whatever happens in whatever order."""

import asyncio
import random

import pytest
from central.labelled import ask_all, assert_figures_are_the_sum_of_labels, label_all

from linkrouter.central.labels import Insight
from linkrouter.central.roll_ups import LabelRow
from linkrouter.central.store.records import Message, MessageLink
from linkrouter.clicks.click import Click
from linkrouter.link.codec import encode_base64url, varint

NOON = 1_795_262_400_000_000
SECOND = 1_000_000
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
INSIGHT = Insight()


def link_id(message: int, position: int) -> str:
    return encode_base64url(b"message" + bytes([message]) + varint(position))


def a_click(name, message=1, position=0, at_s=0.0, **changes) -> Click:
    fields = {
        "id": f"click-{name}",
        "link_id": link_id(message, position),
        "tenant": 0,
        "part": "html",
        "clicked_at": NOON + int(at_s * SECOND),
        "ip": "203.0.113.7",
        "user_agent": CHROME,
        "kind": "click",
    }
    return Click(**(fields | changes))


def a_message(message=1, links=5, tag="november", trap=None, **changes) -> Message:
    return Message(
        message_id=f"mail-{message}@example.com",
        digest=bytes([message]),
        sent_at=NOON,
        metadata={},
        links=tuple(
            MessageLink(link_id(message, n), f"https://example.com/{n}", "html", n, n == trap) for n in range(links)
        ),
        **({"tenant": 0, "recipient": f"r{message}@example.net", "tag": tag} | changes),
    )


async def labels_of(store) -> dict[str, dict]:
    """Give every label by the click's id, with its words."""
    kept = await ask_all(store, "SELECT number, word FROM words", "SELECT seq, id FROM clicks", "SELECT * FROM labels")
    words, ids = map(dict, kept[:2])
    rows = [LabelRow._make(row) for row in kept[2]]
    return {
        ids[row.seq]: {
            "robot": ("human", "machine", "unsure", "not judged")[row.robot],
            "reasons": words[row.reasons],
            "tag": words[row.tag],
            "browser": words[row.browser],
            "url": words[row.url],
            "first": bool(row.is_first),
        }
        for row in rows
    }


async def test_a_person_is_told_from_a_gateway(store):
    await store.add_message(a_message())
    await store.add_clicks([a_click(f"burst-{n}", position=n, at_s=n * 0.1, ip="198.51.100.9") for n in range(5)])
    await store.add_clicks([a_click("reader", position=2, at_s=3600)])

    await label_all(store)

    found = await labels_of(store)
    assert {found[f"click-burst-{n}"]["robot"] for n in range(5)} == {"machine"}
    assert found["click-reader"] == {
        "robot": "human",
        "reasons": "",
        "tag": "november",
        "browser": "Chrome",
        "url": "https://example.com/2",
        "first": True,
    }
    await assert_figures_are_the_sum_of_labels(store)


async def test_a_trap_is_a_machine_even_when_it_was_only_to_be_counted(store):
    await store.add_message(a_message(trap=4))
    await store.add_clicks(
        [a_click("trap", position=4, ip=None, user_agent=None), a_click("quiet", ip=None, user_agent=None)]
    )

    await label_all(store)

    found = await labels_of(store)
    assert (found["click-trap"]["robot"], found["click-trap"]["reasons"]) == ("machine", "trap")
    assert found["click-quiet"]["robot"] == "not judged"


async def test_siblings_are_judged_again_when_a_later_click_changes_the_picture(store):
    await store.add_message(a_message())
    await store.add_clicks([a_click("first", position=0)])
    await label_all(store)
    before = (await labels_of(store))["click-first"]

    await store.add_clicks([a_click(f"late-{n}", position=n, at_s=n * 0.1) for n in range(1, 5)])
    await label_all(store)

    after = (await labels_of(store))["click-first"]
    assert (before["robot"], after["robot"]) == ("human", "machine")
    assert (before["first"], after["first"]) == (True, False)
    await assert_figures_are_the_sum_of_labels(store)


async def test_a_manifest_that_comes_after_the_clicks_brings_tag_and_url(store):
    await store.add_clicks([a_click("early")])
    await label_all(store)
    before = (await labels_of(store))["click-early"]

    await store.add_message(a_message())
    await label_all(store)

    after = (await labels_of(store))["click-early"]
    assert (before["tag"], before["url"]) == ("", "")
    assert (after["tag"], after["url"]) == ("november", "https://example.com/0")
    await assert_figures_are_the_sum_of_labels(store)


async def test_clicks_of_one_key_are_judged_together_before_their_manifest_comes(store):
    await store.add_clicks([a_click(f"burst-{n}", position=n, at_s=n * 0.1) for n in range(5)])

    await label_all(store)

    assert {label["robot"] for label in (await labels_of(store)).values()} == {"machine"}


async def test_the_first_click_may_come_last(store):
    await store.add_message(a_message())
    await store.add_clicks([a_click("second", at_s=7200)])
    await label_all(store)

    await store.add_clicks([a_click("first", at_s=0)])
    await label_all(store)

    found = await labels_of(store)
    assert (found["click-first"]["first"], found["click-second"]["first"]) == (True, False)
    await assert_figures_are_the_sum_of_labels(store)


async def test_nothing_is_written_when_nothing_changed(store):
    await store.add_message(a_message())
    await store.add_clicks([a_click("one"), a_click("two", position=1, at_s=60)])
    await label_all(store)

    after = 0
    while after is not None:
        after = await store.relabel_next(INSIGHT, after, 0)

    await assert_figures_are_the_sum_of_labels(store)
    assert len(await labels_of(store)) == 2


async def test_labelling_that_is_cancelled_ends_its_step(store):
    await store.add_clicks([a_click(n, message=n % 200, at_s=n) for n in range(500)])
    task = asyncio.create_task(store.label_next(INSIGHT, 500))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await assert_figures_are_the_sum_of_labels(store)
    await label_all(store)
    await assert_figures_are_the_sum_of_labels(store)


@pytest.mark.parametrize("seed", range(10))
async def test_figures_are_the_sum_of_labels_after_any_history(store, seed):
    chance = random.Random(seed)
    clicks = [
        a_click(
            n,
            message=chance.randrange(4),
            position=chance.randrange(5),
            at_s=chance.choice((chance.random() * 5, chance.random() * 90_000)),
            ip=chance.choice(("203.0.113.7", "198.51.100.9", None)),
            user_agent=chance.choice((CHROME, "curl/8.5.0", None)),
            kind=chance.choice(("click", "click", "click", "head")),
        )
        for n in range(60)
    ]
    steps = (
        [("message", n) for n in range(4)]
        + [("clicks", n) for n in range(0, 60, 10)]
        + [("label", n) for n in range(5)]
    )
    chance.shuffle(steps)
    for step, n in steps:
        if step == "message":
            await store.add_message(a_message(n, tag=chance.choice(("a", "b", None)), trap=chance.choice((None, 4))))
        elif step == "clicks":
            await store.add_clicks(chance.sample(clicks[n : n + 10], 10) + clicks[:3])
        else:
            await store.label_next(INSIGHT, await store.latest_seq())
            await assert_figures_are_the_sum_of_labels(store)
    await label_all(store)

    await assert_figures_are_the_sum_of_labels(store)
    assert len(await labels_of(store)) == 60
