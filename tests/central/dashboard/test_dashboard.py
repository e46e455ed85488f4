"""The pages as a client gets them: who may see what, figures, filters, what is wrong."""

import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from central.dashboard.pages import (
    ALL,
    ROUTER,
    SEVEN,
    STATS,
    a_click,
    a_message,
    centre_with_pages,
    visitor,
)
from central.labelled import label_all

from linkrouter.central.dashboard.templates import TEXTS
from linkrouter.central.statistics import cells
from linkrouter.web.sessions import MAX_FAILURES

PATHS = {
    "/dashboard": "stats:read",
    "/dashboard/messages": "clicks:read",
    "/dashboard/message?id=mail-1@example.com": "clicks:read",
    "/dashboard/mail?id=mail-1@example.com": "clicks:read",
    "/dashboard/live": "clicks:read",
    "/dashboard/routers": "admin",
    "/dashboard/losses": "stats:read",
    "/dashboard/take-backs": "takebacks",
    "/dashboard/watched": "stats:read",
    "/dashboard/webhooks": "webhooks",
    "/dashboard/webhook?id=hook-1": "webhooks",
    "/dashboard/people": "privacy",
}


@pytest.fixture
async def origin(tmp_path):
    async with centre_with_pages(tmp_path) as (origin, _):
        yield origin


class Texts(HTMLParser):
    """The texts of a page, and the links in it."""

    def __init__(self) -> None:
        super().__init__()
        self.texts, self.links = [], {}
        self._href = None

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self._href = dict(attrs).get("href")

    def handle_data(self, data):
        if text := data.strip():
            self.texts.append(text)
            if self._href:
                self.links.setdefault(text, self._href)

    def handle_endtag(self, tag):
        if tag == "a":
            self._href = None


def read(answer) -> Texts:
    assert answer.status_code == 200, answer.text
    page = Texts()
    page.feed(answer.text)
    return page


def figures(page: Texts) -> dict[str, str]:
    names = ("Clicks by people", "Unique clicks", "Clicks by machines", "Missing clicks")
    return {name: page.texts[page.texts.index(name) + 1] for name in names}


@pytest.mark.parametrize("path", PATHS)
async def test_who_is_not_signed_in_is_asked_and_comes_back(origin, path):
    async with visitor(origin) as client:
        asked = await client.get(path)
        assert (asked.status_code, asked.headers["Location"].startswith("/sign-in?next=")) == (303, True)
        form = await client.get(asked.headers["Location"])
        wanted = re.search(r'name="next" value="([^"]*)"', form.text)[1]
        signed = await client.post("/sign-in", data={"token": ALL, "next": wanted})
        page = await client.get(signed.headers["Location"])

    assert (signed.headers["Location"], page.status_code) == (path, 200)


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "/dashboard//x", "/x"]
)
async def test_signing_in_leads_to_our_pages_alone(origin, wanted):
    async with visitor(origin) as client:
        signed = await client.post("/sign-in", data={"token": ALL, "next": wanted})

    assert signed.headers["Location"] == "/dashboard"


async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(origin):
    async with visitor(origin) as client:
        plain = await client.post("/sign-in", data={"token": ALL})
        behind_tls = await client.post("/sign-in", data={"token": ALL}, headers={"X-Forwarded-Proto": "https"})

    assert plain.headers["Set-Cookie"].startswith("linkrouter=")
    for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert part in plain.headers["Set-Cookie"]
    assert behind_tls.headers["Set-Cookie"].startswith("__Host-linkrouter=")
    assert "Secure" in behind_tls.headers["Set-Cookie"]


@pytest.mark.parametrize("token", ["", "nobody-knows-this-one", ROUTER])
async def test_a_token_that_is_not_for_pages_is_refused_on_the_form(origin, token):
    async with visitor(origin) as client:
        answer = await client.post("/sign-in", data={"token": token})

    assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)
    assert "This token is not known here" in answer.text
    assert not token or token not in answer.text


async def test_guessing_is_held(origin):
    async with visitor(origin) as client:
        for _ in range(MAX_FAILURES):
            await client.post("/sign-in", data={"token": "guess"})
        held = await client.post("/sign-in", data={"token": ALL})

    assert held.status_code == 429


