"""The check's API: what it takes, what it answers, and what it streams."""

import asyncio
import base64
import json

import pytest
from aiohttp import web
from checker.api.centre import SENDER, checking_centre, client, read_events
from checker.farm import Farm
from checker.reputation.lists import rbldnsd
from checker.servers import site, status
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from processes import HANG_S, room

from linkrouter.checker.api.models import MAX_CHECKED_LINKS, MAX_MAIL_BYTES
from linkrouter.checker.api.reading import read_links
from linkrouter.settings import Address

CANARY = "canary7f3a"
ONE_OF_THEM = "exactly one of html, text, message, urls, markdown, mjml and feed must be there"


@pytest.fixture
async def centre(tmp_path):
    async with checking_centre(tmp_path, total_timeout=3.0 * room()) as running:
        yield running


def as_message(html):
    head = "From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n"
    body = base64.encodebytes(html.encode()).decode()
    raw = f"{head}Content-Transfer-Encoding: base64\r\n\r\n{body}"
    return base64.b64encode(raw.encode()).decode()


def as_html(*urls):
    return "".join(f'<p><a href="{url}">see <b>this</b></a></p>\n' for url in urls)


async def test_every_link_of_a_farm_gets_its_verdict(centre):
    async with Farm(hosts=5, links=100) as farm:
        result = await centre.check(html=farm.page())
        truth = {url: right for url, right, _ in farm.truth()}

    assert result["state"] == "done"
    assert result["progress"] == {"done": 100, "total": 100}
    assert len(result["links"]) == 100
    assert [link["url"] for link in result["links"] if link["verdict"] not in truth[link["url"]]] == []


async def test_the_first_answer_has_every_link_waiting_and_where_to_ask(centre):
    async with site(status(200)) as (origin, _):
        begun = await centre.post(html=as_html(f"{origin}/a", f"{origin}/a", "{{tag}}"))
        result = begun.json()

    assert begun.status_code == 202
    assert begun.headers["Location"] == f"/v1/checks/{result['id']}"
    assert (result["state"], result["may_send"], result["gate"]["answer"]) == ("running", False, "wait")
    assert [(link["url"], link["verdict"], link["complete"]) for link in result["links"]] == [
        (f"{origin}/a", "waiting", False),
        ("{{tag}}", "waiting", False),
    ]
    assert result["links"][0]["places"] == [
        {"part": "html", "position": 0, "line": 1, "text": "see this"},
        {"part": "html", "position": 1, "line": 2, "text": "see this"},
    ]


@pytest.mark.parametrize("kind", ["html", "text", "message", "urls", "markdown", "mjml", "feed"])
async def test_a_mail_may_come_in_any_form(centre, kind):
    async with site(status(404)) as (origin, _):
        url = f"{origin}/page?a=1&b=%C3%A4"
        forms = {"html": as_html(url), "text": f"see {url}.", "message": as_message(as_html(url)), "urls": [url]}
        forms |= {"markdown": f"[x]({url})", "mjml": f"<mj-button href='{url}'/>", "feed": f"<link href='{url}'/>"}
        result = await centre.check(**{kind: forms[kind]})

    [link] = result["links"]
    assert (link["url"], link["verdict"], link["status"]) == (url, "broken", 404)
    assert link["places"][0]["part"] == {"message": "html"}.get(kind, kind)
    assert result["may_send"] is True
    assert [held["url"] for held in result["gate"]["warnings"]] == [url]
    assert result["inputs"] == [{"name": "-", "kind": kind, "links": 1, "images": 0}]


