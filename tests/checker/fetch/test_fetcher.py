"""Fetching links: methods, redirects, what is believed; real servers on the loopback."""

import pytest
from aiohttp import web
from checker.servers import answering, fetching, raw, site, status

from linkrouter.checker.fetch.limits import HostLimits
from linkrouter.errors import BadLink


def methods(fetched):
    return [(hop.method, hop.status) for hop in fetched.hops]


@pytest.mark.parametrize("path", ["/Unsubscribe?who=me", "/there"])
async def test_a_link_to_unsubscribe_is_never_opened(path):
    async def handler(request):
        if request.path == "/there" and request.method == "GET":
            return web.Response(status=302, headers={"Location": "/opt-out"})
        return web.Response(status=405)

    async with site(handler) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}{path}")

    assert (fetched.verdict, fetched.reason) == ("unverifiable", "not opened")
    assert not [request for request in seen if request[0] == "GET" and request[1] != "/there"]


@pytest.mark.parametrize(
    "target",
    ["/a%2Fb", "/a%2fb", "/a%5Cb", "//x//y", "/a;b=c", "/?q=a%20b+c&d", "/?", "/~u/(x)!*'", "/%E4", "/a%25b", "/a|b"],
)
async def test_what_is_requested_is_what_stands_in_the_mail(target):
    async with site(status(200)) as (origin, seen), fetching() as fetch:
        await fetch(f"{origin}{target}")

    assert seen == [("HEAD", target), ("GET", target)]


async def test_the_request_looks_like_a_browsers_and_carries_no_credentials():
    headers = {}

    async def handler(request):
        headers.update(request.headers)
        return web.Response(headers={"Set-Cookie": "a=b"})

    async with site(handler) as (origin, _), fetching() as fetch:
        await fetch(f"{origin}/1")
        await fetch(f"{origin}/2")

    assert headers["User-Agent"].startswith("Mozilla/5.0 (")
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Host"] == origin.partition("//")[2]
    assert not {"Cookie", "Authorization", "Proxy-Authorization"} & set(headers)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with site(status(200)) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"


async def test_redirects_are_followed_and_kept_as_evidence():
    async def handler(request):
        step = int(request.path.strip("/"))
        return web.Response(status=301, headers={"Location": f"../{step + 1}"}) if step < 4 else web.Response()

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/1")

    assert fetched.verdict == "fine"
    assert methods(fetched) == [("GET", 301)] * 3 + [("GET", 200)]
    assert [hop.url for hop in fetched.hops] == [f"{origin}/{step}" for step in (1, 2, 3, 4)]


@pytest.mark.parametrize(("redirects", "reason"), [(20, "answers"), (21, "too many redirects")])
async def test_as_many_redirects_are_followed_as_browsers_follow(redirects, reason):
    async def handler(request):
        left = int(request.path.strip("/"))
        return web.Response(status=302, headers={"Location": f"/{left - 1}"}) if left else web.Response()

    async with site(handler) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/{redirects}")

    assert fetched.reason == reason
    assert len(seen) == 2 * 21


async def test_a_circle_is_broken_unless_a_cookie_might_open_it():
    async def handler(request):
        cookie = {"Set-Cookie": "seen=1"} if "cookie" in request.path else {}
        return web.Response(status=302, headers={"Location": request.path, **cookie})

    async with site(handler) as (origin, _), fetching() as fetch:
        plain, cookie = await fetch(f"{origin}/x"), await fetch(f"{origin}/cookie")

    assert (plain.verdict, plain.reason) == ("broken", "redirects in a circle")
    assert (cookie.verdict, cookie.reason) == ("unverifiable", "needs cookies")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://10.0.0.1/", "address not public"),
        ("http://169.254.169.254/latest/meta-data", "address not public"),
        ("http://[::1]/", "address not public"),
        ("http://[::ffff:10.0.0.1]/", "address not public"),
        ("http://0xA000001/", "address not public"),
        ("http://user@127.0.0.1/", "redirects to a malformed URL"),
        ("http://", "redirects to a malformed URL"),
        ("itms-apps://apps.example/x", "leaves the web"),
        ("javascript:alert(1)", "leaves the web"),
        (None, "redirects nowhere"),
    ],
)
async def test_each_hop_is_judged_anew(location, reason):
    headers = {} if location is None else {"Location": location}
    async with site(status(302, headers=headers)) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.reason == reason
    assert {path for _, path in seen} == {"/"}


@pytest.mark.parametrize(
    ("location", "last"),
    [
        ("https://me@evil.example/x#y", "https://evil.example/x"),
        ("http://10.0.0.1/", "http://10.0.0.1"),
    ],
)
async def test_where_a_refused_redirect_leads_is_kept_as_evidence(location, last):
    async with site(status(302, headers={"Location": location})) as (origin, _), fetching(local=False) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.hops[-1].url == last


async def test_the_host_behind_one_redirect_too_many_is_kept_too():
    async def handler(request):
        left = int(request.path.strip("/"))
        return web.Response(status=302, headers={"Location": f"/{left - 1}" if left else "https://evil.example/"})

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/20")

    assert (fetched.reason, fetched.hops[-1].url) == ("too many redirects", "https://evil.example")


async def test_the_host_behind_a_redirect_to_a_held_host_is_kept_too():
    limits = HostLimits()
    limits.hold("evil.example", 300)
    redirect = status(302, headers={"Location": "https://evil.example/"})

    async with site(redirect) as (origin, _), fetching(limits=limits) as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.reason, fetched.hops[-1].url) == ("rate limited", "https://evil.example")


async def test_a_location_in_utf8_is_read_as_browsers_read_it():
    answer = "HTTP/1.1 302 Found\r\nLocation: /käse\r\nContent-Length: 0\r\n\r\n".encode()
    async with raw(answering(answer)) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert seen[:2] == ["HEAD / HTTP/1.1", "HEAD /k%C3%A4se HTTP/1.1"]
    assert fetched.reason == "redirects in a circle"


async def test_after_a_get_the_rest_of_the_way_is_asked_with_get():
    async def handler(request):
        if request.method == "HEAD":
            return web.Response(status=405)
        return web.Response() if request.path == "/end" else web.Response(status=302, headers={"Location": "/end"})

    async with site(handler) as (origin, seen), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"
    assert seen == [("HEAD", "/"), ("GET", "/"), ("GET", "/end")]


async def test_what_a_lying_host_says_of_a_broken_link_is_not_believed():
    async with site(status(404)) as (origin, _), fetching(lying_hosts={"127.0.0.1": "hates robots"}) as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason, fetched.detail) == ("unverifiable", "refuses robots", "hates robots")


async def test_what_a_lying_host_says_of_a_good_link_is():
    async with site(status(200)) as (origin, _), fetching(lying_hosts={"127.0.0.1": "hates robots"}) as fetch:
        fetched = await fetch(f"{origin}/")

    assert fetched.verdict == "fine"


async def test_a_link_of_our_own_is_read_and_not_requested():
    async with site(status(200)) as (origin, seen):

        def own_links(url):
            if url == "https://click.example.com/bad":
                raise BadLink("x")
            return f"{origin}/there" if url.startswith("https://click.example.com/") else None

        async with fetching(own_links=own_links) as fetch:
            good, bad = await fetch("https://click.example.com/2/x"), await fetch("https://click.example.com/bad")

    assert (good.verdict, [hop.note for hop in good.hops]) == ("fine", ["own link", ""])
    assert (bad.verdict, bad.reason) == ("broken", "not a genuine tracked link")
    assert seen == [("HEAD", "/there"), ("GET", "/there")]