async def test_signing_out_here_or_everywhere(origin):
    async with visitor(origin, ALL) as one, visitor(origin, ALL) as other, visitor(origin, STATS) as stats:
        await one.post("/sign-out")
        assert (await one.get("/dashboard")).status_code == 303
        assert (await other.get("/dashboard")).status_code == 200
        async with visitor(origin, ALL) as third:
            await third.post("/sign-out", data={"everywhere": "1"})
        assert (await other.get("/dashboard")).status_code == 303
        assert (await stats.get("/dashboard")).status_code == 200


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}], ids=str)
async def test_another_sites_page_can_do_nothing_in_a_visitors_name(origin, headers):
    async with visitor(origin, ALL) as client:
        erased = await client.post(
            "/dashboard/people",
            data={"recipient": "reader1@example.net", "action": "erase", "confirmed": "1"},
            headers=headers,
        )
        asked = await client.get("/v1/stats/clicks", headers=headers)
        kept = await client.get("/v1/clicks", params={"recipient": "reader1@example.net"})

    assert (erased.status_code, asked.status_code) == (403, 401)
    assert len(kept.json()["clicks"]) == 2


@pytest.mark.parametrize("path", PATHS)
async def test_a_token_sees_the_pages_of_its_scopes(origin, path):
    async with visitor(origin, STATS) as client:
        answer = await client.get(path)

    assert answer.status_code == (200 if PATHS[path] == "stats:read" else 403)
    if answer.status_code == 200:
        assert set(read(answer).links) & {"Messages", "Routers", "People"} == set()


@pytest.mark.parametrize("path", PATHS)
async def test_a_tenants_token_sees_nothing_of_another_on_any_page(origin, path):
    theirs = path.replace("mail-1", "mail-3")
    async with visitor(origin, SEVEN) as client:
        ours = (await client.get(path)).text
    async with visitor(origin, ALL) as client:
        everything = (await client.get(theirs)).text

    assert not re.search(r"november|december|reader[12]@|shop\.example|203\.0\.113\.7|198\.51\.100\.9|>First<", ours)
    assert path != "/dashboard/messages" or "reader1@example.net" in everything


async def test_the_overview_has_the_figures_of_the_api_and_of_the_period_before(origin):
    async with visitor(origin, ALL) as client:
        page = read(await client.get("/dashboard"))
        filtered = read(await client.get(page.links["Firefox"]))
        api = (await client.get("/v1/stats/clicks", params={"browser": "Firefox"})).json()

    assert figures(page) == {
        "Clicks by people": "4",
        "Unique clicks": "4",
        "Clicks by machines": "1",
        "Missing clicks": "42",
    }
    assert any(text.startswith("before: 1, counted since") for text in page.texts)  # the first click is 40 days old
    assert "+300 %" not in page.texts  # against a period of which a part is unknown
    assert figures(filtered)["Clicks by people"] == str(api["total"]) == "1"
    assert "Browser: Firefox" in filtered.texts
    assert "browser=" not in filtered.links["Browser: Firefox"]
    assert "browser=" not in filtered.links["Firefox"]  # the same place takes it away


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("period=7d", ["before: 2", "before: 0"]),  # counted, and for machines there was nothing
        ("period=30d", ["before: 1, counted since"]),
        ("period=90d", ["before: not known, nothing was stored then"]),
        ("period=all", []),
    ],
)
async def test_a_comparison_tells_nothing_from_not_running_yet(tmp_path, query, words):
    async with centre_with_pages(tmp_path, filled=False) as (origin, store), visitor(origin, ALL) as client:
        await store.add_clicks([a_click(str(days), message=days, days_ago=days) for days in (1, 10, 11, 40)])
        await label_all(store)
        page = read(await client.get(f"/dashboard?{query}"))

    told = [text for text in page.texts if text.startswith("before:")]
    assert {word for word in words if any(text.startswith(word) for text in told)} == set(words)
    assert bool(told) == bool(words)
    assert any("%" in text for text in page.texts) == (query == "period=7d")


async def test_points_before_the_first_click_and_to_come_are_dashes_and_no_zeros(tmp_path):
    async with centre_with_pages(tmp_path, filled=False) as (origin, store), visitor(origin, ALL) as client:
        await store.add_clicks([a_click("one", days_ago=3)])
        await label_all(store)
        page = await client.get("/dashboard?period=7d&timezone=UTC")

    table = page.text.partition('id="series"')[2].partition("</table>")[0]
    clicks = [re.findall(r"<td>(\d+|–)</td>", row)[0] for row in table.split("</tr>")[1:-1]]
    assert clicks == ["–", "–", "–", "1", "0", "0", "0"]


