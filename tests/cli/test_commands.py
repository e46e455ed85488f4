"""The commands and what they say, above all when something is wrong: one line that names the setting and the cure."""

import json
import signal
import socket
import subprocess
import sys

import pytest
from processes import COMMAND, HANG_S, free_port, wait_until

from linkrouter.link.codec import decode_base64url

HTML = b'<p><a href="https://example.com/a?b=1&amp;c=2">x</a> <a href="mailto:a@example.com">y</a></p>'


def test_help_names_every_command(home):
    text = home.run("--help").stdout.decode()

    for command in ("central", "check", "decode", "demo", "encode", "exit", "keys", "router", "spool", "tokens"):
        assert f"\n  {command} " in text
        assert "Usage:" in home.run(command, "--help").stdout.decode()


def test_encode_and_decode_are_inverse(home):
    done = home.run("encode", "--keys", "keys.json", "--base-url", "https://click.example.com", stdin=HTML)
    url = done.stdout.split(b'"')[1].decode()

    said = json.loads(home.run("decode", url, "--keys", "keys.json", "--json").stdout)

    assert said["genuine"] is True
    assert said["destination"] == "https://example.com/a?b=1&c=2"
    assert (said["part"], said["tenant"], said["key_id"], said["count_only"]) == ("html", 0, 1, False)
    assert done.stdout.replace(url.encode(), b"https://example.com/a?b=1&amp;c=2") == HTML
    assert b"1 tracked, 1 left alone" in done.stderr
    assert b"example.com" not in done.stderr


def test_encode_says_which_parts_it_could_not_read(home):
    mail = b"Content-Type: text/html; charset=x-unheard-of\r\n\r\n" + HTML

    done = home.run("encode", "--keys", "keys.json", "--base-url", "https://click.example.com", stdin=mail)

    assert done.stdout == mail
    assert b"a part could not be read: charset" in done.stderr


def test_decode_of_a_forged_link_is_a_finding(home):
    done = home.run(
        "decode", "https://click.example.com/2s/x/AQ/AA/AAAAAAAAAAAAAAA", "--keys", "keys.json", check=False
    )

    assert done.returncode == 1
    assert b"not a genuine link" in done.stderr


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (HTML, "html"),
        (b"See https://example.com/a now", "text"),
        (b"Subject: x\r\n\r\nSee https://example.com/a now", "text"),
        (b"<!DOCTYPE html>\n" + HTML, "html"),
        (b"Note: see https://example.com/a\nand more", "text"),
    ],
)
def test_encode_guesses_what_it_is_given(home, content, kind):
    done = home.run(
        *("encode", "--keys", "keys.json", "--base-url", "https://click.example.com", "--manifest", "m.jsonl"),
        stdin=content,
    )

    entry = json.loads((home.path / "m.jsonl").read_text())
    assert [link["part"] for link in entry["links"]] == [kind]
    assert done.stdout.count(b"https://click.example.com/2s/example.com/a") == 1


def test_encode_writes_a_manifest_for_its_owner_alone_with_key_and_trap(home):
    options = ("--base-url", "https://click.example.com", "--manifest", "m.jsonl", "--trap-link")

    for content in (HTML, b"https://example.com/a", HTML):
        home.run("encode", "--keys", "keys.json", *options, stdin=content)

    html, text, again = map(json.loads, (home.path / "m.jsonl").read_text().splitlines())
    assert (home.path / "m.jsonl").stat().st_mode & 0o777 == 0o600
    assert [link.get("trap") for link in html["links"]] == [None, True]
    assert [link.get("trap") for link in text["links"]] == [None]
    for entry in (html, text, again):
        key = decode_base64url(entry["message_key"])
        assert {decode_base64url(link["link_id"])[:-1] for link in entry["links"]} == {key}
    assert html["message_key"] != again["message_key"]


def test_binary_input_comes_back_unchanged_with_the_reason(home):
    content = b"Content-Type: text/html; charset=utf-16\r\n\r\n" + bytes(range(256)) * 40

    done = home.run("encode", "--keys", "keys.json", "--base-url", "https://click.example.com", stdin=content)

    assert done.stdout == content
    assert done.stderr


