"""The list of take-backs at central: what it takes, what it hands on, and what it says of it."""

from typing import get_type_hints

import httpx
import pytest
from link.take_backs import LINK_ID, NEW_PATH, RING, VECTORS
from processes import HANG_S

from linkrouter import __version__
from linkrouter.central import take_back_models
from linkrouter.central.api import central_routes
from linkrouter.central.store.opening import open_central_store
from linkrouter.link.takeback import match_link, sign_take_back
from linkrouter.settings import Address
from linkrouter.web.openapi import api_document
from linkrouter.web.server import create_app, serving
from linkrouter.web.tokens import Caller, Tokens

GOOD = VECTORS["good"]
KEY_OF_MAIL = "ASNFZ4mrze8"


def rule(number=0, action="stop", **options):
    to = NEW_PATH if action == "replace" else ""
    made = sign_take_back(
        RING, match=match_link(LINK_ID), action=action, made_at=1000 + number, to=to,
        rule_id=number.to_bytes(16, "big"), **options,
    )  # fmt: skip
    return made._asdict()


async def post(centre, *rules):
    return await centre.sender.post("/v1/take-backs", json={"rules": list(rules)})


async def listed(centre, **query):
    return (await centre.router.get("/v1/take-backs", params=query)).raise_for_status().json()


async def state(centre, **query):
    return (await centre.sender.get("/v1/take-backs/status", params=query)).raise_for_status().json()


async def test_hands_every_good_vector_on_as_it_came(centre):
    answer = await post(centre, *GOOD)

    assert answer.json() == {"stored": len(GOOD), "duplicates": 0, "seq": len(GOOD)}
    assert await listed(centre) == {"rules": GOOD, "seq": len(GOOD)}


async def test_the_same_rules_again_are_duplicates_and_new_ones_get_the_next_number(centre):
    await post(centre, rule(1), rule(2))

    again = await post(centre, rule(2), rule(3), rule(3))

    assert again.json() == {"stored": 1, "duplicates": 2, "seq": 3}
    assert [one["at"] for one in (await listed(centre))["rules"]] == [1001, 1002, 1003]


async def test_an_id_with_other_content_is_refused_and_nothing_of_the_batch_is_kept(centre):
    await post(centre, rule(1))

    known = await post(centre, rule(2), rule(1) | {"at": 5})
    within = await post(centre, rule(3), rule(3) | {"at": 5})

    assert (known.status_code, within.status_code) == (409, 409)
    assert (await listed(centre))["seq"] == 1


@pytest.mark.parametrize(
    "bad",
    [
        {},
        1,
        None,
        [],
        rule() | {"more": 1},
        rule() | {"tenant": "0"},
        rule() | {"action": "redirect"},
        rule() | {"to": NEW_PATH},
        rule() | {"match": "url:https://example.com/"},
        rule() | {"tag": "A" * 21 + "B"},
    ],
    ids=str,
)
async def test_what_has_not_the_shape_of_a_rule_is_named_by_its_place(centre, bad):
    answer = await post(centre, rule(1), bad)

    assert answer.status_code == 422
    assert (answer.json()["list"], answer.json()["index"]) == ("rules", 1)
    assert "example.com" not in answer.text
    assert (await listed(centre))["seq"] == 0


async def test_a_tag_is_not_judged_here(centre):
    forged = rule() | {"tag": "A" * 22}

    assert (await post(centre, forged)).status_code == 200


async def test_pages_of_the_list_follow_each_other(centre):
    await post(centre, *(rule(number) for number in range(5)))

    pages = [await listed(centre, after=after, limit=2) for after in (0, 2, 4, 5)]

    assert [[one["at"] for one in page["rules"]] for page in pages] == [[1000, 1001], [1002, 1003], [1004], []]
    assert [page["seq"] for page in pages] == [2, 4, 5, 5]


async def test_a_router_that_has_read_further_than_there_is_learns_where_the_list_ends(centre):
    await post(centre, rule(1))

    assert await listed(centre, after=50) == {"rules": [], "seq": 1}


async def test_what_has_not_changed_is_304(centre):
    await post(centre, rule(1))
    first = await centre.router.get("/v1/take-backs", params={"after": 1})
    seen = {"If-None-Match": first.headers["ETag"]}

    same = await centre.router.get("/v1/take-backs", params={"after": 1}, headers=seen)
    await post(centre, rule(2))
    changed = await centre.router.get("/v1/take-backs", params={"after": 1}, headers=seen)

    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert (changed.status_code, changed.json()["seq"]) == (200, 2)


