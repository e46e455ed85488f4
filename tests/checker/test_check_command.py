"""`linkrouter check`, run as a user runs it."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from aiohttp import web
from checker.reputation.lists import rbldnsd
from checker.reputation.risk_server import risk_server
from checker.servers import answering, raw, site, status
from forked import run_forked
from processes import COMMAND, HANG_S

ALLOW = ("--allow-network", "127.0.0.0/8")


async def run(*arguments, stdin=b"", **environ):
    """Run the command; gives exit code, standard output and standard error."""
    done = await asyncio.to_thread(run_forked, "check", *arguments, stdin=stdin, env={**os.environ, **environ})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def page(*urls):
    return "".join(f'<p><a href="{url}">see <b>this</b></a></p>\n' for url in urls).encode()


def by_status(request):
    return status(int(request.path.strip("/")))(request)


@pytest.mark.parametrize(
    ("pages", "code", "verdicts"),
    [
        ([200, 204], 0, ["fine", "fine"]),
        ([200, 404], 1, ["fine", "broken"]),
        ([200, 999], 0, ["fine", "unverifiable"]),
        ([200, 429], 3, ["fine", "unverifiable"]),
        ([999, 410], 1, ["unverifiable", "broken"]),
    ],
)
async def test_the_exit_code_tells_bad_from_could_not_tell(pages, code, verdicts):
    async with site(by_status) as (origin, _):
        done = await run(*ALLOW, "--json", stdin=page(*(f"{origin}/{number}" for number in pages)))

    result = json.loads(done[1])
    assert done[0] == code
    assert [link["verdict"] for link in result["links"]] == verdicts
    assert result["may_send"] is True


async def test_the_json_has_what_was_promised():
    async def handler(request):
        return web.Response() if request.path == "/b" else web.Response(status=301, headers={"Location": "/b"})

    async with site(handler) as (origin, _):
        _, out, _ = await run(*ALLOW, "--json", stdin=page(f"{origin}/a", f"{origin}/a"))

    [link] = json.loads(out)["links"]
    assert {name: link[name] for name in ("url", "verdict", "reason", "method", "status", "final_url")} == {
        "url": f"{origin}/a",
        "verdict": "fine",
        "reason": "answers",
        "method": "GET",
        "status": 200,
        "final_url": f"{origin}/b",
    }
    assert link["places"] == [
        {"part": "html", "position": 0, "line": 1, "text": "see this"},
        {"part": "html", "position": 1, "line": 2, "text": "see this"},
    ]
    assert [hop["status"] for hop in link["hops"]] == [301, 200]


async def test_a_message_is_checked_part_by_part(tmp_path):
    mail = tmp_path / "mail.eml"
    async with site(by_status) as (origin, _):
        mail.write_bytes(
            b"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n"
            b"--x\r\nContent-Type: text/plain\r\n\r\nsee %(o)s/200 and %(o)s/404 \r\n"
            b'--x\r\nContent-Type: text/html\r\n\r\n<a href="%(o)s/200">x</a>\r\n--x--\r\n' % {b"o": origin.encode()}
        )
        code, out, _ = await run(*ALLOW, "--json", mail)

    links = {link["url"].rpartition("/")[2]: link for link in json.loads(out)["links"]}
    assert code == 1
    assert [place["part"] for place in links["200"]["places"]] == ["text", "html"]
    assert links["404"]["verdict"] == "broken"


async def test_private_addresses_are_refused_unless_allowed():
    async with site(status(200)) as (origin, seen):
        port = origin.rpartition(":")[2]
        hosts = ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]")
        code, out, _ = await run("--json", stdin=page(*(f"http://{host}:{port}/" for host in hosts)))

    assert code == 1
    assert seen == []
    assert {link["verdict"] for link in json.loads(out)["links"]} == {"broken", "malformed"}


async def test_people_get_the_worst_first_and_what_to_do():
    async with site(by_status) as (origin, _):
        urls = [f"{origin}/200", f"{origin}/999", f"{origin}/404", "https://", "{{ later }}", "mailto:a@example.com"]
        code, out, err = await run(*ALLOW, stdin=page(*urls))

    lines = out.splitlines()
    assert code == 1
    assert [line.split()[0] for line in lines if line[:1] != " "] == [
        "broken",
        "unverifiable",
        "malformed",
        "skipped",
        "links:",
    ]
    assert f"{'':<13} not found (404)" in lines
    assert f"{'':<13} in html, line 3: 'see this'" in lines
    assert lines[-1] == "links: 2 fine, 1 broken, 1 unverifiable, 1 malformed, 1 skipped; the mail may be sent"
    assert "127.0.0.1" not in err


async def test_junit_is_valid_xml_whatever_is_in_a_link():
    async with site(by_status) as (origin, _):
        urls = [f"{origin}/200", f"{origin}/404?&quot;&lt;\x1b]", f"{origin}/999", "#top"]
        code, out, _ = await run(*ALLOW, "--junit", stdin=page(*urls))

    suite = ElementTree.fromstring(out)
    assert code == 1
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    assert "\x1b" not in out


async def test_the_lists_are_asked_where_they_are_said_to_be(tmp_path):
    controls = ["test.surbl.org :127.0.0.254:", "dbltest.com :127.0.1.2:", "1.0.0.127 :127.0.0.8:"]
    key = tmp_path / "key"
    key.write_text("the-key\n")
    key.chmod(0o600)
    threat = {"threat": {"threatTypes": ["MALWARE"], "expireTime": "2100-01-01T00:00:00Z"}}

    async def webrisk(request):
        return web.json_response(threat if request.query["uri"].endswith("/evil") else {})

    async with site(status(200)) as (origin, _), site(webrisk) as (risk, asked):
        options = (*ALLOW, "--json", "--webrisk-api", "lookup", "--webrisk-url", risk, "--webrisk-key-file", key)
        with rbldnsd(s_test=controls[:1], t_test=controls, d_test=controls) as (host, port):
            lists = ("--dns-server", f"{host}:{port}", "--dbl-zone", "d.test", "--reputation", "dbl")
            surbl, webrisk_alone = ("--reputation", "surbl"), ("--reputation", "webrisk")
            mail = page(f"{origin}/good")
            clean = await run(*options, *lists, *surbl, *webrisk_alone, "--surbl-zone", "s.test", stdin=mail)
            listed = await run(*options, *lists, *surbl, "--surbl-zone", "t.test", stdin=mail)
            unknown = await run(*options, *lists, *surbl, "--surbl-zone", "none.test", stdin=mail)
        evil = await run(*options, *webrisk_alone, stdin=page(f"{origin}/evil"))

    results = [json.loads(out) for _, out, _ in (clean, listed, unknown, evil)]
    assert [code for code, _, _ in (clean, listed, unknown, evil)] == [0, 1, 3, 1]
    assert [result["may_send"] for result in results] == [True, False, False, False]
    assert [result["gate"]["answer"] for result in results] == ["send", "block", "wait", "block"]
    assert [result["links"][0]["verdict"] for result in results] == ["fine", "flagged", "fine", "flagged"]
    assert results[1]["links"][0]["detail"] == "PH: phishing"
    assert not any("the-key" in text for _, *texts in (clean, listed, unknown, evil) for text in texts)
    assert not any("the-key" in path for _, path in asked)


async def test_web_risk_is_asked_for_prefixes_unless_told_otherwise(tmp_path):
    key = tmp_path / "key"
    key.write_text("the-key\n")
    key.chmod(0o600)

    async with site(status(200)) as (origin, _), risk_server() as (risk, server):
        host = origin.partition("://")[2].partition(":")[0]
        server.listed["MALWARE"] = {f"{host}/evil"}
        options = (*ALLOW, "--json", "--reputation", "webrisk", "--webrisk-url", risk, "--webrisk-key-file", key)
        cache = ("--cache", tmp_path / "checks.db")
        good = await run(*options, *cache, stdin=page(f"{origin}/good"))
        evil = await run(*options, *cache, stdin=page(f"{origin}/evil"))

    assert (good[0], evil[0]) == (0, 1)
    assert json.loads(evil[1])["gate"]["answer"] == "block"
    assert len([method for method, _ in server.asked if method == "threatLists:computeDiff"]) == 4
    assert (tmp_path / "checks.db.webrisk").exists()


async def test_a_cache_file_saves_the_second_request(tmp_path):
    async with site(status(200)) as (origin, seen):
        for _ in range(2):
            code, _, _ = await run(*ALLOW, "--cache", tmp_path / "links.db", stdin=page(f"{origin}/"))
            assert code == 0

    assert [method for method, _ in seen] == ["HEAD", "GET"]


async def test_our_own_tracked_links_are_read_and_not_clicked(tmp_path):
    from linkrouter import Encoder, Keyring

    keys = tmp_path / "keys.json"
    ring = Keyring.create()
    ring.save(keys)
    async with site(status(200)) as (origin, seen), site(status(200)) as (click, clicks):
        encoder = Encoder(click, ring)
        tracked = encoder.rewrite_html(page(f"{origin}/there")).content
        code, out, _ = await run(*ALLOW, "--json", "--base-url", click, "--keys", keys, stdin=tracked)

    assert (code, seen, clicks) == (0, [("HEAD", "/there"), ("GET", "/there")], [])
    assert json.loads(out)["links"][0]["final_url"] == f"{origin}/there"


async def test_a_timeout_is_kept():
    async def talk(reader, _):
        await reader.read()

    async with raw(talk) as (origin, _):
        code, out, _ = await run(*ALLOW, "--json", "--timeout", "0.3", stdin=page(f"{origin}/"))

    assert (code, json.loads(out)["links"][0]["reason"]) == (3, "timed out")


@pytest.mark.parametrize("content", [b"\0\1\2\xff" * 500_000, b"\x89PNG\r\n\x1a\n" + bytes(1000)], ids=["zeros", "png"])
async def test_what_is_not_a_mail_is_not_let_out(content):
    code, out, err = await run("--json", stdin=content)

    result = json.loads(out)
    assert (code, result["may_send"], result["links"][0]["reason"]) == (3, False, "unreadable")
    assert "Traceback" not in err


async def test_a_mail_without_links_says_so_loudly():
    code, out, _ = await run(stdin=b"hello\n")
    _, _, err = await run("--json", stdin=b"hello\n")
    required, _, _ = await run("--require-links", stdin=b"hello\n")

    assert (code, out.splitlines()) == (
        0,
        ["NO LINK FOUND in standard input, which was read as text", "links: none; the mail may be sent"],
    )
    assert err == "no link was found in '-', which was read as text\n"
    assert required == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--json", "--junit"], 2, "choose one of --json and --junit"),
        (["/nonexistent.eml"], 2, "nonexistent.eml"),
        (["--reputation", "oracle"], 2, "REPUTATION must be names of dbl, surbl, webrisk"),
        (["--reputation", "webrisk"], 2, "WEBRISK_KEY_FILE is not set; give --webrisk-key-file"),
        (["--reputation", "webrisk", "--webrisk-key-file", "/nonexistent"], 2, "cannot be read"),
        (["--dns-server", "nowhere"], 2, "DNS_SERVER must be HOST:PORT"),
        (["--reputation", "dbl", "--dns-server", "no.such.host.invalid:53"], 2, "DNS_SERVER: the name"),
        (["--allow-network", "x"], 2, "ALLOW_NETWORK must be networks"),
        (["--timeout", "soon"], 2, "TIMEOUT must be a number of seconds"),
        (["--cache", "/nonexistent/links.db"], 2, "CACHE: '/nonexistent/links.db' cannot be used"),
        (["--lying-hosts", "/nonexistent"], 2, "LYING_HOSTS: '/nonexistent' cannot be read"),
        (["--exclude", "("], 2, "EXCLUDE must be regular expressions"),
        (["--accept", "20"], 2, "ACCEPT must be statuses"),
        (["--fail-on", "everything"], 2, "FAIL_ON must be some of broken, flagged, unverifiable"),
        (["--format", "yaml"], 2, "FORMAT must be one of text, json"),
        (["/nonexistent*.eml"], 2, "matches no file"),
        (["/"], 2, "is a folder"),
        (["https://a.example/", "--offline"], 2, "cannot be read with --offline"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_a_wrong_option_is_one_line_with_the_cure(arguments, code, says):
    done = await run(*arguments, stdin=b"hello")

    assert (done[0], done[1]) == (code, "")
    assert says in done[2]
    assert "Traceback" not in done[2]
    assert done[2].startswith("Usage:") or done[2].count("\n") == 1


async def test_a_cache_that_is_no_database_is_one_line(tmp_path):
    (tmp_path / "links.db").write_bytes(b"this is no database" * 100)

    code, _, err = await run("--cache", tmp_path / "links.db", stdin=b"hello")

    assert (code, err.count("\n")) == (2, 1)
    assert "it is made anew" in err


def test_a_missing_extra_is_one_line_that_names_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['aiodns'] = None\n")

    done = subprocess.run(
        [*COMMAND, "check", "-"], input=b"https://example.com", capture_output=True, timeout=HANG_S,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    err = done.stderr.decode()

    assert (done.returncode, err.count("\n")) == (2, 1)
    assert "pip install 'linkrouter[check]'" in err


async def test_progress_is_lines_on_standard_error_and_a_bar_on_a_terminal():
    async with site(status(200)) as (origin, _):
        mail = page(*(f"{origin}/{number}" for number in range(40)))
        _, out, err = await run(*ALLOW, stdin=mail)
        terminal, other = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "linkrouter", "check", *ALLOW),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=other,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
        os.close(other)
        shown, _ = await asyncio.wait_for(process.communicate(mail), 60)
        bar = os.read(terminal, 100_000).decode()
        os.close(terminal)

    assert err.splitlines() == [f"checked {number} of 40 links" for number in range(4, 41, 4)]
    assert shown.decode() == out
    assert "checking links" in bar


async def test_nothing_a_server_sends_reaches_the_terminal_as_it_is():
    location = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\x1b[2J\r\nContent-Length: 0\r\n\r\n"
    async with raw(answering(location)) as (origin, _):
        _, out, err = await run(*ALLOW, stdin=page(f"{origin}/\x1b[31m"))

    assert "\x1b" not in out + err
