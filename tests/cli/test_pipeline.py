"""The whole way, with real processes: a mail, its links, a router, the centre, and everything that fails between."""

import email
import json
import os
import re
import signal
from pathlib import Path

import pytest
from processes import children, fetch, free_port, room, wait_until

MAIL = b"""From: a@example.com\r
To: b@example.net\r
Message-ID: <m1@example.com>\r
MIME-Version: 1.0\r
Content-Type: multipart/alternative; boundary=x\r
\r
--x\r
Content-Type: text/plain; charset=utf-8\r
\r
Read https://example.com/text?a=1&b=2 now.\r
--x\r
Content-Type: text/html; charset=utf-8\r
\r
<p><a href="https://example.com/html?a=1&amp;b=2">Read</a> <a href="https://example.org/">more</a></p>\r
--x--\r
"""


LINK = re.compile(rb"http://127\.0\.0\.1:\d+(/2s?/[A-Za-z0-9._~:@/%-]*/[\w-]{15})(?![\w-])")


def encode(home, mail, port, *options):
    """Rewrite *mail* and give the paths of its tracked links, as a mail client would find them."""
    done = home.run("encode", "--keys", "keys.json", "--base-url", f"http://127.0.0.1:{port}", *options, stdin=mail)
    parts = email.message_from_bytes(done.stdout).walk()
    content = b"\n".join(part.get_payload(decode=True) or b"" for part in parts if not part.is_multipart())
    return LINK.findall(content)


def click_all(port, paths):
    """Follow every link once and give where each led."""
    answers = [fetch(f"http://127.0.0.1:{port}{path.decode()}") for path in paths]
    assert {status for status, _, _ in answers} == {302}
    return [headers["Location"] for _, headers, _ in answers]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_click_is_lost_or_counted_twice_while_everything_dies(home, workers):
    port = free_port()
    paths = encode(home, MAIL, port)
    first = home.start_router(port, "--workers", workers)
    assert sorted(click_all(port, paths)) == [
        "https://example.com/html?a=1&b=2",
        "https://example.com/text?a=1&b=2",
        "https://example.org",
    ]
    status = wait_until(lambda: spooled(home, len(paths)))
    assert status["pending"] == len(paths)

    first.kill()
    first.wait()
    second_port = free_port()
    home.start_router(second_port, "--workers", workers)
    click_all(second_port, paths)
    home.start_central()
    counted = wait_until(lambda: home.ask_central("/v1/stats/clicks?robots=include")["total"] == 2 * len(paths), 30)

    assert counted
    stats = home.ask_central("/v1/stats/clicks?robots=include")
    assert (stats["unique"], stats["by_part"]) == (len(paths), {"html": 4, "text": 2})
    ids = [click["id"] for click in home.ask_central("/v1/clicks?limit=100")["clicks"]]
    assert len(ids) == len(set(ids)) == 2 * len(paths)
    wait_until(lambda: spooled(home, 0))


def spooled(home, count):
    status = json.loads(home.run("spool", "status", "sqlite:///spool", "--json").stdout)
    return status if status["pending"] == count else None