async def test_tells_how_many_routers_have_a_rule_and_how_many_clicks_it_turned(centre, click):
    await post(centre, rule(1), rule(2))
    await centre.router.get("/v1/take-backs", params={"after": 1, "router": "ams-blue-1", "applied": 1})
    await centre.router.get("/v1/take-backs", params={"after": 2, "router": "fra-blue-1", "applied": 2})
    await centre.take(click("a", takeback=rule(1)["id"]), click("b"), click("c", tenant=1, takeback=rule(1)["id"]))

    said = await state(centre)

    assert [(one["seq"], one["routers"], one["clicks"]) for one in said["rules"]] == [(2, 1, 0), (1, 2, 1)]
    assert [(one["router"], one["seq"]) for one in said["routers"]] == [("ams-blue-1", 1), ("fra-blue-1", 2)]
    assert said["rules"][1]["rule"] == rule(1)


async def test_pages_of_the_status_follow_each_other(centre):
    await post(centre, *(rule(number) for number in range(3)))

    first = await state(centre, limit=2)
    last = await state(centre, limit=2, before=first["next_before"])

    assert [one["seq"] for one in first["rules"]] == [3, 2]
    assert ([one["seq"] for one in last["rules"]], last["next_before"]) == ([1], None)


@pytest.mark.parametrize(
    ("asked", "links"),
    [
        ({"url": "https://example.com/a"}, 1),
        ({"url": "https://example.com/"}, 0),
        ({"origin": "https://example.com"}, 2),
        ({"origin": "https://example.co"}, 0),
        ({"link_id": "ASNFZ4mrze8B"}, 1),
        ({"message_key": KEY_OF_MAIL}, 2),
        ({"message_id": "mail-1"}, 2),
        ({"url": "https://example.com/a", "tenant": 1}, 0),
    ],
    ids=str,
)
async def test_counts_the_sent_links_that_a_rule_would_match(centre, message, asked, links):
    sent = [
        {"link_id": f"ASNFZ4mrze8{end}", "url": url, "part": part, "position": n}
        for n, (end, url, part) in enumerate(
            [
                ("A", "https://example.com?b", "html"),
                ("B", "https://example.com/a", "html"),
                ("B", "https://example.com/a", "text"),
            ]
        )
    ]
    posted = await centre.sender.post("/v1/messages", json=message("mail-1", links=sent, message_key=KEY_OF_MAIL))
    assert posted.status_code == 200

    answer = (await centre.sender.post("/v1/take-backs/matches", json=asked)).json()

    key = KEY_OF_MAIL if asked.keys() & {"message_id", "message_key"} else None
    assert answer == {"links": links, "messages": min(links, 1), "message_key": key, "newest": None}


async def test_tells_the_rule_that_was_made_last_for_a_match(centre):
    await post(centre, rule(1), rule(3, "lift"), rule(2, "replace"))
    asked = {"link_id": "AQ", "matches": ["link:AQ", rule()["match"]]}

    answers = [
        (await centre.sender.post("/v1/take-backs/matches", json=asked | more)).json()["newest"]
        for more in ({}, {"tenant": 1}, {"matches": ["link:AQ"]})
    ]

    assert answers == [rule(3, "lift"), None, None]


async def test_a_question_about_matches_asks_for_one_thing_that_is_known(centre):
    two = await centre.sender.post("/v1/take-backs/matches", json={"link_id": "AQ", "url": "https://example.com/"})
    none = await centre.sender.post("/v1/take-backs/matches", json={"tenant": 0})
    unknown = await centre.sender.post("/v1/take-backs/matches", json={"message_id": "mail-1"})

    assert (two.status_code, none.status_code, unknown.status_code) == (422, 422, 404)


