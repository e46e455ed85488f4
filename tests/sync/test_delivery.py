"""Sync against a centre that does its work, and against every way of not doing it."""

import json
import logging

import httpx
import pytest
from sync.centre import Centre, answer, fail, lose_the_reply

from linkrouter.clicks.click import write_click
from linkrouter.clicks.store import Loss

LOSS = Loss("loss-1", "queue_full", 3, since=1_795_262_400_000_000, until=1_795_262_400_000_001)


def events(caplog) -> list[str]:
    return [record.message for record in caplog.records if record.name == "linkrouter"]


async def pending(bench) -> int:
    return (await bench.store.status()).pending


async def test_sends_everything_in_batches_of_a_thousand(bench, make_clicks):
    centre = Centre()
    line = await bench(centre, make_clicks(2500))

    await line.run_for(3)

    assert sorted(centre.clicks) == [click.id for click in make_clicks(2500)]
    assert centre.posts == [1000, 1000, 500]
    assert await pending(line) == 0
    assert line.counted("linkrouter_sync_clicks") == {"stored": 2500}


async def test_sends_clicks_as_the_ingest_api_takes_them(bench, make_clicks):
    centre = Centre()

    await (await bench(centre, make_clicks(1))).run_for(1)

    assert centre.clicks["id-000000"] == {
        "id": "id-000000",
        "link_id": "-----w",
        "tenant": 0,
        "part": "html",
        "clicked_at": "2026-11-21T12:00:00.000000Z",
        "ip": None,
        "user_agent": "Mozilla/5.0",
        "kind": "click",
    }
    assert centre.headers["Authorization"] == "Bearer a-token-of-a-router"
    assert centre.headers["Content-Encoding"] == "gzip"


FAILURES = {
    "500": answer(500),
    "503": answer(503),
    "429": answer(429),
    "302": answer(302, {"Location": "http://elsewhere.test/"}),
    "404": answer(404),
    "405": answer(405),
    "401": answer(401),
    "403": answer(403),
    "204": answer(204),
    "200 of a proxy": answer(200, content=b"<html>Sign in to the network</html>"),
    "200 with a wrong count": answer(200, content=b'{"stored":1,"duplicates":0}'),
    "200 with an endless body": answer(200, content=b" " * 1_000_000),
    "400 to everything": answer(400),
    "413 to everything": answer(413),
    "422 to everything": answer(422),
    "refused connection": fail(httpx.ConnectError("no")),
    "timeout": fail(httpx.ReadTimeout("slow")),
    "cut connection": fail(httpx.ReadError("cut")),
    "broken TLS": fail(httpx.ConnectError("[SSL] record layer failure")),
    "broken HTTP": fail(httpx.RemoteProtocolError("what")),
    "reply lost": lose_the_reply,
    "bug in the transport": fail(RuntimeError("boom")),
}


@pytest.mark.parametrize("misdeed", FAILURES.values(), ids=FAILURES)
async def test_keeps_everything_while_the_centre_fails_and_sends_it_when_it_does_not(
    bench, make_clicks, misdeed, caplog
):
    caplog.set_level(logging.INFO, "linkrouter")
    centre = Centre()
    centre.always = misdeed
    line = await bench(centre, make_clicks(20))
    await line.run_for(5)

    kept, failing_s = await pending(line), line.sync._backoff.failing_s()
    centre.always = None
    await line.run_for(3)

    assert kept == 20
    assert failing_s > 0
    assert sorted(centre.stored) == [click.id for click in make_clicks(20)]
    assert set(centre.stored.values()) == {1}
    assert (await line.store.status()).dead_letters == 0
    assert await pending(line) == 0
    assert events(caplog) == [events(caplog)[0], "sync.caught_up"]
    assert line.sync._backoff.failing_s() == 0


@pytest.mark.parametrize(("status", "event"), [(401, "sync.refused"), (404, "sync.refused"), (500, "sync.retry")])
async def test_says_once_what_the_trouble_is(bench, make_clicks, caplog, status, event):
    caplog.set_level(logging.INFO, "linkrouter")
    centre = Centre()
    centre.always = answer(status)

    await (await bench(centre, make_clicks(20))).run_for(10)

    assert events(caplog) == [event]
    assert caplog.records[0].fields == {"reason": str(status)}


