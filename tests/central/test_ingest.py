"""Posting: what is taken, what is refused, and how it is said."""

import asyncio
import gzip
import json
import zlib

import pytest

JSON = {"Content-Type": "application/json"}
GZIP = JSON | {"Content-Encoding": "gzip"}


def refused(answer, status: int) -> dict:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    return problem


async def test_takes_a_batch_and_says_so(centre, click):
    answer = await centre.take(click("a"), click("b"))

    assert (answer.status_code, answer.json()) == (200, {"stored": 2, "duplicates": 0})
    assert (await centre.stats())["total"] == 2


async def test_the_same_batch_again_stores_nothing_and_says_so(centre, click):
    await centre.take(click("a"), click("b"))

    assert (await centre.take(click("a"), click("b"))).json() == {"stored": 0, "duplicates": 2}
    assert (await centre.take(click("b"), click("c"), click("c"))).json() == {"stored": 1, "duplicates": 2}


async def test_the_same_batch_at_once_is_stored_once(centre, click):
    clicks = [click(f"id-{n}") for n in range(200)]

    answers = await asyncio.gather(*(centre.take(*clicks) for _ in range(4)))

    assert sorted(answer.json()["stored"] for answer in answers) == [0, 0, 0, 200]
    assert (await centre.stats())["total"] == 200


async def test_an_empty_batch_is_taken(centre):
    assert (await centre.take()).json() == {"stored": 0, "duplicates": 0}


async def test_a_thousand_clicks_are_taken_and_one_more_is_not(centre, click):
    clicks = [click(f"id-{n}") for n in range(1001)]

    assert (await centre.take(*clicks[:1000])).json()["stored"] == 1000
    problem = refused(await centre.take(*clicks), 422)

    assert problem["reason"] == "clicks must be a list of at most 1000 clicks"
    assert (await centre.stats())["total"] == 1000


ACCEPTED = {
    "without address and agent": {"ip": None, "user_agent": None},
    "largest tenant": {"tenant": 2**32 - 1},
    "one-byte link id": {"link_id": "AQ"},
    "sixteen-byte link id": {"link_id": "A" * 21 + "A"},
    "time without fraction": {"clicked_at": "2026-11-21T17:33:38Z"},
    "time with an offset of nothing": {"clicked_at": "2026-11-21T17:33:38.1+00:00"},
    "IPv6 address": {"ip": "2001:db8::7"},
    "IPv4 in IPv6": {"ip": "::ffff:203.0.113.7"},
    "empty agent": {"user_agent": ""},
    "agent of 512 bytes": {"user_agent": "é" * 256},
    "id of a proxy": {"id": "C0A80001:D2C4_7F000001:0050_65F1B2C3_0001:1A2B"},
    "head": {"kind": "head"},
    "text": {"part": "text"},
}
REFUSED = {
    "link id as false": {"link_id": False},
    "link id empty": {"link_id": ""},
    "link id of a second spelling": {"link_id": "-----x"},
    "link id padded": {"link_id": "AQ=="},
    "link id in standard base64": {"link_id": "++++"},
    "link id of 17 bytes": {"link_id": "A" * 23},
    "link id with an impossible length": {"link_id": "AAAAA"},
    "link id with a line end": {"link_id": "AQ\n"},
    "tenant as false": {"tenant": False},
    "tenant as text": {"tenant": "1"},
    "tenant as a fraction": {"tenant": 1.5},
    "tenant as a whole float": {"tenant": 1.0},
    "tenant below zero": {"tenant": -1},
    "tenant too large": {"tenant": 2**32},
    "tenant beyond any integer": {"tenant": 10**400},
    "tenant as null": {"tenant": None},
    "tenant missing": {"tenant": ...},
    "part unknown": {"part": "HTML"},
    "kind unknown": {"kind": "open"},
    "kind as a list": {"kind": ["click"]},
    "time as a number": {"clicked_at": 1795282418},
    "time as a number in text": {"clicked_at": "1795282418"},
    "time without zone": {"clicked_at": "2026-11-21T17:33:38"},
    "time in another zone": {"clicked_at": "2026-11-21T17:33:38+01:00"},
    "time with a space": {"clicked_at": "2026-11-21 17:33:38Z"},
    "time that never was": {"clicked_at": "2026-02-30T17:33:38Z"},
    "time before 1970": {"clicked_at": "1969-12-31T23:59:59Z"},
    "time of nanoseconds": {"clicked_at": "2026-11-21T17:33:38.123456789Z"},
    "time in other digits": {"clicked_at": "२०२६-11-21T17:33:38Z"},
    "address with a zone": {"ip": "fe80::1%eth0"},
    "address in octal": {"ip": "0203.0.113.07"},
    "address cut short": {"ip": "127.1"},
    "address with a port": {"ip": "203.0.113.7:80"},
    "address of a network": {"ip": "203.0.113.0/24"},
    "address with NUL": {"ip": "203.0.113.7\x00"},
    "address empty": {"ip": ""},
    "address missing": {"ip": ...},
    "agent of 513 bytes": {"user_agent": "é" * 256 + "x"},
    "agent with NUL": {"user_agent": "a\x00b"},
    "agent as a number": {"user_agent": 7},
    "id empty": {"id": ""},
    "id too long": {"id": "x" * 129},
    "id with a space": {"id": "a b"},
    "id as a number": {"id": 7},
    "unknown field": {"colour": "blue"},
}


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
async def test_takes_a_click(centre, click, changes):
    assert (await centre.take(click(**changes))).json() == {"stored": 1, "duplicates": 0}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
