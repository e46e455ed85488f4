"""Who may do what."""

import pytest

from linkrouter.errors import SettingsError
from linkrouter.web.tokens import SCOPES, Caller, Tokens

ROUTER, SENDER = "router-token-0123456789", "sender-token-0123456789"

# What a router's token, a sender's token and none get: an answer, or a refusal before anything else is looked at.
MATRIX = [
    ("POST", "/v1/clicks", 415, 403, 401),
    ("POST", "/v1/messages", 403, 415, 401),
    ("GET", "/v1/clicks", 403, 200, 401),
    ("HEAD", "/v1/clicks", 403, 200, 401),
    ("GET", "/v1/stats/clicks", 403, 200, 401),
    ("GET", "/-/ready", 200, 200, 200),
    ("GET", "/openapi.json", 200, 200, 200),
    ("GET", "/v1/nothing", 404, 404, 404),
    ("DELETE", "/v1/clicks", 405, 405, 405),
]


@pytest.mark.parametrize(("method", "path", "router", "sender", "anyone"), MATRIX)
async def test_a_token_may_do_its_own_and_nothing_else(centre, method, path, router, sender, anyone):
    answers = [await client.request(method, path) for client in (centre.router, centre.sender, centre.anyone)]

    assert [answer.status_code for answer in answers] == [router, sender, anyone]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer wrong-token-0123456789",
        f"Bearer {ROUTER}x",
        f"Bearer {ROUTER[:-1]}",
        f"Bearer {ROUTER} {SENDER}",
        f"Bearer {ROUTER.upper()}",
        f"Basic {ROUTER}",
        ROUTER,
        f"Bearer\t{ROUTER}",
        f"Bearer {ROUTER},Bearer {SENDER}",
    ],
)
async def test_refuses_what_is_not_the_token(centre, authorization):
    answer = await centre.anyone.post("/v1/clicks", json={}, headers={"Authorization": authorization})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_refuses_a_token_of_other_bytes(centre):
    answer = await centre.anyone.get("/v1/clicks", headers={"Authorization": "Bearer gehe\xefm".encode("latin-1")})

    assert answer.status_code == 401


async def test_the_scheme_is_read_in_either_case(centre):
    answer = await centre.anyone.get("/v1/clicks", headers={"Authorization": f"bearer {SENDER}"})

    assert answer.status_code == 200


def test_every_token_of_a_file_is_known():
    tokens = Tokens.of(("first-token-0123456789", "second-token-0123456789"), (SENDER,))

    for token in ("first-token-0123456789", "second-token-0123456789"):
        caller = tokens.find_caller(f"Bearer {token}")
        assert [scope for scope in SCOPES if caller.may(scope)] == ["clicks:write"]


def test_an_admin_may_do_all_but_what_routers_do():
    admin = Tokens.of((ROUTER,), (SENDER,)).find_caller(f"Bearer {SENDER}")

    assert [scope for scope in SCOPES if not admin.may(scope)] == ["clicks:write"]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_has_its_own_scopes_alone(scope):
    caller = Caller(frozenset({"stats:read", "checks"}))

    assert caller.may(scope) == (scope in ("stats:read", "checks"))


@pytest.mark.parametrize(("own", "asked", "sees"), [(None, 8, True), (7, None, True), (7, 7, True), (7, 8, False)])
def test_a_tenants_token_sees_that_tenant_alone(own, asked, sees):
    assert Caller(tenant=own).sees(asked) is sees


def test_a_repr_shows_no_token():
    tokens = Tokens.of((ROUTER,), (SENDER,))

    assert "token" not in repr(tokens).removeprefix("Tokens")
    assert all(digest.hex() not in repr(tokens) for digest, _ in tokens.callers)


def test_names_the_setting_of_a_file_it_cannot_use(tmp_path):
    good, short = tmp_path / "good", tmp_path / "short"
    for path, text in ((good, ROUTER), (short, "short")):
        path.touch(mode=0o600)
        path.write_text(text)

    with pytest.raises(SettingsError, match=r"^INGEST_TOKEN_FILE: "):
        Tokens.load(tmp_path / "none", good)
    with pytest.raises(SettingsError, match=r"^API_TOKEN_FILE: .* must hold tokens of 16 characters"):
        Tokens.load(good, short)