async def test_waits_longer_after_each_failure_and_up_to_a_minute_when_trouble_lasts(bench, make_clicks):
    centre = Centre()
    centre.always = answer(500)

    waits = await (await bench(centre, make_clicks(1))).run_for(60)

    assert waits[:5] == [1, 2, 4, 8, 8]
    assert waits == sorted(waits)
    # A hair more, because sums of floats are rounded in one way by us and in another by sum() from Python 3.12 on.
    assert all(wait <= max(8, sum(waits[:number]) / 10 * (1 + 1e-9)) for number, wait in enumerate(waits))
    assert waits[-1] == 60


async def test_is_back_within_ten_seconds_of_a_centre_that_was_not_there(bench, make_clicks):
    centre = Centre()
    centre.always = fail(httpx.ConnectError("no"))

    waits = await (await bench(centre, make_clicks(1))).run_for(600)

    assert waits == [1, 2, 4] + [8] * 597


async def test_waits_from_nothing_to_the_longest_by_chance(bench, make_clicks):
    centre, drawn = Centre(), []
    centre.always = answer(500)
    line = await bench(centre, make_clicks(1))
    line.uniform = lambda least, most: drawn.append((least, most)) or 0.0

    await line.run_for(3)

    assert drawn == [(0, 1), (0, 2), (0, 4)]


async def test_probes_slowly_while_it_is_denied(bench, make_clicks):
    centre = Centre()
    centre.always = answer(401)

    waits = await (await bench(centre, make_clicks(1))).run_for(60)

    assert waits[:3] == [8, 8, 8]
    assert waits[-1] == 60


@pytest.mark.parametrize("status", [429, 503, 500])
@pytest.mark.parametrize("text", ["30", "Sat, 21 Nov 2026 12:00:30 GMT"])
async def test_waits_as_long_as_the_centre_asks(bench, make_clicks, status, text):
    centre = Centre()
    centre.misdeeds.append(answer(status, {"Retry-After": text}))
    line = await bench(centre, make_clicks(1))

    first, _ = await line.run_for(2)

    assert 30 <= first <= 31
    assert len(centre.clicks) == 1


async def test_starts_over_with_short_waits_after_a_success(bench, make_clicks):
    centre = Centre()
    centre.misdeeds.extend([answer(500), answer(500)])
    line = await bench(centre, make_clicks(1))
    await line.run_for(3)
    await line.store.append([write_click(click) for click in make_clicks(1, first=1)])
    centre.misdeeds.append(answer(500))

    assert (await line.run_for(1)) == [1]


@pytest.mark.parametrize("poison", [["id-000000"], ["id-000019"], ["id-000007", "id-000008"]])
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_sets_aside_the_record_the_centre_refuses_and_nothing_else(bench, make_clicks, poison, status):
    centre = Centre(poison)
    work = centre.work
    centre.work = lambda request: httpx.Response(status) if work(request).status_code == 422 else work(request)
    line = await bench(centre, make_clicks(20))

    await line.run_for(1)

    assert sorted([*centre.clicks, *poison]) == [click.id for click in make_clicks(20)]
    assert (await line.store.status()).dead_letters == len(poison)
    assert await pending(line) == 0
    assert line.counted("linkrouter_sync_clicks")["dead_letter"] == len(poison)


async def test_a_record_that_is_refused_only_for_a_moment_becomes_no_dead_letter(bench, make_clicks):
    centre = Centre()
    centre.misdeeds.append(answer(400))
    line = await bench(centre, make_clicks(1))

    await line.run_for(1)

    assert len(centre.clicks) == 1
    assert (await line.store.status()).dead_letters == 0
    assert centre.posts == [1, 0, 1]


