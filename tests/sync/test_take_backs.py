"""The list as central hands it out, and everything that is no list."""

import json

import httpx
import pytest

from linkrouter.sync.take_backs import PAGE_RULES, RuleSource


class Central:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.asked = list(answers), []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def page(*rules, seq=1, **headers):
    return httpx.Response(200, content=json.dumps({"rules": rules, "seq": seq}).encode(), headers=headers)


async def ask(*answers, after=0):
    central = Central(*answers)
    async with httpx.AsyncClient(transport=httpx.MockTransport(central)) as client:
        source = RuleSource(client, url="https://central.example/v1/take-backs", token="secret", router_id="ams-1")
        given = [await source.fetch(after, 3) for _ in answers]
    return central, given


async def test_asks_for_what_is_behind_a_number_and_says_what_is_in_force():
    central, [answer] = await ask(page({"id": "x"}, seq=7), after=5)

    [asked] = central.asked
    assert dict(asked.url.params) == {"after": "5", "limit": str(PAGE_RULES), "router": "ams-1", "applied": "3"}
    assert asked.headers["Authorization"] == "Bearer secret"
    assert (answer.said.outcome, answer.seq, answer.rules) == ("taken", 7, ({"id": "x"},))


async def test_what_has_not_changed_is_asked_for_by_its_etag():
    central, answers = await ask(page(seq=5, ETag='"abc"'), httpx.Response(304), after=5)

    assert "If-None-Match" not in central.asked[0].headers
    assert central.asked[1].headers["If-None-Match"] == '"abc"'
    assert [(answer.said.outcome, answer.seq, answer.rules) for answer in answers] == [("taken", 5, ())] * 2


async def test_a_list_that_ends_before_the_number_is_told_as_such():
    _, [answer] = await ask(page(seq=2), after=5)

    assert (answer.said.outcome, answer.seq, answer.rules) == ("taken", 2, ())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.Response(200, content=b"<html>"), "failed"),
        (httpx.Response(200, content=b"[]"), "failed"),
        (httpx.Response(200, content=b'{"rules": {}, "seq": 1}'), "failed"),
        (httpx.Response(200, content=b'{"rules": [], "seq": true}'), "failed"),
        (httpx.Response(200, content=b'{"rules": [], "seq": -1}'), "failed"),
        (httpx.Response(200, content=b'{"rules": [1], "seq": 0}'), "failed"),
        (httpx.Response(200, content=b'{"rules": [], "seq": 10000000000}'), "failed"),
        (httpx.Response(200, content=b"[" * 100_000), "failed"),
        (page(*range(PAGE_RULES + 1)), "failed"),
        (page(seq=1, **{"Content-Encoding": "br"}), "failed"),
        (httpx.Response(200, content=b" " * (17 * 1024**2)), "failed"),
        (httpx.Response(304), "wrong_address"),
        (httpx.Response(302, headers={"Location": "https://evil.example/"}), "wrong_address"),
        (httpx.Response(401), "denied"),
        (httpx.Response(403), "denied"),
        (httpx.Response(404), "wrong_address"),
        (httpx.Response(503, headers={"Retry-After": "7"}), "failed"),
        (httpx.ReadTimeout("slow"), "failed"),
        (httpx.ConnectError("away"), "failed"),
    ],
    ids=str,
)
async def test_no_other_answer_is_taken_for_a_list(answer, outcome):
    _, [given] = await ask(answer)

    assert (given.said.outcome, given.rules) == (outcome, ())
    assert given.said.reached is not isinstance(answer, httpx.ConnectError)
    assert given.said.retry_after_s == (7.0 if "503" in str(answer) else 0.0)