def test_rotation_signs_with_a_new_key_and_shows_no_secret(home):
    secret = json.loads((home.path / "keys.json").read_text())["keys"][0]["secret"]

    home.run("keys", "rotate", "keys.json")
    listed = home.run("keys", "list", "keys.json", "--json").stdout

    rows = json.loads(listed)["keys"]
    assert [(row["id"], row["state"]) for row in rows] == [(1, "verify"), (2, "sign")]
    assert secret.encode() not in listed
    assert (home.path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_a_key_is_added_made_to_sign_revoked_and_removed(home):
    assert home.run("keys", "add", "keys.json").stdout == b"2\n"
    home.run("keys", "sign", "keys.json", "2")
    home.run("keys", "revoke", "keys.json", "1")
    home.run("keys", "remove", "keys.json", "1")

    refused = home.run("keys", "revoke", "keys.json", "2", check=False)

    rows = json.loads(home.run("keys", "list", "keys.json", "--json").stdout)["keys"]
    assert [(row["id"], row["state"]) for row in rows] == [(2, "sign")]
    assert refused.returncode == 3
    assert b"keyring 'keys.json': key 2 signs new links; rotate first" in refused.stderr


def test_a_keyring_is_received_whole_or_not_at_all(home):
    other = home.run("keys", "create", "other.json") and (home.path / "other.json").read_bytes()

    home.run("keys", "receive", "keys.json", stdin=other)
    home.run("keys", "receive", "new.json", stdin=other)
    refused = home.run("keys", "receive", "keys.json", stdin=other[:40], check=False)

    assert (home.path / "keys.json").read_bytes() == (home.path / "new.json").read_bytes() == other
    assert refused.returncode == 3


def test_a_canary_is_a_link_of_the_key_that_is_asked_for(home):
    home.run("keys", "rotate", "keys.json")

    made = home.run("keys", "canary", "keys.json", "go.example.com", "--key", "1", "--tenant", "7")
    link, destination = made.stdout.split()
    said = json.loads(home.run("decode", link, "--keys", "keys.json", "--json").stdout)

    assert link.startswith(b"https://go.example.com/2s/")
    assert said["destination"] == destination.decode()
    assert (said["key_id"], said["tenant"]) == (1, 7)


ROUTER = ("router", "--keys", "keys.json", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
CENTRAL = (
    *("central", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"),
    *("--ingest-token-file", "ingest-token", "--api-token-file", "api-token"),
)


@pytest.mark.parametrize(
    ("prepare", "command", "words"),
    [
        (None, ("router",), ["KEYS", "--keys"]),
        (None, ("router", "--keys", "nowhere.json"), ["nowhere.json", "keys create"]),
        (lambda home: (home / "keys.json").chmod(0o644), ROUTER, ["keys.json", "chmod 600"]),
        (lambda home: (home / "keys.json").write_text(""), ROUTER, ["keys.json", "empty"]),
        (lambda home: (home / "keys.json").write_text('{"keys": ['), ROUTER, ["keys.json"]),
        (None, (*ROUTER, "--listen", "nonsense"), ["LISTEN", "HOST:PORT"]),
        (None, (*ROUTER, "--workers", "0"), ["WORKERS", "1 to 64"]),
        (None, (*ROUTER, "--trusted-proxies", "x"), ["TRUSTED_PROXIES"]),
        (None, (*ROUTER, "--respect-opt-out", "perhaps"), ["RESPECT_OPT_OUT"]),
        (None, (*ROUTER, "--click-store", "floppy:a"), ["CLICK_STORE", "sqlite"]),
        (None, (*ROUTER, "--click-store", "sqlite:////proc/nowhere/spool"), ["CLICK_STORE"]),
        (lambda home: (home / "spool").write_text(""), (*ROUTER, "--click-store", "sqlite:///spool"), ["CLICK_STORE"]),
        (None, (*ROUTER, "--ingest-url", "http://127.0.0.1:1"), ["INGEST_TOKEN_FILE"]),
        (None, (*ROUTER, "--ingest-url", "ftp://x"), ["INGEST_URL"]),
        (
            lambda home: (home / "t").write_text("short"),
            (*ROUTER, "--ingest-url", "http://127.0.0.1:1", "--ingest-token-file", "t"),
            ["INGEST_TOKEN_FILE"],
        ),
        (lambda home: (home / "c.toml").write_text("lisen = 'x'"), (*ROUTER, "--config", "c.toml"), ["'lisen'"]),
        (lambda home: (home / "c.toml").write_text("listen ="), (*ROUTER, "--config", "c.toml"), ["c.toml", "TOML"]),
        (None, (*ROUTER, "--config", "nowhere.toml"), ["nowhere.toml"]),
        (None, ("central",), ["INGEST_TOKEN_FILE"]),
        (None, (*CENTRAL, "--database", "mysql://x"), ["DATABASE"]),
        (
            lambda home: (home / "b.db").write_bytes(b"x" * 9000),
            (*CENTRAL, "--database", "sqlite:///b.db"),
            ["DATABASE"],
        ),
        (lambda home: (home / "api-token").unlink(), CENTRAL, ["API_TOKEN_FILE"]),
    ],
)
def test_what_keeps_a_process_from_starting_is_one_line(home, prepare, command, words):
    if prepare is not None:
        prepare(home.path)

    done = home.run(*command, check=False)

    assert done.returncode == 3
    lines = [line for line in done.stderr.decode().splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize(
    ("command", "option", "name"),
    [(ROUTER, "--listen", "LISTEN"), (ROUTER, "--admin-listen", "ADMIN_LISTEN"), (CENTRAL, "--listen", "LISTEN")],
)
def test_a_taken_port_is_one_line(home, command, option, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = home.run(*command, option, f"127.0.0.1:{taken.getsockname()[1]}", check=False)

    assert done.returncode == 3
    (line,) = [line for line in done.stderr.decode().splitlines() if not line.startswith("{")]
    assert name in line


def test_an_unknown_option_is_a_usage_error(home):
    assert home.run("router", "--nonsense", "1", check=False).returncode == 2
    assert home.run("nonsense", check=False).returncode == 2


def test_environment_loses_to_options_and_wins_over_the_file(home):
    (home.path / "c.toml").write_text("listen = 'from-file'\nadmin_listen = 'from-file'\n")

    done = subprocess.run(
        [*COMMAND, "router", "--keys", "keys.json", "--config", "c.toml", "--admin-listen", "from-option"],
        cwd=home.path,
        env={"LINKROUTER_LISTEN": "127.0.0.1:0", "PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        timeout=HANG_S,
    )

    # LISTEN came from the environment and was fine; the option, not the file, is what is complained about.
    assert done.returncode == 3
    assert b"ADMIN_LISTEN must be HOST:PORT" in done.stderr


@pytest.mark.slow
def test_demo_clicks_a_link_and_the_centre_counts_it(home):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which does as well
        text = home.run("demo", "--empty", "--seconds", "8").stdout.decode()  # it settles after two

    assert "Clicked the first one: 302 → https://example.com/" in text
    shown = [line for line in text.splitlines() if line.startswith("Clicks at central: ")]
    assert shown[-1] == "Clicks at central: 1 by people (links clicked: 1), 0 by machines."
    assert text.count("/2s/example") >= 4
    assert text.rstrip().endswith("Stopped.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_demo_stops_cleanly_when_told(home, number):
    process = subprocess.Popen(
        [*COMMAND, "demo", "--empty"], cwd=home.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    for line in process.stdout:
        if b"Clicks at central: 1 " in line:
            break

    process.send_signal(number)
    rest, complaints = process.communicate(timeout=HANG_S)

    assert process.returncode == 0
    assert rest.decode().splitlines()[-1] == "Stopped."
    assert complaints == b""


def test_a_router_without_a_centre_keeps_clicks(home):
    port = free_port()
    process = home.start(
        *("router", "--keys", "keys.json", "--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0")
    )
    wait_until(lambda: home.answers(port, "/-/ready"))

    assert process.poll() is None