async def test_a_series_stands_as_a_table_and_as_csv_with_its_filters(origin):
    async with visitor(origin, ALL) as client:
        page = await client.get("/dashboard?period=7d&tag=november")
        [csv] = re.findall(r'href="(/v1/stats/clicks/series\.csv[^"]*)"', page.text)
        rows = (await client.get(csv.replace("&amp;", "&"))).text.splitlines()

    table = page.text.partition('id="series"')[2].partition("</table>")[0]
    cells = [re.findall(r"<td>(\d+)</td>", row) for row in table.split("</tr>")[1:]]
    assert [row[:3] for row in cells if row] == [row.split(",")[1:4] for row in rows[1:]]
    assert sum(int(row[0]) for row in cells if row) == 2


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("since=yesterday&until=2026-11-20", ["since", 'value="yesterday"', 'value="2026-11-20"']),
        ("since=2026-11-20&until=2026-11-01", ["until", 'value="2026-11-01"']),
        ("period=forever", ["period"]),
        ("interval=eon", ["interval"]),
    ],
)
async def test_what_cannot_be_read_is_named_kept_and_shows_no_figure(origin, query, words):
    async with visitor(origin, ALL) as client:
        answer = await client.get(f"/dashboard?{query}")

    assert answer.status_code == 200
    assert "Cannot be read" in answer.text
    assert all(word in answer.text for word in words)
    assert "Clicks by people" not in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dashboard?robots=maybe", 422),
        ("/dashboard?tenant=x", 422),
        ("/dashboard/messages?cursor=x", 422),
        ("/dashboard/message?id=nobody", 404),
        ("/dashboard/message", 404),
        ("/dashboard/mail?id=nobody", 404),
    ],
)
async def test_a_page_says_what_is_wrong(origin, path, status):
    async with visitor(origin, ALL) as client:
        answer = await client.get(path)

    assert answer.status_code == status
    assert "This cannot be shown" in answer.text


async def test_the_mail_comes_with_a_policy_that_lets_nothing_of_it_act(origin):
    async with visitor(origin, ALL) as client:
        answer = await client.get("/dashboard/mail?id=mail-1@example.com")

    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-same-origin; default-src 'none'")
    assert "allow-scripts" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_what_is_kept_of_a_person_is_shown_given_and_erased_once_confirmed(origin):
    person = {"recipient": "reader1@example.net"}
    async with visitor(origin, ALL) as client:
        found = read(await client.post("/dashboard/people", data=person))
        export = await client.post("/dashboard/people/export", data=person)
        unsure = await client.post("/dashboard/people", data=person | {"action": "erase"})
        kept = await client.get("/v1/messages", params=person)
        erased = read(await client.post("/dashboard/people", data=person | {"action": "erase", "confirmed": "1"}))
        gone = await client.get("/v1/messages", params=person)

    assert "What is kept of reader1@example.net" in found.texts
    assert "Yes, for 1 messages" in found.texts
    assert export.headers["Content-Disposition"].startswith("attachment")
    assert len(export.json()["messages"][0]["clicks"]) == 2
    assert unsure.status_code == 422
    assert len(kept.json()["messages"]) == 1
    assert any(text.startswith("Erased: 1 messages") for text in erased.texts)
    assert gone.json()["messages"] == []


async def test_consent_is_withheld_and_given_again(origin):
    person = {"recipient": "new@example.net", "confirmed": "1"}
    async with visitor(origin, ALL) as client:
        withheld = read(await client.post("/dashboard/people", data=person | {"action": "withhold"}))
        released = read(await client.post("/dashboard/people", data=person | {"action": "release"}))

    assert "Consent is withheld: messages to come are kept without the address." in withheld.texts
    assert "Messages to come are kept as before." in released.texts


async def test_a_page_of_many_single_clicks_comes_at_once_and_counts_when_asked(origin, monkeypatch):
    monkeypatch.setattr(cells, "MAX_AT_ONCE", 1)
    async with visitor(origin, ALL) as client:
        plain = (await client.get("/dashboard")).text
        soon = await client.get("/dashboard?browser=Firefox")
        [whole] = re.findall(r'data-whole="([^"]+)"', soon.text)
        counted = read(await client.get(whole.replace("&amp;", "&")))

    assert "data-whole" not in plain
    assert set(figures(read(soon)).values()) == {"–"}
    assert figures(counted)["Clicks by people"] == "1"
    assert "whole" not in counted.links["Clear all"]


async def test_a_whole_mailing_shows_its_links_as_the_api_counts_them(origin):
    async with visitor(origin, ALL) as client:
        page = (await client.get("/dashboard/messages?tag=december")).text
        one = (await client.get("/dashboard/messages?tag=december&recipient=reader2@example.net")).text
        rows = (await client.get("/v1/stats/clicks/by/url", params={"tag": "december"})).json()["rows"]

    shown = page.partition('data-figures="links"')[2].partition("</section>")[0].partition("<tbody>")[2]
    cells = [re.findall(r'<th scope="row">([^<]+)<|value="(\d+)"', row) for row in shown.split("</tr>")[:-1]]
    assert [[text or number for text, number in row] for row in cells] == [
        [row["value"], *(str(row[name]) for name in ("clicks", "unique", "robots"))] for row in rows
    ]
    assert len(rows) == 3
    assert 'data-figures="links"' not in one  # which is of one reader, and not of the mailing