async def test_refuses_a_click_and_names_the_first_bad_one(centre, click, changes):
    problem = refused(await centre.take(click("a"), click("b"), click(**changes), click(**changes)), 422)

    assert (problem["list"], problem["index"]) == ("clicks", 2)
    [field] = changes
    assert problem["reason"].startswith(f"{field} must be " if field != "colour" else "it has a field") or (
        problem["reason"] == f"{field} is missing"
    )
    assert (await centre.stats())["total"] == 0


ENVELOPES = {
    "no object": ([], "it must be an object"),
    "no router": ({"clicks": []}, "router is missing"),
    "router with a space": ({"router": "a b", "clicks": []}, "router must be 1 to 64 letters"),
    "no clicks": ({"router": "ams"}, "clicks is missing"),
    "clicks as null": ({"router": "ams", "clicks": None}, "clicks must be a list"),
    "clicks as an object": ({"router": "ams", "clicks": {}}, "clicks must be a list"),
    "losses as null": ({"router": "ams", "clicks": [], "losses": None}, "losses must be a list"),
    "more": ({"router": "ams", "clicks": [], "secret-name": 1}, "it has a field that is not known"),
}


@pytest.mark.parametrize(("envelope", "reason"), ENVELOPES.values(), ids=ENVELOPES)
async def test_refuses_an_envelope(centre, envelope, reason):
    problem = refused(await centre.router.post("/v1/clicks", json=envelope), 422)

    assert problem["reason"].startswith(reason)
    assert "index" not in problem


@pytest.mark.parametrize("record", [1, None, "text", [], True], ids=str)
async def test_refuses_a_record_that_is_no_object(centre, click, record):
    problem = refused(await centre.take(click("a"), record), 422)

    assert (problem["index"], problem["reason"]) == (1, "it must be an object")