async def test_a_tenants_token_writes_and_sees_its_own_rules_alone(tmp_path):
    store = open_central_store(f"sqlite:///{tmp_path}/central.db")
    await store.open()
    scopes = frozenset({"takebacks", "clicks:write"})
    tokens = Tokens.of_callers({"seven" * 4: Caller(scopes, 7, "seven"), "all" * 6: Caller(scopes, None, "ops")})
    async with serving(create_app(tokens, central_routes(store)), Address("127.0.0.1", 0)) as port:
        base = {"base_url": f"http://127.0.0.1:{port}", "trust_env": False, "verify": False, "timeout": HANG_S}
        async with (
            httpx.AsyncClient(headers={"Authorization": "Bearer " + "seven" * 4}, **base) as seven,
            httpx.AsyncClient(headers={"Authorization": "Bearer " + "all" * 6}, **base) as everybody,
        ):
            theirs = {"rules": [rule(1), rule(2)]}
            own_to = RING.sign("https://example.com/own", tenant=7)
            own = sign_take_back(
                RING, match=match_link(LINK_ID), action="replace", made_at=5, tenant=7, to=own_to
            )._asdict()
            assert (await everybody.post("/v1/take-backs", json=theirs)).status_code == 200
            await everybody.get("/v1/take-backs", params={"router": "ams", "applied": 2})

            refused = await seven.post("/v1/take-backs", json={"rules": [own, rule(3)]})
            taken = await seven.post("/v1/take-backs", json={"rules": [own]})
            status, read = (await seven.get("/v1/take-backs/status")).json(), (await seven.get("/v1/take-backs")).json()

            asked = [
                await seven.get("/v1/take-backs/status?tenant=8"),
                await seven.post("/v1/take-backs/matches", json={"link_id": "AQ", "tenant": 8}),
            ]
            assert [answer.status_code for answer in (refused, taken, *asked)] == [403, 200, 403, 403]
            assert [one["rule"] for one in status["rules"]] == read["rules"] == [own]
            assert (status["rules"][0]["added_by"], status["routers"]) == ("seven", [])
            assert len((await everybody.get("/v1/take-backs/status")).json()["rules"]) == 3
    await store.close()


@pytest.mark.parametrize(
    ("scope", "statuses"), [("takebacks", (415, 403, 200, 415)), ("clicks:write", (403, 200, 403, 403))]
)
async def test_who_signs_writes_and_who_routes_reads(tmp_path, scope, statuses):
    store = open_central_store(f"sqlite:///{tmp_path}/central.db")
    await store.open()
    tokens = Tokens.of_callers({"token" * 4: Caller(frozenset({scope}))})
    async with (
        serving(create_app(tokens, central_routes(store)), Address("127.0.0.1", 0)) as port,
        httpx.AsyncClient(
            headers={"Authorization": "Bearer " + "token" * 4}, trust_env=False, verify=False, timeout=HANG_S
        ) as client,
    ):
        base = f"http://127.0.0.1:{port}/v1/take-backs"
        answers = [
            await client.request(method, base + path)
            for method, path in (("POST", ""), ("GET", ""), ("GET", "/status"), ("POST", "/matches"))
        ]
    await store.close()

    assert tuple(answer.status_code for answer in answers) == statuses


async def test_the_list_is_there_after_a_restart_and_its_numbers_go_on(tmp_path):
    url = f"sqlite:///{tmp_path}/central.db"
    for number in range(3):
        store = open_central_store(url)
        await store.open()
        [kept] = [sign_take_back(RING, match=match_link(b"1"), action="stop", made_at=number)]
        added = await store.add_take_backs([kept], 0, "")
        page = await store.list_take_backs(number, 10, None)
        await store.close()

        assert added == (1, number + 1)
        assert page == ([kept], number + 1)


def test_every_field_that_comes_in_has_its_rule_in_the_document():
    routes = central_routes(open_central_store("sqlite:///unused.db"))
    document = api_document(routes, "central", __version__)
    described = set()
    for name in ("RulesBatch", "RulesQuery", "StateQuery", "MatchQuestion"):
        schema = document["components"]["schemas"][name]
        assert set(schema["properties"]) == set(get_type_hints(getattr(take_back_models, name)))
        assert schema["additionalProperties"] is False
        for field, of in schema["properties"].items():
            assert of["description"] == take_back_models.TAKE_BACK_RULES[field]
            described.add(field)
    assert described == set(take_back_models.TAKE_BACK_RULES)


async def test_a_click_shows_the_rule_that_turned_it(centre, click):
    await centre.take(click("a", takeback=rule(1)["id"]), click("b", takeback=None), click("c"))

    page = (await centre.sender.get("/v1/clicks")).json()["clicks"]
    table = (await centre.sender.get("/v1/clicks.csv")).text.splitlines()

    assert {one["id"]: one["takeback"] for one in page} == {"a": rule(1)["id"], "b": None, "c": None}
    assert table[0].endswith(",takeback")
    assert sum(line.endswith("," + rule(1)["id"]) for line in table) == 1


async def test_a_rule_of_a_click_has_one_spelling(centre, click):
    assert (await centre.take(click(takeback="A" * 21 + "B"))).status_code == 422
