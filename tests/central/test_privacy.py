"""Erasure, withheld consent, export and retention: what is taken away is in no table, and figures stay."""

from pathlib import Path

import pytest
from central.labelled import ask_all, label_all

from linkrouter.central.labels import Insight
from linkrouter.central.retention import forget_old
from linkrouter.central.statistics import count_totals
from linkrouter.central.store.questions import ClickFilter
from linkrouter.central.store.sql.privacy import cut_address

PERSON = "anna.secret@example.net"
AGENT = "Mozilla/5.0 (Secret Browser) Chrome/142.0"
DAY_US = 86_400_000_000
NOON = 1_795_262_400_000_000


@pytest.fixture
async def filled(centre, click, message):
    """A centre with a mail to a person, with a link of her own and one that others got, and a mail to another."""
    for number, (recipient, own) in enumerate(((PERSON, "AQ"), ("other@example.net", "Aw"))):
        links = [
            {"link_id": own, "url": f"https://example.com/?to={recipient}", "part": "html", "position": 0},
            {"link_id": ("Ag", "BA")[number], "url": "https://example.com/all", "part": "html", "position": 1},
        ]
        sent = message(f"mail-{number}", recipient=recipient, html=f"<p>Dear {recipient}</p>", links=links)
        assert (await centre.sender.post("/v1/messages", json=sent)).status_code == 200
    await centre.take(
        click("a", link_id="AQ", user_agent=AGENT),
        click("b", link_id="Ag", user_agent=AGENT, clicked_at="2026-11-21T18:00:00Z"),
        click("c", link_id="Aw", user_agent="Mozilla/5.0 Firefox/140", ip="198.51.100.9"),
    )
    return centre


