"""From an answer to a reason."""

import pytest

from linkrouter.checker.fetch.classify import HttpAnswer, classify_answer, find_wall, retry_after_s
from linkrouter.checker.verdict import CHECK_REASONS, VERDICTS


@pytest.mark.parametrize(
    ("status", "verdict", "reason"),
    [
        (200, "fine", "answers"),
        (204, "fine", "answers"),
        (206, "fine", "answers"),
        (300, "broken", "redirects nowhere"),
        (302, "broken", "redirects nowhere"),
        (400, "broken", "refused by the server"),
        (401, "unverifiable", "needs a login"),
        (402, "unverifiable", "needs a payment"),
        (403, "unverifiable", "forbidden"),
        (404, "broken", "not found"),
        (405, "broken", "refused by the server"),
        (408, "unverifiable", "timed out"),
        (410, "broken", "gone"),
        (429, "unverifiable", "rate limited"),
        (451, "unverifiable", "blocked for legal reasons"),
        (500, "broken", "server error"),
        (502, "broken", "server error"),
        (503, "broken", "server error"),
        (599, "broken", "server error"),
        (600, "unverifiable", "not HTTP"),
        (999, "unverifiable", "refuses robots"),
    ],
)
def test_a_status_has_one_reason(status, verdict, reason):
    found, _ = classify_answer(HttpAnswer(status))

    assert (CHECK_REASONS[found].verdict, found) == (verdict, reason)


def test_a_refusal_that_says_when_to_come_back_is_for_now():
    assert classify_answer(HttpAnswer(503, {"retry-after": "120"}))[0] == "busy"
    assert classify_answer(HttpAnswer(403, {"retry-after": "120"}))[0] == "rate limited"


@pytest.mark.parametrize("text", ["soon", "", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"])
def test_a_retry_after_that_cannot_be_read_changes_nothing(text):
    for status in (403, 429, 503):
        assert classify_answer(HttpAnswer(status, {"retry-after": text})) == classify_answer(HttpAnswer(status))


@pytest.mark.parametrize(
    ("answer", "whose"),
    [
        (HttpAnswer(403, {"cf-mitigated": "challenge"}), "Cloudflare"),
        (HttpAnswer(503, {}, b"<html><title>Just a moment...</title>"), "Cloudflare"),
        (HttpAnswer(429, {"x-vercel-mitigated": "challenge"}), "Vercel"),
        (HttpAnswer(403, {"x-datadome": "protected"}), "DataDome"),
        (HttpAnswer(400, {"set-cookie": "datadome=x; path=/"}), "DataDome"),
        (HttpAnswer(429, {"x-kpsdk-ct": "x"}), "Kasada"),
        (HttpAnswer(403, {"set-cookie": "a=1\ntecharo.lol-anubis-auth=; path=/"}), "Anubis"),
        (HttpAnswer(403, {"set-cookie": "a=1\n_abck=x; path=/"}), "Akamai"),
        (HttpAnswer(403, {"set-cookie": "incap_ses_1=x"}), "Imperva"),
        (HttpAnswer(403, {}, b'<div id="px-captcha"></div>'), "PerimeterX"),
        (HttpAnswer(202, {"x-amzn-waf-action": "challenge"}), "AWS WAF"),
        (HttpAnswer(200, {"refresh": "1; url=/.within.website/x/cmd/anubis/api/pass-challenge?x"}), "Anubis"),
        (HttpAnswer(200, {}, b'<script id="anubis_challenge" type="application/json">'), "Anubis"),
        (HttpAnswer(500, {}, b"<form action='/errors/validateCaptcha'>"), "Amazon"),
        (HttpAnswer(200, {}, b'<form method="get" action="/errors/validateCaptcha" name="">'), "Amazon"),
        (HttpAnswer(200, {}, b"Request unsuccessful. Incapsula incident ID: 1"), "Imperva"),
        (HttpAnswer(200, {}, b"<script>var s={},u,c,U,r,i,l=0;sucuri_cloudproxy_js='';"), "Sucuri"),
    ],
)
def test_a_bot_wall_is_known_by_its_signature(answer, whose):
    assert find_wall(answer) == whose
    assert classify_answer(answer) == ("bot wall", whose)


@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(403, {"server": "cloudflare", "cf-ray": "x"}),
        HttpAnswer(500, {"x-amzn-requestid": "x"}),
        HttpAnswer(200, {"set-cookie": "_abck=x"}),
        HttpAnswer(200, {"x-datadome": "protected"}),
        HttpAnswer(200, {"set-cookie": "datadome=abc; path=/"}),
        HttpAnswer(301, {"set-cookie": "datadome=abc; path=/", "location": "/x"}),
        HttpAnswer(206, {"x-kpsdk-ct": "x"}),
        HttpAnswer(200, {"set-cookie": "techaro.lol-anubis-auth=x"}),
        HttpAnswer(200, {}, b"<p>How to get past px-captcha and geo.captcha-delivery.com"),
        HttpAnswer(200, {}, b'<script src="/_Incapsula_Resource?SWJIYLWA=x"></script>'),
        HttpAnswer(200, {}, b"<title>Just a moment...</title>"),
        HttpAnswer(403, {"set-cookie": "session=incap_ses_"}),
    ],
)
def test_what_honest_answers_carry_too_is_no_signature(answer):
    assert find_wall(answer) is None


def test_a_dead_page_behind_a_wall_is_still_dead():
    assert classify_answer(HttpAnswer(404, {"x-datadome": "protected"}))[0] == "not found"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        (" 120 ", 120.0),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:10 -0000", 10.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("1e3", None),
        ("9" * 400, None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:10 +99999999999999", None),
        ("2\n3600", 2.0),
    ],
)
def test_reads_retry_after_as_a_number_or_a_date(text, seconds):
    assert retry_after_s(HttpAnswer(429, {"retry-after": text}), now=1445412480.0) == seconds


def test_every_reason_has_a_verdict_a_lifetime_and_advice():
    for reason, (verdict, lasts, advice) in CHECK_REASONS.items():
        assert verdict in VERDICTS, reason
        assert lasts in ("long", "short", "moment", "not"), reason
        assert advice or reason == "answers", reason
