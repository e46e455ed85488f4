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
        caller = tokens.find_caller(token)
        assert [scope for scope in SCOPES if caller.may(scope)] == ["clicks:write"]


def test_an_admin_may_do_all_but_what_routers_do():
    admin = Tokens.of((ROUTER,), (SENDER,)).find_caller(SENDER)

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
    with pytest.raises(SettingsError, match=r"^API_TOKEN_FILE: .* a token of 16 characters"):
        Tokens.load(good, short)


@pytest.fixture
def token_files(tmp_path):
    """Give a function that writes both token files and reads them."""

    def load(ingest: str, api: str) -> Tokens:
        paths = tmp_path / "ingest-tokens", tmp_path / "api-tokens"
        for path, content in zip(paths, (ingest, api), strict=True):
            path.write_text(content)
            path.chmod(0o600)
        return Tokens.load(*paths)

    return load


def test_a_token_in_both_files_is_refused(token_files):
    with pytest.raises(SettingsError, match="has a token of INGEST_TOKEN_FILE") as raised:
        token_files("router-token-0123456789\n", "# senders\nrouter-token-0123456789 tenant=1\n")

    assert "router-token" not in str(raised.value)


def test_a_scope_that_nobody_knows_is_refused(token_files):
    with pytest.raises(SettingsError, match="API_TOKEN_FILE: no scope is called 'click:write'"):
        token_files("router-token-0123456789", "sender-token-0123456789 scopes=click:write")


def test_a_line_says_what_its_token_may_and_a_bare_one_what_its_file_is_for(token_files):
    tokens = token_files(
        "router-token-0123456789 name=ams-1",
        "sender-token-0123456789\nsender-token-of-shop-7 scopes=messages:write,checks tenant=7\n",
    )

    callers = [caller for _, caller in tokens.callers]

    assert callers == [
        Caller(frozenset({"clicks:write"}), None, "ams-1"),
        Caller(frozenset({"admin"})),
        Caller(frozenset({"messages:write", "checks"}), 7),
    ]