async def test_images_are_reported_apart_where_they_are_asked_for(centre):
    async with site(status(404)) as (origin, _):
        page = f'<a href="{origin}/a">x</a><img src="{origin}/b.png"><img src="{origin}/c.png" alt="C">'
        without = await centre.check(html=page)
        begun = await centre.post(html=page, images=True)
        events = await centre.events(begun.headers["Location"])
        result = (await centre.sender.get(begun.headers["Location"])).json()

    assert (without["inputs"][0]["images"], without["images"]) == (0, [])
    assert [link["url"] for link in result["links"]] == [f"{origin}/a"]
    assert [(image["url"], image["places"][0]["alt"], image["verdict"]) for image in result["images"]] == [
        (f"{origin}/b.png", None, "broken"),
        (f"{origin}/c.png", "C", "broken"),
    ]
    found = sorted((name, data["index"], data["link"]["url"]) for _, name, data in events[:-1])
    assert found == [
        ("image", 0, f"{origin}/b.png"),
        ("image", 1, f"{origin}/c.png"),
        ("link", 0, f"{origin}/a"),
    ]


@settings(deadline=None)  # reading is measured elsewhere
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.from_regex(r"https?://[a-z.{}%]+/"))
)
def test_every_url_of_a_list_is_a_link_in_its_place(urls):
    links = asyncio.run(read_links({"urls": urls})).links

    places = [place for link in links for place in link.places]
    assert sorted(place.position for place in places) == list(range(len(urls)))
    assert all(place.part == "urls" and place.line == place.position + 1 for place in places)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, ONE_OF_THEM),
        ({"author": "me"}, ONE_OF_THEM),
        ({"html": CANARY, "text": CANARY}, ONE_OF_THEM),
        ({"html": 5}, "html must be HTML of at most 10485760 characters"),
        ({"html": CANARY, CANARY: 1}, "it has a field that is not known"),
        ({"urls": CANARY}, "urls must be a list of at most 10000 URLs of at most 8192 characters"),
        (
            {"urls": ["x"] * (MAX_CHECKED_LINKS + 1)},
            "urls must be a list of at most 10000 URLs of at most 8192 characters",
        ),
        ({"urls": ["a", 7]}, "it must be text, and not too long"),
        ({"urls": ["a", "x" * 8193]}, "it must be text, and not too long"),
        ({"urls": [], "author": "a\nb"}, "author must be 1 to 256 characters without control characters"),
        ({"html": as_html(*(f"https://a.example/{n}" for n in range(MAX_CHECKED_LINKS + 1)))}, "at most 10000 links"),
        ({"html": "x" * (MAX_MAIL_BYTES + 1)}, "html must be HTML of at most 10485760 characters"),
        ({"message": f"{CANARY}="}, "in base64 with padding"),
        ({"message": f"{CANARY} \n"}, "in base64 with padding"),
        ({"message": base64.b64encode(b"x" * (MAX_MAIL_BYTES + 1)).decode()}, "in base64 with padding"),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_what_cannot_be_checked_is_refused_in_our_own_words(centre, body, reason):
    answer = await centre.post(**body)

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert reason in answer.json()["reason"]
    assert CANARY not in answer.text


async def test_a_body_beyond_the_limit_is_refused(centre):
    answer = await centre.post(html="x" * (16 * 1024**2))

    assert answer.status_code == 413
    assert answer.json()["reason"] == "it must be at most 16777216 bytes, unpacked"


@pytest.mark.parametrize("path", ["/v1/checks/nothing", "/v1/checks/nothing/events"])
async def test_an_unknown_check_is_404(centre, path):
    assert (await centre.sender.get(path)).status_code == 404


@pytest.mark.parametrize("method", ["POST", "GET", "STREAM"])
async def test_only_senders_may_check(centre, method):
    location = (await centre.post(urls=[])).headers["Location"]
    path = {"POST": "/v1/checks", "GET": location, "STREAM": f"{location}/events"}[method]
    verb = "POST" if method == "POST" else "GET"

    without = await centre.anyone.request(verb, path, json={"urls": []})
    routers = await centre.router.request(verb, path, json={"urls": []})

    assert (without.status_code, routers.status_code) == (401, 403)