def test_real_mail_is_rewritten_clicked_and_counted(home, corpus):
    port = free_port()
    home.start_router(port)
    home.start_central()
    mails = sorted((corpus / "messages" / "composed").glob("*.eml"))
    clicked = 0

    for mail in mails:
        paths = encode(home, mail.read_bytes(), port, "--manifest", "sent.jsonl")
        clicked += len(click_all(port, paths)) if paths else 0

    for line in (home.path / "sent.jsonl").read_text().splitlines():
        token = (home.path / "api-token").read_text()
        status, _, body = fetch(
            f"http://127.0.0.1:{home.central_port}/v1/messages",
            method="POST",
            body=line.encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        assert status in (200, 201), body
    assert clicked > 50
    wait_until(lambda: home.ask_central("/v1/stats/clicks?robots=include")["total"] == clicked, 30)


def test_a_stopped_router_has_sent_or_kept_every_click(home):
    port = free_port()
    paths = encode(home, MAIL, port)
    router = home.start_router(port)
    click_all(port, paths)

    router.send_signal(signal.SIGTERM)

    assert router.wait(10 * room()) == 0
    assert spooled(home, len(paths))


def test_keys_are_read_again_and_a_bad_file_keeps_the_old_ones(home):
    port = free_port()
    old_paths = encode(home, MAIL, port)
    router = home.start_router(port)
    home.run("keys", "rotate", "keys.json")
    new_paths = encode(home, MAIL, port)
    assert fetch(f"http://127.0.0.1:{port}{new_paths[0].decode()}")[0] == 404

    router.send_signal(signal.SIGHUP)
    wait_until(lambda: fetch(f"http://127.0.0.1:{port}{new_paths[0].decode()}")[0] == 302)
    router.send_signal(signal.SIGHUP)
    wait_until(lambda: '"keyring.unchanged"' in home.log())
    (home.path / "keys.json").write_text("")
    router.send_signal(signal.SIGHUP)
    wait_until(lambda: "keyring.kept" in home.log())

    assert len(click_all(port, [*old_paths, *new_paths])) == len(old_paths) + len(new_paths)
    metrics = fetch(f"http://127.0.0.1:{router.admin_port}/metrics")[2].decode()
    assert 'linkrouter_key_info{key_id="1",state="verify"} 1.0' in metrics
    assert 'linkrouter_key_info{key_id="2",state="sign"} 1.0' in metrics
    events = [json.loads(line) for line in home.log().splitlines()]
    said = {line["event"]: line["keys"] for line in events if "keys" in line}
    assert said == {
        "router.started": "1:sign",
        "keyring.loaded": "1:verify 2:sign",
        "keyring.unchanged": "1:verify 2:sign",
        "keyring.kept": "1:verify 2:sign",
    }


def test_a_revoked_key_is_dead_and_a_removed_one_is_gone(home):
    port = free_port()
    paths = encode(home, MAIL, port)
    router = home.start_router(port)
    home.run("keys", "rotate", "keys.json")

    home.run("keys", "revoke", "keys.json", "1")
    router.send_signal(signal.SIGHUP)
    wait_until(lambda: fetch(f"http://127.0.0.1:{port}{paths[0].decode()}")[0] == 404)
    home.run("keys", "remove", "keys.json", "1")
    router.send_signal(signal.SIGHUP)

    def metrics():
        return fetch(f"http://127.0.0.1:{router.admin_port}/metrics")[2].decode()

    wait_until(lambda: 'key_id="1"' not in metrics())
    assert 'linkrouter_key_info{key_id="2",state="sign"} 1.0' in metrics()


def test_a_new_token_is_used_after_a_reload(home):
    home.start_central()
    good = (home.path / "ingest-token").read_text()
    (home.path / "ingest-token").write_text("w" * 32)
    port = free_port()
    paths = encode(home, MAIL, port)
    router = home.start_router(port)
    click_all(port, paths)
    wait_until(lambda: "sync.refused" in home.log())

    (home.path / "ingest-token").write_text(good)
    router.send_signal(signal.SIGHUP)

    wait_until(lambda: len(home.ask_central("/v1/clicks")["clicks"]) >= len(paths))
    assert "tokens.loaded" in home.log()


def catches_hangups(pid) -> bool:
    caught = re.search(r"^SigCgt:\t([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught[1], 16) & 1 << signal.SIGHUP - 1)


@pytest.mark.parametrize("service", ["router", "central"])
def test_a_hangup_while_a_service_starts_is_remembered(home, service):
    port = free_port()
    process = home.start_router(port, wait=False) if service == "router" else home.start_central(wait=False)
    wait_until(lambda: catches_hangups(process.pid))

    process.send_signal(signal.SIGHUP)

    wait_until(lambda: home.answers(port if service == "router" else home.central_port, "/-/ready"))
    wait_until(lambda: ("keyring.unchanged" if service == "router" else "tokens.loaded") in home.log())


def test_a_worker_that_dies_is_replaced_and_all_stop_together(home):
    port = free_port()
    paths = encode(home, MAIL, port)
    supervisor = home.start_router(port, "--workers", "2")
    workers = children(supervisor.pid)
    assert len(workers) == 2

    os.kill(workers[0], signal.SIGKILL)
    wait_until(lambda: len(children(supervisor.pid)) == 2 and workers[0] not in children(supervisor.pid))
    wait_until(lambda: fetch(f"http://127.0.0.1:{supervisor.admin_port}/metrics")[0] == 200)
    click_all(port, paths)
    workers = children(supervisor.pid)
    supervisor.kill()
    supervisor.wait()

    wait_until(lambda: not any(alive(worker) for worker in workers))


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_metrics_count_requests_and_name_no_link(home):
    port = free_port()
    paths = encode(home, MAIL, port)
    router = home.start_router(port)
    click_all(port, paths)
    fetch(f"http://127.0.0.1:{port}/2s/example.com/forged")

    text = wait_until(lambda: metrics_with(router, 'linkrouter_clicks_recorded_total{kind="click"} 3.0'))

    assert 'linkrouter_requests_total{outcome="redirect"} 3.0' in text
    assert 'linkrouter_requests_total{outcome="not_found"} 1.0' in text
    assert "example" not in text
    assert fetch(f"http://127.0.0.1:{port}/metrics")[0] == 404


def metrics_with(router, line):
    text = fetch(f"http://127.0.0.1:{router.admin_port}/metrics")[2].decode()
    return text if line in text else None