NOT_JSON = {
    "nothing": b"",
    "cut": b'{"router": "ams", "clicks": [',
    "bad UTF-8": b'{"router": "\xff", "clicks": []}',
    "lone surrogate": b'{"router": "\\ud800", "clicks": []}',
    "byte order mark": b'\xef\xbb\xbf{"router": "ams", "clicks": []}',
    "NaN": b'{"router": "ams", "clicks": NaN, "x":}',
    "deep nesting": b"[" * 1_000_000,
    "deep objects": b'{"a":' * 200_000,
    "two documents": b'{"router":"ams","clicks":[]}{}',
    "single quotes": b"{'router': 'ams'}",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
async def test_refuses_what_is_not_json(centre, body):
    refused(await centre.router.post("/v1/clicks", content=body, headers=JSON), 400)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e3", "1E0", "0.0"])
async def test_a_tenant_is_a_whole_number_as_written(centre, click, number):
    body = json.dumps({"router": "ams", "clicks": [click(tenant=0)]}).replace('"tenant": 0', f'"tenant": {number}')

    answer = await centre.router.post("/v1/clicks", content=body, headers=JSON)

    assert answer.status_code in (400, 422)
    assert (await centre.stats())["total"] == 0


async def test_takes_a_gzip_body(centre, click):
    body = gzip.compress(json.dumps({"router": "ams", "clicks": [click()]}).encode())

    answer = await centre.router.post("/v1/clicks", content=body, headers=GZIP)

    assert answer.json() == {"stored": 1, "duplicates": 0}


@pytest.mark.parametrize("spoil", [lambda b: b"junk" + b, lambda b: b[:-40], lambda b: b[:20] + b"\xff" * 9 + b[29:]])
async def test_refuses_a_spoilt_gzip_body(centre, click, spoil):
    body = gzip.compress(json.dumps({"router": "ams", "clicks": [click(str(n)) for n in range(9)]}).encode())

    refused(await centre.router.post("/v1/clicks", content=spoil(body), headers=GZIP), 400)

    assert (await centre.stats())["total"] == 0


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml"])
async def test_refuses_another_content_type(centre, content_type):
    headers = {"Content-Type": content_type} if content_type else {}

    refused(await centre.router.post("/v1/clicks", content=b"{}", headers=headers), 415)


async def test_refuses_another_coding(centre):
    answer = await centre.router.post("/v1/clicks", content=b"{}", headers=JSON | {"Content-Encoding": "compress"})

    refused(answer, 415)
    assert answer.headers["Accept-Encoding"] == "gzip"


async def test_takes_json_with_a_charset(centre):
    headers = {"Content-Type": "application/json; charset=utf-8"}

    answer = await centre.router.post("/v1/clicks", content=b'{"router":"ams","clicks":[]}', headers=headers)

    assert answer.status_code == 200


async def test_refuses_a_body_over_8_mb(centre):
    refused(await centre.router.post("/v1/clicks", content=b" " * (8 * 1024**2 + 1), headers=JSON), 413)


async def test_refuses_a_body_over_8_mb_that_comes_in_chunks(centre):
    async def chunks():
        for _ in range(9):
            yield b" " * 1024**2

    refused(await centre.router.post("/v1/clicks", content=chunks(), headers=JSON), 413)


async def test_refuses_a_body_that_unpacks_to_more_than_8_mb(centre):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1024**2)) for _ in range(200)) + packer.flush()

    refused(await centre.router.post("/v1/clicks", content=bomb, headers=GZIP), 413)

    assert (await centre.take()).status_code == 200


async def test_a_gzip_bomb_in_a_gzip_bomb_is_not_json(centre):
    body = gzip.compress(gzip.compress(bytes(1024**2)))

    refused(await centre.router.post("/v1/clicks", content=body, headers=GZIP), 400)


async def test_losses_show_in_the_statistics_once(centre, click):
    loss = {
        "id": "loss-1",
        "reason": "queue_full",
        "count": 12,
        "since": "2026-11-21T17:00:00Z",
        "until": "2026-11-21T17:00:05.5Z",
    }

    await centre.take(click(), losses=[loss])
    await centre.take(losses=[loss])

    assert (await centre.stats())["missing"] == {
        "count": 12,
        "by_reason": {"queue_full": 12},
        "since": "2026-11-21T17:00:00.000000Z",
        "until": "2026-11-21T17:00:05.500000Z",
    }
    assert (await centre.stats(since="2026-11-21T18:00:00Z"))["missing"]["count"] == 0


@pytest.mark.parametrize(
    "changes", [{"count": 0}, {"count": True}, {"reason": "a b"}, {"since": 7}, {"until": None}, {"more": 1}], ids=str
)
async def test_refuses_a_bad_loss_by_its_index_and_keeps_nothing(centre, click, changes):
    loss = {
        "id": "loss-1",
        "reason": "full",
        "count": 1,
        "since": "2026-11-21T17:00:00Z",
        "until": "2026-11-21T17:00:00Z",
    }

    problem = refused(await centre.take(click(), losses=[loss, loss | changes]), 422)

    assert (problem["list"], problem["index"]) == ("losses", 1)
    assert (await centre.stats())["total"] == (await centre.stats())["missing"]["count"] == 0


