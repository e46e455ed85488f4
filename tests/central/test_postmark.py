"""Postmark's read API, where its clients do not show it: filters, dates, refusals, what is unknown."""

import pytest
from central.conftest import SENDER_TOKEN
from central.labelled import label_all

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPAD = (
    "Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 "
    "Safari/604.1"
)
LIST = "/messages/outbound/clicks"
STATS = "/stats/outbound"


@pytest.fixture
async def asked(centre, click, message):
    """Ask as Postmark's clients do, of four clicks by people, one by a machine and one kept without a person."""
    sent = message("mail-1@example.com", ("AQ", "Ag", "Aw"))
    assert (await centre.sender.post("/v1/messages", json=sent)).status_code == 200
    links = [{"link_id": "BA", "url": "https://example.com/BA", "part": "text", "position": 0}]
    other = message("mail-2@example.com", recipient="other@example.net", tag="december", links=links)
    assert (await centre.sender.post("/v1/messages", json=other)).status_code == 200
    await centre.take(
        click("a", link_id="AQ", user_agent=CHROME, clicked_at="2026-11-21T04:59:59.5Z"),  # the 20th in New York
        click("b", link_id="AQ", user_agent=CHROME, clicked_at="2026-11-21T05:00:00Z"),
        click("c", link_id="Ag", user_agent=FIREFOX, ip="198.51.100.7", clicked_at="2026-11-22T12:00:00Z"),
        click("d", link_id="BA", user_agent=IPAD, part="text", clicked_at="2026-11-23T12:00:00.123456Z"),
        click("machine", link_id="BA", user_agent="curl/8.0", clicked_at="2026-11-23T13:00:00Z"),
        click("counted", link_id="Aw", user_agent=None, ip=None, clicked_at="2026-11-24T12:00:00Z"),
    )

    async def ask(path, status=200, token=SENDER_TOKEN, **query):
        page = {"count": "100", "offset": "0"} if path.startswith("/messages") else {}
        answer = await centre.anyone.get(path, params=page | query, headers={"x-postmark-server-token": token})
        assert answer.status_code == status, answer.text
        return answer.json()

    await label_all(centre.store)
    return ask


def times(answer):
    assert answer["TotalCount"] == len(answer["Clicks"])
    return [click["ReceivedAt"][8:16] for click in answer["Clicks"]]


async def test_a_click_has_every_field(asked):
    [click] = (await asked(LIST, tag="december"))["Clicks"]

    assert click == {
        "RecordType": "Click",
        "ClickLocation": "Text",
        "Client": {"Name": "Safari 16", "Company": "Apple", "Family": "Safari"},
        "OS": {"Name": "iOS", "Company": "Apple", "Family": "iOS"},
        "Platform": "Mobile",
        "UserAgent": IPAD,
        "OriginalLink": "https://example.com/BA",
        "Geo": click["Geo"] | {"IP": "203.0.113.7", "City": "", "Zip": "", "Coords": ""},
        "MessageID": "mail-2@example.com",
        "MessageStream": "outbound",
        "ReceivedAt": "2026-11-23T12:00:00.1234560Z",
        "Tag": "december",
        "Recipient": "other@example.net",
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["23T12:00", "22T12:00", "21T05:00", "21T04:59"]),
        ({"robots": "include"}, ["23T13:00", "23T12:00", "22T12:00", "21T05:00", "21T04:59"]),
        ({"robots": "only"}, ["23T13:00"]),
        ({"recipient": "OTHER@example.net"}, ["23T12:00"]),
        ({"client_family": "Chrome"}, ["21T05:00", "21T04:59"]),
        ({"clientFamily": "Chrome"}, ["21T05:00", "21T04:59"]),
        ({"CLIENT_NAME": "Firefox 140"}, ["22T12:00"]),
        ({"client_name": "Firefox 14"}, []),
        ({"client_company": "Google"}, ["21T05:00", "21T04:59"]),
        ({"client_company": "Nobody"}, []),
        ({"os_family": "Linux"}, ["22T12:00"]),
        ({"os_name": "Windows"}, ["21T05:00", "21T04:59"]),
        ({"os_company": "Apple"}, ["23T12:00"]),
        ({"platform": "Mobile"}, ["23T12:00"]),
        ({"platform": "WebMail"}, []),
        ({"platform": "Desktop", "client_family": "Firefox"}, ["22T12:00"]),
        ({"country": "unknown-land"}, []),
        ({"fromdate": "2026-11-21"}, ["23T12:00", "22T12:00", "21T05:00"]),
        ({"todate": "2026-11-20"}, ["21T04:59"]),
        ({"fromDate": "2026-11-22T07:00:00", "toDate": "2026-11-22T07:00:00"}, ["22T12:00"]),
        ({"tag": "", "messageStream": "outbound", "unheard_of": "x"}, ["23T12:00", "22T12:00", "21T05:00", "21T04:59"]),
    ],
    ids=str,
)
async def test_every_filter_of_the_list_holds(asked, query, found):
    assert times(await asked(LIST, **query)) == found