async def test_events_come_once_each_and_end_with_done(centre):
    async with site(status(200)) as (origin, _):
        begun = await centre.post(urls=[f"{origin}/{n}" for n in range(20)])
        events = await centre.events(begun.headers["Location"])

    assert [number for number, _, _ in events] == list(range(1, 22))
    assert [name for _, name, _ in events] == ["link"] * 20 + ["done"]
    assert {data["index"]: data["link"]["url"] for _, name, data in events if name == "link"} == {
        n: f"{origin}/{n}" for n in range(20)
    }
    end = events[-1][2]
    assert (end["state"], end["may_send"], end["progress"]) == ("done", True, {"done": 20, "total": 20})
    assert "links" not in end


async def test_who_lost_the_connection_gets_only_what_came_after(centre):
    async with site(status(200)) as (origin, _):
        location = (await centre.post(urls=[f"{origin}/{n}" for n in range(5)])).headers["Location"]
        whole = await centre.events(location)

        assert await centre.events(location, after=3) == whole[3:]
        assert await centre.events(location, after=6) == whole[5:]
        assert (await centre.sender.get(f"{location}/events", headers={"Last-Event-ID": "x"})).status_code == 422


async def test_two_who_listen_get_the_same_while_the_check_runs(centre):
    release = asyncio.Event()

    async def slow(_):
        await release.wait()
        return web.Response()

    async with site(slow) as (origin, seen):
        location = (await centre.post(urls=[f"{origin}/{n}" for n in range(3)] + ["#top"])).headers["Location"]
        async with (
            centre.sender.stream("GET", f"{location}/events") as one,
            centre.sender.stream("GET", f"{location}/events") as other,
        ):
            listening = [read_events(one), read_events(other)]
            first = [await anext(events) for events in listening]
            release.set()
            rest = [[event async for event in events] for events in listening]

    assert first[0] == first[1] == (1, "link", first[0][2])
    assert first[0][2]["link"]["verdict"] == "skipped"
    assert rest[0] == rest[1]
    assert len(rest[0]) == 4
    assert len(seen) == 2 * 3


async def test_a_check_goes_on_when_nobody_listens(centre):
    async with site(status(200)) as (origin, _):
        location = (await centre.post(urls=[f"{origin}/a"])).headers["Location"]
        async with asyncio.timeout(HANG_S):
            while (result := (await centre.sender.get(location)).json())["state"] == "running":
                await asyncio.sleep(0.01)

    assert result["links"][0]["verdict"] == "fine"
    assert result["may_send"] is True


async def test_what_was_checked_for_one_is_known_for_all(centre):
    async with site(status(200)) as (origin, seen):
        await centre.check(html=as_html(f"{origin}/a"), author="one")
        requests = len(seen)
        again = await centre.check(text=f"{origin}/a#part", author="other")

    assert requests == 2
    assert len(seen) == 2
    assert again["links"][0]["cached"] is True


async def test_verdicts_stay_over_a_restart(tmp_path):
    async with site(status(200)) as (origin, seen):
        for _ in range(2):
            async with checking_centre(tmp_path) as centre:
                result = await centre.check(urls=[f"{origin}/a"])

    assert len(seen) == 2
    assert result["links"][0]["cached"] is True
    assert (tmp_path / "checks.db").stat().st_mode & 0o777 == 0o600


async def test_too_many_checks_at_once_are_refused_until_one_has_ended(centre):
    release = asyncio.Event()

    async def slow(_):
        await release.wait()
        return web.Response()

    async with site(slow) as (origin, _):
        begun = [await centre.post(urls=[f"{origin}/{n}"]) for n in range(16)]
        refused = await centre.post(urls=[])
        release.set()
        await centre.events(begun[0].headers["Location"])
        again = await centre.post(urls=[])

    assert {answer.status_code for answer in begun} == {202}
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert again.status_code == 202


async def test_nothing_of_a_private_network_is_asked_unless_it_is_opened(tmp_path):
    async with site(status(200)) as (origin, seen), checking_centre(tmp_path, allow_network=()) as centre:
        [link] = (await centre.check(urls=[origin]))["links"]

    assert (link["verdict"], link["reason"]) == ("broken", "address not public")
    assert seen == []