async def test_sets_nothing_aside_when_the_centre_fails_right_after_refusing(bench, make_clicks):
    centre = Centre(["id-000000"])
    centre.misdeeds.extend([answer(422), answer(500)])
    line = await bench(centre, make_clicks(1))

    await line.run_for(1)

    assert (await line.store.status()).dead_letters == 0
    assert await pending(line) == 1


async def test_a_store_that_cannot_keep_dead_letters_keeps_the_batch(bench, make_clicks, caplog):
    centre = Centre(["id-000000"])
    line = await bench(centre, make_clicks(2))

    async def refuse(*_):
        raise OSError("disk")

    line.store.add_dead_letters = refuse

    await line.run_for(2)

    assert await pending(line) == 2


async def test_sends_smaller_batches_to_a_centre_that_takes_no_larger(bench, make_clicks):
    centre = Centre(max_clicks=300)
    line = await bench(centre, make_clicks(2500))

    await line.run_for(20)

    assert len(centre.clicks) == 2500
    assert (await line.store.status()).dead_letters == 0
    assert centre.posts[:3] == [1000, 500, 250]
    assert sum(count > 300 for count in centre.posts) <= 4


async def test_tells_losses_apart_from_clicks_and_once(bench, make_clicks):
    centre = Centre()
    line = await bench(centre, make_clicks(3), losses=[LOSS])

    await line.run_for(3)

    assert centre.losses == {"loss-1": LOSS.to_wire()}
    assert centre.posts == [3, 0]


async def test_tells_losses_again_until_the_centre_has_them(bench):
    centre = Centre()
    centre.misdeeds.extend([answer(500), fail(httpx.ReadError("cut")), lose_the_reply])
    line = await bench(centre, losses=[LOSS])

    await line.run_for(5)

    assert centre.losses == {"loss-1": LOSS.to_wire()}
    assert centre.posts == [0, 0, 0, 0]


async def test_losses_the_centre_does_not_understand_hold_up_no_click(bench, make_clicks):
    centre = Centre()
    work = centre.work
    centre.work = lambda request: httpx.Response(422) if "losses" in centre.read(request) else work(request)
    line = await bench(centre, make_clicks(3), losses=[LOSS])
    await line.run_for(2)
    await line.store.append([write_click(click) for click in make_clicks(3, first=3)])

    waits = await line.run_for(2)

    assert len(centre.clicks) == 6
    assert max(waits) < 1
    assert centre.posts.count(0) == 1


async def test_drain_sends_what_waits_and_returns(bench, make_clicks):
    centre = Centre()
    line = await bench(centre, make_clicks(2500), losses=[LOSS])

    await line.sync.drain(5)

    assert len(centre.clicks) == 2500
    assert centre.losses


async def test_drain_returns_at_the_first_sign_of_trouble(bench, make_clicks):
    centre = Centre()
    centre.always = answer(500)
    line = await bench(centre, make_clicks(10))

    await line.sync.drain(5)

    assert centre.posts == [10]
    assert await pending(line) == 10


async def test_an_endless_answer_is_read_no_further_than_any_answer_can_be(bench, make_clicks):
    read = []

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self):
            while True:
                read.append(1)
                yield b" " * 10_000

    centre = Centre()
    centre.misdeeds.append(lambda *_: httpx.Response(200, stream=Endless()))
    line = await bench(centre, make_clicks(1))

    await line.run_for(1)

    assert len(read) < 10


async def test_writes_nothing_of_a_click_into_logs_and_metrics(bench, make_clicks, caplog):
    caplog.set_level(logging.DEBUG, "linkrouter")
    centre = Centre(["id-000003"])
    line = await bench(centre, [click._replace(user_agent="CANARY") for click in make_clicks(5)])
    centre.misdeeds.extend(
        [answer(500, content=b"CANARY"), fail(httpx.ReadError("CANARY")), fail(ValueError("CANARY"))]
    )

    await line.run_for(5)

    said = json.dumps([[record.msg, getattr(record, "fields", None)] for record in caplog.records])
    assert "sync.dead_letters" in said
    assert "CANARY" not in said + repr([list(family.samples) for family in line.metrics.collect()])