async def test_a_page_ends_where_the_next_begins_and_total_is_what_can_be_reached(asked):
    pages = [await asked(LIST, count="3", offset=str(offset)) for offset in (0, 3, 6)]

    assert [page["TotalCount"] for page in pages] == [4, 4, 4]
    assert [len(page["Clicks"]) for page in pages] == [3, 1, 0]


async def test_a_message_has_its_own_clicks_and_one_that_is_not_known_none(asked):
    assert times(await asked(LIST + "/mail-1@example.com")) == ["22T12:00", "21T05:00", "21T04:59"]
    assert await asked(LIST + "/nobody-sent-this") == {"TotalCount": 0, "Clicks": []}


async def test_days_are_new_yorks_and_have_every_counter(asked):
    counts = await asked(STATS + "/clicks")
    platforms = await asked(STATS + "/clicks/Platforms")
    families = await asked(STATS + "/clicks/browserFamilies", tag="november")
    location = await asked(STATS + "/clicks/location", fromdate="2026-11-22", todate="2026-11-23")

    assert counts["Days"] == [
        {"Date": "2026-11-20", "Clicks": 1, "Unique": 1},
        {"Date": "2026-11-21", "Clicks": 1, "Unique": 0},
        {"Date": "2026-11-22", "Clicks": 1, "Unique": 1},
        {"Date": "2026-11-23", "Clicks": 1, "Unique": 1},
        {"Date": "2026-11-24", "Clicks": 1, "Unique": 1},
    ]
    assert (counts["Clicks"], counts["Unique"]) == (5, 4)
    assert platforms["Days"][2] == {"Date": "2026-11-22", "Desktop": 1, "Mobile": 0, "Unknown": 0}
    assert (platforms["Desktop"], platforms["Mobile"], platforms["Unknown"]) == (3, 1, 1)
    assert families["Days"][0] == {"Date": "2026-11-20", "Chrome": 1}
    assert (families["Chrome"], families["Firefox"], families["Unknown"]) == (2, 1, 1)
    assert location == {
        "Days": [{"Date": "2026-11-22", "HTML": 1, "Text": 0}, {"Date": "2026-11-23", "HTML": 0, "Text": 1}],
        "HTML": 1,
        "Text": 1,
    }


async def test_the_overview_says_what_is_known_and_0_for_the_rest(asked):
    overview = await asked(STATS)

    known = {name: figure for name, figure in overview.items() if figure}
    assert known == {
        "Sent": 2,
        "Tracked": 2,
        "WithLinkTracking": 2,
        "TotalTrackedLinksSent": 4,
        "UniqueLinksClicked": 4,
        "TotalClicks": 5,
        "WithClientRecorded": 4,
        "WithPlatformRecorded": 4,
    }
    assert len(overview) == 17


async def test_nothing_at_all_gives_every_field(centre):
    headers = {"X-Postmark-Server-Token": SENDER_TOKEN}

    counts = await centre.anyone.get(STATS + "/clicks", headers=headers)
    platforms = await centre.anyone.get(STATS + "/clicks/platforms", headers=headers)

    assert counts.json() == {"Days": [], "Clicks": 0, "Unique": 0}
    assert platforms.json() == {"Days": [], "Desktop": 0, "Mobile": 0, "Unknown": 0}


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        (LIST, {"count": "501"}, "count"),
        (LIST, {"count": "x"}, "count"),
        (LIST, {"offset": "9950"}, "count and offset"),
        (LIST, {"platform": "Toaster"}, "platform"),
        (LIST, {"fromdate": "yesterday"}, "fromdate"),
        (LIST, {"todate": "2026-02-30"}, "todate"),
        (STATS, {"fromdate": "1969-12-31"}, "fromdate"),
        (STATS, {"messagestream": "broadcast"}, "messagestream"),
        (STATS, {"robots": "maybe"}, "robots"),
        (STATS + "/clicks/weather", {}, "breakdown"),
    ],
)
async def test_a_bad_question_is_refused_with_the_field(asked, path, query, field):
    problem = await asked(path, 422, **query)

    assert problem["ErrorCode"] == 300
    assert field in problem["Message"]


@pytest.mark.parametrize("path", [LIST, STATS, STATS + "/clicks"])
async def test_a_token_that_is_not_known_is_refused_as_postmark_does(asked, path):
    problem = await asked(path, 401, token="nobody-knows-this-token")

    assert set(problem) == {"ErrorCode", "Message"}
    assert problem["ErrorCode"] == 10
