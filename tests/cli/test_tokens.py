"""`linkrouter tokens`: what it writes, what it shows, and what central makes of it."""

import json
import os

from linkrouter.settings import read_tokens


def test_a_token_that_is_added_is_shown_once_and_known_by_its_id(home):
    done = home.run("tokens", "add", "tokens", "--scopes", "stats:read,clicks:read", "--tenant", "7", "--name", "shop")
    token = done.stdout.decode().strip()

    [line] = read_tokens(home.path / "tokens", "API_TOKEN_FILE")
    listed = json.loads(home.run("tokens", "list", "tokens", "--json").stdout)["tokens"]

    assert (line.token, line.scopes, line.tenant, line.name) == (token, ("stats:read", "clicks:read"), 7, "shop")
    assert (home.path / "tokens").stat().st_mode & 0o777 == 0o600
    assert listed == [{"id": listed[0]["id"], "name": "shop", "tenant": 7, "scopes": ["stats:read", "clicks:read"]}]
    assert token not in home.run("tokens", "list", "tokens").stdout.decode()


def test_a_token_that_is_revoked_takes_nothing_else_with_it(home):
    home.run("tokens", "add", "tokens", "--scopes", "admin", "--name", "one")
    path = home.path / "tokens"
    path.write_text("# of the shop\n" + path.read_text() + "a-bare-token-0123456789\n")
    os.chmod(path, 0o640)

    home.run("tokens", "revoke", "tokens", "one")

    assert path.read_text() == "# of the shop\na-bare-token-0123456789\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_done_is_one_line(home):
    home.run("tokens", "add", "tokens", "--scopes", "admin")

    unknown = home.run("tokens", "revoke", "tokens", "nobody", check=False)
    scope = home.run("tokens", "add", "tokens", "--scopes", "everything", check=False)
    name = home.run("tokens", "add", "tokens", "--scopes", "admin", "--name", "two words", check=False)

    assert (unknown.returncode, scope.returncode, name.returncode) == (3, 2, 3)
    assert unknown.stderr.decode().count("\n") == 1
    assert len((home.path / "tokens").read_text().splitlines()) == 1


def test_history_is_labelled_again_while_central_serves(home):
    home.start_central()

    done = home.run("central", "relabel", "--since", "2026-11-21")

    assert b"labelled again up to click 0" in done.stderr
    assert home.answers(home.central_port, "/-/ready")


def test_a_time_that_is_none_is_a_usage_error(home):
    assert home.run("central", "relabel", "--since", "yesterday", check=False).returncode == 2
