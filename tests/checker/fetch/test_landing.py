"""Pages that answer, and are not what was linked to."""

import pytest
from aiohttp import web
from checker.servers import fetching, site

from linkrouter.checker.fetch.classify import HttpAnswer
from linkrouter.checker.fetch.landing import judge_landing

SHOP = "https://shop.example/sale"
OK = HttpAnswer(200, {"content-type": "text/html"}, b"<h1>Shoes</h1>")


def page(body):
    return HttpAnswer(200, {"content-type": "text/html"}, body.encode())


@pytest.mark.parametrize(
    "last",
    [
        "https://shop.example/login?next=%2Fsale",
        "https://shop.example/users/sign_in",
        "https://shop.example/account/log-in.php",
        "https://shop.example/wp-login.php?redirect_to=x",
        "https://shop.example/Account/Login.aspx",
        "https://accounts.google.com/v3/signin/identifier?x",
        "https://login.microsoftonline.com/common/oauth2/authorize?x",
        "https://idp.example/profile/SAML2/Redirect/SSO",
        "https://sso.example/start",
        "https://shop.example/customer/account/login/referer/abc",
    ],
)
def test_a_log_in_page_at_the_end_of_a_chain_is_no_page(last):
    assert judge_landing(SHOP, last, OK) == ("needs a login", "it leads to a log-in page")


@pytest.mark.parametrize(
    ("url", "last"),
    [
        (SHOP, SHOP),
        (SHOP, "https://shop.example/blog/how-to-login-safely-today"),
        (SHOP, "https://shop.example/plugins"),
        (SHOP, "https://shop.example/catalogin"),
        (SHOP, "https://shop.example/sale?login=no"),
        (SHOP, "https://authors.example/"),
        (SHOP, "https://www.shop.example/sale?cookieSet=1"),
        (SHOP, "https://shop.example/cookie-recipes"),
        ("https://shop.example/login", "https://login.shop.example/"),
        ("https://shop.example/login", "https://shop.example/login?step=1"),
        ("https://dan.com/", "https://www.dan.com/"),
    ],
)
def test_what_was_linked_to_is_fine(url, last):
    assert judge_landing(url, last, OK) is None


@pytest.mark.parametrize(
    "last",
    [
        "https://shop.example/action/cookieAbsent",
        "https://shop.example/no-cookies",
        "https://shop.example/sale?error=cookies_required",
        "https://shop.example/enable_cookies.html",
    ],
)
def test_a_page_that_asks_for_cookies_is_no_page(last):
    assert judge_landing(SHOP, last, OK) == ("needs cookies", "")


@pytest.mark.parametrize(
    ("last", "answer"),
    [
        ("http://ww1.shop.example/sale", OK),
        ("http://ww38.shop.example/", OK),
        ("https://www.hugedomains.com/domain_profile.cfm?d=shop.example", OK),
        (SHOP, page("<title>shop.example</title><h1>This domain is for sale!</h1>")),
        (SHOP, page("<title>shop.example - This website is for sale! - shop Resources</title>")),
        (SHOP, page("<title>shop.example is for sale</title>")),
        (SHOP, page("<h1>\n Buy this domain</h1>")),
        (SHOP, page("<title>shop.example – Diese Website steht zum Verkauf!</title>")),
        (SHOP, page("<h2>The domain shop.example may be for sale</h2>")),
        (SHOP, page('<script>window.onload=function(){window.location.href="/lander"}</script>')),
        ("https://shop.example/cgi-sys/suspendedpage.cgi", OK),
        (SHOP, page("<title>Account Suspended</title>")),
        (SHOP, page("<h1>This domain has expired</h1>")),
        (SHOP, page("<script src='https://d1.parkingcrew.net/x.js'></script>")),
    ],
)
def test_a_parked_domain_is_no_page(last, answer):
    assert judge_landing(SHOP, last, answer) == ("parked domain", "")


@pytest.mark.parametrize(
    "body",
    [
        "<h1>Shoes</h1><p>This domain is for sale!</p>",
        "<title>What to do when your domain name expires</title>",
        "<title>Ten shoes for sale</title>",
        "<h1>We parked our domain</h1>",
        "<title>Why this domain is for sale everywhere</title>",
        "<p>See parkingcrew.net</p>",
        "<title>Accounts suspended for spam: our report</title>",
    ],
)
def test_a_page_that_speaks_of_domains_is_fine(body):
    assert judge_landing(SHOP, SHOP, page(body)) is None


async def test_a_link_to_what_needs_a_login_is_unverifiable_with_plain_words():
    async def handler(request):
        if request.path == "/members":
            return web.Response(status=302, headers={"Location": "/login?next=/members"})
        return web.Response()

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/members")

    assert (fetched.verdict, fetched.reason, fetched.detail) == (
        "unverifiable",
        "needs a login",
        "it leads to a log-in page",
    )


@pytest.mark.parametrize("again", ["/news", "/news?check={}", "/a/{}/b"])
async def test_a_chain_that_sets_cookies_and_never_ends_needs_cookies(again):
    count = iter(range(1000))

    async def handler(_):
        return web.Response(status=302, headers={"Location": again.format(next(count)), "Set-Cookie": "seen=1"})

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/news")

    assert (fetched.verdict, fetched.reason) == ("unverifiable", "needs cookies")


async def test_an_error_page_that_asks_for_cookies_needs_cookies():
    async def handler(request):
        if request.path == "/news":
            return web.Response(status=302, headers={"Location": "/cookies-required", "Set-Cookie": "a=b"})
        return web.Response(status=400)

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/news")

    assert (fetched.verdict, fetched.reason) == ("unverifiable", "needs cookies")


async def test_a_parked_domain_is_unverifiable():
    async def handler(_):
        return web.Response(text="<h1>This domain is for sale!</h1>", content_type="text/html")

    async with site(handler) as (origin, _), fetching() as fetch:
        fetched = await fetch(f"{origin}/")

    assert (fetched.verdict, fetched.reason) == ("unverifiable", "parked domain")