async def test_a_message_may_come_after_its_clicks(centre, click, message):
    await centre.take(click())
    assert (await centre.stats(message_id="mail-1@example.com"))["total"] == 0

    answer = await centre.sender.post("/v1/messages", json=message())

    assert answer.json() == {"stored": 1, "duplicates": 0}
    assert (await centre.stats(message_id="mail-1@example.com"))["total"] == 1
    assert (await centre.stats(tag="november"))["total"] == 1


async def test_the_same_message_again_is_a_duplicate(centre, message):
    await centre.sender.post("/v1/messages", json=message())
    reordered = dict(reversed(message().items()))

    assert (await centre.sender.post("/v1/messages", json=reordered)).json() == {"stored": 0, "duplicates": 1}


async def test_a_default_may_be_written_out(centre, message):
    await centre.sender.post("/v1/messages", json=message())

    assert (await centre.sender.post("/v1/messages", json=message(tenant=0))).json()["duplicates"] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"tag": "december"},
        {"tag": None},
        {"metadata": {}},
        {"links": []},
        {"sent_at": "2026-11-21T12:00:01Z"},
    ],
    ids=str,
)
async def test_other_content_under_one_message_id_is_a_conflict(centre, message, changes):
    await centre.sender.post("/v1/messages", json=message())

    refused(await centre.sender.post("/v1/messages", json=message() | changes), 409)


async def test_tenants_may_have_the_same_message_and_link_ids(centre, message):
    await centre.sender.post("/v1/messages", json=message())

    other = await centre.sender.post("/v1/messages", json=message(tenant=1, tag="december"))

    assert other.json() == {"stored": 1, "duplicates": 0}


async def test_a_link_of_another_message_is_a_conflict(centre, message):
    await centre.sender.post("/v1/messages", json=message("mail-1"))

    refused(await centre.sender.post("/v1/messages", json=message("mail-2")), 409)


async def test_takes_the_message_key_and_the_trap_that_the_encoder_reports(centre, message):
    mail = message(message_key="-----------w"[1:])
    mail["links"][0]["trap"] = True

    assert (await centre.sender.post("/v1/messages", json=mail)).json() == {"stored": 1, "duplicates": 0}


async def test_a_message_may_say_no_more_than_it_must(centre):
    least = {"message_id": "mail-1", "sent_at": "2026-11-21T12:00:00Z", "links": []}

    assert (await centre.sender.post("/v1/messages", json=least)).json() == {"stored": 1, "duplicates": 0}


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": ""},
        {"message_id": "a\nb"},
        {"sent_at": 1795282418},
        {"recipient": 7},
        {"recipient": "x" * 321},
        {"tag": False},
        {"metadata": {"a": 1}},
        {"metadata": []},
        {"metadata": {str(n): "" for n in range(51)}},
        {"links": None},
        {"tenant": "0"},
        {"message_key": "AAAA"},
        {"colour": "blue"},
    ],
    ids=str,
)
async def test_refuses_a_bad_message(centre, message, changes):
    problem = refused(await centre.sender.post("/v1/messages", json=message() | changes), 422)

    [field] = changes
    assert problem["reason"].startswith((f"{field} must be ", "it has a field"))


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "javascript:alert(1)"},
        {"url": "https://exämple.com"},
        {"position": -1},
        {"part": "amp"},
        {"link_id": "="},
        {"trap": 1},
    ],
    ids=str,
)
async def test_refuses_a_bad_link_of_a_message_by_its_index(centre, message, changes):
    mail = message(link_ids=("AQ", "Ag"))
    mail["links"][1] |= changes

    problem = refused(await centre.sender.post("/v1/messages", json=mail), 422)

    [field] = changes
    assert (problem["list"], problem["index"]) == ("links", 1)
    assert problem["reason"].startswith(f"{field} must be ")