async def test_a_page_speaks_the_visitors_language(origin):
    async with visitor(origin, ALL, **{"Accept-Language": "fr, de-AT;q=0.8, en;q=0.5"}) as client:
        answer = await client.get("/dashboard")

    assert '<html lang="de">' in answer.text
    assert "Klicks von Menschen" in answer.text


def test_every_language_has_every_text_with_the_same_fields():
    english = TEXTS["en"]
    for language, texts in TEXTS.items():
        assert texts.keys() == english.keys(), language
        for key, text in texts.items():
            assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", english[key])), (language, key)


def test_every_text_is_used_by_some_template():
    folder = files("linkrouter.central.dashboard").joinpath("templates")
    templates = "".join(path.read_text() for path in folder.iterdir())
    asked = set(re.findall(r'(?<![\w.])t\("([\w.]+)"[),]|(?<![\w.])t\(\'([\w.]+)\'[),]', templates))
    names = {one or other for one, other in asked}
    groups = set(re.findall(r"""t\(["'](\w+\.)["'] \+|t\(["'](\w+\.\w+_)["'] \+""", templates))
    prefixes = tuple(one or other for one, other in groups)

    assert names <= TEXTS["en"].keys()
    assert [key for key in TEXTS["en"] if key not in names and not key.startswith(prefixes)] == []


async def test_the_check_stands_in_the_frame_for_who_may_check_and_alone_for_others(origin):
    async with visitor(origin, ALL) as everything, visitor(origin, STATS) as stats, visitor(origin) as anyone:
        framed, others, bare = [(await one.get("/check")).text for one in (everything, stats, anyone)]

    assert 'href="/check" aria-current="page"' in framed
    assert framed.count("<main") == framed.count("<h1") == 1
    assert 'id="framed"' in framed
    assert others == bare
    assert 'class="alone"' in bare


async def test_a_link_that_is_hostile_stays_text(tmp_path):
    async with centre_with_pages(tmp_path, filled=False) as (origin, store):
        hostile = "https://example.com/<script>alert(1)</script>"
        await store.add_message(a_message(1, tag='"><script>alert(1)</script>', urls=[hostile]))
        async with visitor(origin, ALL) as client:
            for path in ("/dashboard/messages", "/dashboard/message?id=mail-1@example.com"):
                answer = await client.get(path)
                assert answer.status_code == 200
                assert "<script>alert" not in answer.text


async def test_a_router_shows_its_keys_and_whether_it_lags_behind_the_list(tmp_path):
    state = {"version": "0.1.0", "pending": 3, "oldest_seconds": 0.5, "dropped": 0}
    keys = [{"id": 1, "state": "revoked"}, {"id": 2, "state": "verify"}, {"id": 3, "state": "sign"}]
    async with centre_with_pages(tmp_path, filled=False) as (origin, _), visitor(origin, ALL) as client:
        await client.post("/v1/take-backs", json={"rules": [make_rule()]})
        for worker, more in enumerate(({"keys": keys, "take_backs": {"rules": 0, "seq": 0}}, {})):
            body = {"router": "ams", "clicks": [], "state": {**state, "worker": worker, **more}}
            headers = {"Authorization": f"Bearer {ROUTER}"}
            assert (await client.post("/v1/clicks", json=body, headers=headers)).status_code == 200
        page = read(await client.get("/dashboard/routers"))

    assert "1 revoked, 2 verifies, 3 signs" in page.texts
    assert "behind: 1 is the newest" in page.texts
    assert page.texts.count("–") == 2  # an older router tells neither


async def test_a_rule_shows_who_made_it_and_who_has_it(tmp_path):
    async with centre_with_pages(tmp_path, filled=False) as (origin, _), visitor(origin, ALL) as client:
        rule = make_rule()
        handed_in = await client.post("/v1/take-backs", json={"rules": [rule]})
        page = read(await client.get("/dashboard/take-backs"))
        wrong = await client.get("/dashboard/take-backs?before=x")

    assert handed_in.status_code == 200, handed_in.text
    assert {"stop", rule["match"], "operator"} <= set(page.texts)
    assert wrong.status_code == 422


def make_rule():
    vectors = json.loads((Path(__file__).parents[3] / "docs" / "take-back-vectors.json").read_text())
    return next(rule for rule in vectors["good"] if rule["action"] == "stop" and rule["tenant"] == 0)