async def all_that_is_kept(store, files: list[Path]) -> bytes:
    """Give the bytes of the files, or of each row where the files are a server's."""
    if files:
        return b"".join(path.read_bytes() for path in files)
    [tables] = await ask_all(store, "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
    kept = await ask_all(store, *(f"SELECT CAST(t AS text) FROM {table} AS t" for [table] in tables))
    return "\n".join(text for rows in kept for [text] in rows).encode()


async def test_an_erasure_leaves_nothing_of_a_person_and_every_figure(filled, tmp_path):
    await label_all(filled.store)
    before = await filled.stats()

    erased = await filled.sender.post("/v1/erasures", json={"recipient": PERSON.upper()})

    assert erased.json() == {"messages": 1, "links": 2, "clicks": 2}
    assert await filled.stats() == before
    kept = await all_that_is_kept(filled.store, list(tmp_path.glob("central.db*")))
    for secret in (PERSON, "Secret Browser", "203.0.113.7"):
        assert secret.encode() not in kept, secret
    assert b"https://example.com/all" in kept
    assert b"198.51.100.9" in kept


async def test_figures_by_url_forget_the_urls_that_only_one_person_got(filled):
    await label_all(filled.store)

    await filled.sender.post("/v1/erasures", json={"message_id": "mail-0"})

    rows = (await filled.sender.get("/v1/stats/clicks/by/url")).json()["rows"]
    assert {row["value"]: row["clicks"] for row in rows} == {
        None: 1,
        "https://example.com/all": 1,
        "https://example.com/?to=other@example.net": 1,
    }


async def test_clicks_to_come_on_the_links_of_an_erased_person_are_only_counted(filled, click):
    await filled.sender.post("/v1/erasures", json={"recipient": PERSON})

    await filled.take(click("late", link_id="AQ", user_agent=AGENT), click("other", link_id="BA", user_agent=AGENT))

    found = {one["id"]: one for one in (await filled.sender.get("/v1/clicks")).json()["clicks"]}
    assert (found["late"]["ip"], found["late"]["user_agent"], found["late"]["recipient"]) == (None, None, None)
    assert found["other"]["user_agent"] == AGENT


async def test_what_was_judged_before_it_was_erased_keeps_its_label(filled, click):
    await filled.take(click("robot", link_id="Ag", user_agent="curl/8.0", clicked_at="2026-11-21T20:00:00Z"))
    await label_all(filled.store)
    before = await filled.stats()
    await filled.sender.post("/v1/erasures", json={"recipient": PERSON})

    after: int | None = 0
    while after is not None:
        after = await filled.store.relabel_next(Insight(), after, 0)

    assert before["robots"]["total"] == 1
    assert await filled.stats() == before


async def test_a_withheld_recipient_is_in_no_message_to_come(filled, click, message, tmp_path):
    await filled.sender.post("/v1/withheld", json={"recipient": PERSON})
    await filled.take(click("early", link_id="Bw", user_agent=AGENT))

    later = message("mail-9", ("BQ", "Bg", "Bw"), recipient=PERSON.title())
    answer = await filled.sender.post("/v1/messages", json=later)
    again = await filled.sender.post("/v1/messages", json=later)
    await filled.take(click("new", link_id="BQ", user_agent=AGENT))

    assert (answer.json()["stored"], again.json()["duplicates"]) == (1, 1)
    for found in (await filled.sender.get("/v1/clicks", params={"message_id": "mail-9"})).json()["clicks"]:
        assert (found["ip"], found["user_agent"], found["recipient"]) == (None, None, None)
    export = (await filled.sender.get("/v1/export", params={"recipient": PERSON})).json()
    assert export == {"recipient": PERSON, "withheld": True, "messages": []}


async def test_consent_that_is_given_again_counts_for_messages_to_come(filled, message):
    await filled.sender.post("/v1/withheld", json={"recipient": PERSON})

    first = await filled.sender.delete("/v1/withheld", params={"recipient": PERSON})
    second = await filled.sender.delete("/v1/withheld", params={"recipient": PERSON})
    await filled.sender.post("/v1/messages", json=message("mail-9", ("BQ",), recipient=PERSON))

    assert (first.status_code, second.status_code) == (200, 404)
    [found] = (await filled.sender.get("/v1/messages", params={"recipient": PERSON})).json()["messages"]
    assert found["message_id"] == "mail-9"


async def test_an_export_has_everything_that_is_kept_of_a_person(filled):
    export = (await filled.sender.get("/v1/export", params={"recipient": PERSON})).json()

    [one] = export["messages"]
    assert one["message"]["message_id"] == "mail-0"
    assert [link["position"] for link in one["links"]] == [0, 1]
    assert {found["id"]: found["user_agent"] for found in one["clicks"]} == {"a": AGENT, "b": AGENT}


@pytest.mark.parametrize("body", [{}, {"recipient": "a@b", "message_id": "c"}, {"recipient": ""}, {"name": "a"}])
async def test_an_erasure_of_nobody_or_of_two_is_refused(centre, body):
    assert (await centre.sender.post("/v1/erasures", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("whole", "network"),
    [
        ("203.0.113.7", "203.0.113.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("::ffff:203.0.113.7", "::"),
        ("203.0.113.0", "203.0.113.0"),
    ],
)
def test_an_address_is_cut_to_its_network(whole, network):
    assert cut_address(whole) == network


async def test_old_clicks_go_and_figures_stay(store, make_clicks):
    await store.add_clicks(make_clicks(5, ip="203.0.113.7") + make_clicks(3, 5, clicked_at=NOON + 10 * DAY_US))
    await label_all(store)

    await forget_old(store, 5, None, (NOON + 11 * DAY_US) / 1e6)

    left = await store.find_clicks(ClickFilter(), None, 100)
    assert sorted(one.click.id for one in left) == ["id-000005", "id-000006", "id-000007"]
    totals = await count_totals(store, Insight(), ClickFilter(robots="include"))
    assert (totals.figures.clicks, totals.figures.unique) == (8, 1)


async def test_a_click_on_a_link_that_was_clicked_first_by_a_forgotten_click_is_not_unique_again(store, make_clicks):
    await store.add_clicks(make_clicks(1))
    await label_all(store)
    await forget_old(store, 5, None, (NOON + 11 * DAY_US) / 1e6)

    await store.add_clicks(make_clicks(1, 1, clicked_at=NOON - DAY_US))
    await store.add_clicks(make_clicks(1, 2, clicked_at=NOON + 11 * DAY_US))
    await label_all(store)

    totals = await count_totals(store, Insight(), ClickFilter(robots="include"))
    assert (totals.figures.clicks, totals.figures.unique) == (3, 1)


async def test_addresses_are_cut_when_they_are_old_also_those_that_come_late(store, make_clicks):
    await store.add_clicks(make_clicks(2500, ip="203.0.113.7") + make_clicks(1, 9000, ip="2001:db8:1:2::3"))
    await forget_old(store, None, 1, (NOON + 2 * DAY_US) / 1e6)
    await store.add_clicks(make_clicks(1, 9001, ip="198.51.100.9"))
    await store.add_clicks(make_clicks(1, 9002, ip="198.51.100.9", clicked_at=NOON + 2 * DAY_US))

    await forget_old(store, None, 1, (NOON + 2 * DAY_US + 60_000_000) / 1e6)

    found = {one.click.id: one.click.ip for one in await store.find_clicks(ClickFilter(), None, 3000)}
    assert {ip for click_id, ip in found.items() if click_id < "id-009000"} == {"203.0.113.0"}
    assert (found["id-009000"], found["id-009001"], found["id-009002"]) == (
        "2001:db8:1::",
        "198.51.100.0",
        "198.51.100.9",
    )