async def test_a_listed_link_blocks_the_mail(tmp_path):
    zone = [":127.0.1.4:phishing", "listed.example", "dbltest.com"]
    with rbldnsd(dbl_test=zone) as server:
        settings = {"reputation": ("dbl",), "dns_server": Address(*server), "dbl_zone": "dbl.test"}
        async with checking_centre(tmp_path, **settings) as centre:
            begun = await centre.post(urls=["https://listed.example/"])
            events = await centre.events(begun.headers["Location"])

    *_, (_, _, last), (_, _, end) = events
    assert last["link"]["verdict"] == "flagged"
    assert last["link"]["reputation"][0]["answer"] == "listed"
    assert (end["may_send"], end["gate"]["answer"]) == (False, "block")
    assert end["gate"]["blocks"][0]["url"] == "https://listed.example/"


async def test_a_mail_that_cannot_be_read_is_held(centre):
    raw = b'Content-Type: text/html; charset=unheard-of\r\n\r\n<a href="https://a.example/">a</a>\r\n'

    result = await centre.check(message=base64.b64encode(raw).decode())

    assert (result["state"], result["may_send"], result["gate"]["answer"]) == ("done", False, "wait")
    assert [link["reason"] for link in result["links"]] == ["unreadable"]


async def test_the_api_document_has_the_checks(centre):
    document = (await centre.anyone.get("/openapi.json")).json()

    validate(document)
    begin = document["paths"]["/v1/checks"]["post"]
    follow = document["paths"]["/v1/checks/{id}/events"]["get"]
    assert {"202", "401", "403", "413", "422", "429", "501"} <= set(begin["responses"])
    assert "Location" in begin["responses"]["202"]["headers"]
    assert {"200", "404"} <= set(follow["responses"])
    assert set(follow["responses"]["200"]["content"]) == {"text/event-stream"}
    assert {(one["name"], one["in"]) for one in follow["parameters"]} == {("id", "path"), ("Last-Event-ID", "header")}
    assert document["components"]["schemas"]["CheckRequest"]["additionalProperties"] is False


async def test_answers_have_the_fields_of_their_schemas_and_no_other(centre):
    schemas = (await centre.anyone.get("/openapi.json")).json()["components"]["schemas"]
    async with site(status(404)) as (origin, _):
        result = await centre.check(urls=[origin])

    [link] = result["links"]
    for name, value in {
        "CheckResult": result,
        "GateRecord": result["gate"],
        "FindingRecord": result["gate"]["warnings"][0],
        "HopRecord": link["hops"][0],
        "LinkRecord": link,
        "PlaceRecord": link["places"][0] | {"alt": None},
        "CheckProgress": result["progress"],
        "CheckInputRecord": result["inputs"][0],
    }.items():
        assert set(value) == set(schemas[name]["properties"]), name


async def test_the_result_is_what_the_command_prints_and_three_fields_more(centre, tmp_path, home):
    async with site(status(404)) as (origin, _):
        result = await centre.check(html=as_html(f"{origin}/a"))
        arguments = ("check", "--type", "html", "--json", "--allow-network", "127.0.0.0/8")
        page = as_html(f"{origin}/a").encode()
        printed = await asyncio.to_thread(home.run, *arguments, stdin=page, check=False)

    assert {name: result.pop(name) for name in ("id", "state", "progress")}["state"] == "done"
    assert json.loads(printed.stdout) == result


async def test_a_stream_takes_no_head(centre):
    location = (await centre.post(urls=[])).headers["Location"]

    assert (await centre.sender.head(f"{location}/events")).status_code == 405
    assert (await centre.sender.head(location)).status_code == 200


async def test_who_stops_listening_stops_nothing(centre):
    async with site(status(200)) as (origin, _):
        location = (await centre.post(urls=[f"{origin}/{n}" for n in range(200)])).headers["Location"]
        async with client(centre.origin, SENDER).stream("GET", f"{location}/events") as stream:
            await anext(read_events(stream))
        events = await centre.events(location)

    assert len(events) == 201


async def test_nothing_of_a_link_shows_in_a_repr():
    assert CANARY not in repr(await read_links({"urls": [f"https://{CANARY}.example/"]}))
