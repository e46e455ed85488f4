"""What each of our processes tells a real scrape, after it has done a little of its work."""

import base64
import contextlib
import json
import re
import shutil
import smtplib
import subprocess

import pytest
from haproxy.machine import make_certificate
from processes import fetch, free_port, make_home, wait_until

from linkrouter.metrics import METRICS
from linkrouter.metrics.process import PROCESS_METRICS

pytest.importorskip("aiosmtpd", reason="the extra smtp is not installed")

from aiosmtpd.controller import Controller

# An address that the check does not connect to, so that nothing leaves this machine.
MAIL = b"Subject: x\r\nMessage-ID: <m@example.com>\r\n\r\nhttp://10.0.0.1/a\r\n"
ONCE_LOST = {"linkrouter_central_lost_clicks", "linkrouter_spool_clicks_lost"}  # told when there is something to tell
PROCESSES = ("central", "encoder", "relay", "router")


class NextHop:
    """A mail server that takes all."""

    async def handle_DATA(self, *_):
        return "250 taken"


@pytest.fixture(scope="module")
def scrapes(tmp_path_factory):
    """The metrics of each process, as text."""
    home = make_home(tmp_path_factory.mktemp("home"))
    port = {name: free_port() for name in PROCESSES}
    admin = {name: free_port() for name in PROCESSES}
    certificate = make_certificate(home.path, "relay.example.com")
    (home.path / "domains.toml").write_text("[domains]\n")
    central = ("--central-url", f"http://127.0.0.1:{home.central_port}", "--central-token-file", "api-token")
    hop = Controller(NextHop(), hostname="127.0.0.1", port=free_port())
    hop.start()

    def start(name, *options):
        listen = ("--listen", f"127.0.0.1:{port[name]}", "--admin-listen", f"127.0.0.1:{admin[name]}")
        home.start(name, "--keys", "keys.json", "--base-url", "https://click.example.com", *central, *listen, *options)

    try:
        home.start_central("--admin-listen", f"127.0.0.1:{admin['central']}", "--watch-days", "1", wait=False)
        home.start_router(port["router"], "--admin-listen", f"127.0.0.1:{admin['router']}", "--domains", "domains.toml")
        start("relay", "--next-hop", f"127.0.0.1:{hop.port}", "--tls-cert", certificate, "--gate", "warn")
        start("encoder", "--token-file", "api-token", "--spool", "encoder")
        wait_until(lambda: home.answers(home.central_port, "/-/ready") and home.answers(port["encoder"], "/-/ready"))
        use(home, port)
        texts = {name: wait_until(lambda at=at: settled(at), 25) for name, at in admin.items()}
    finally:
        hop.stop()
        home.end()
    return texts


def use(home, port):
    """Have a mail rewritten, its link followed, its links checked, and another one relayed."""
    token = (home.path / "api-token").read_text().strip()

    def post(url, **body):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        status, _, answer = fetch(url, method="POST", headers=headers, body=json.dumps(body).encode(), timeout=30)
        assert status < 300, answer
        return answer

    rewrite = f"http://127.0.0.1:{port['encoder']}/v1/rewrite"
    mail = base64.b64decode(json.loads(post(rewrite, message=base64.b64encode(MAIL).decode()))["message"])
    path = re.search(rb"https://click\.example\.com(/\S+)", mail)[1].decode()
    assert fetch(f"http://127.0.0.1:{port['router']}{path}")[0] == 302
    post(f"http://127.0.0.1:{home.central_port}/v1/checks", text="http://10.0.0.1/a")

    def relayed():
        with contextlib.closing(smtplib.SMTP("127.0.0.1", port["relay"], timeout=30)) as sender:
            return sender.sendmail("a@example.com", ["b@example.com"], MAIL.replace(b"m@", b"n@")) == {}

    wait_until(relayed)


def settled(port):
    """Give the metrics at *port* once what is looked at every few seconds has been looked at."""
    text = fetch(f"http://127.0.0.1:{port}/metrics")[2].decode()
    waits = ("takebacks_age", "spool_pending") if "linkrouter_sync_batches_total{" in text else ()
    waits += ("newest_click",) if 'process="central"' in text else ()
    return text if all(name in text for name in waits) else None


def names_in(text):
    """Give the names of the metrics in *text*, as `METRICS` has them."""
    return {name.removesuffix("_total") for name in re.findall(r"(?m)^# TYPE (\w+) ", text)}


@pytest.mark.parametrize("process", PROCESSES)
def test_promtool_has_nothing_to_say(scrapes, process):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed; run: apt-get install prometheus")

    done = subprocess.run(["promtool", "check", "metrics"], input=scrapes[process], capture_output=True, text=True)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_tells_what_it_is_and_what_it_uses(scrapes, process):
    assert f'process="{process}"' in scrapes[process]
    assert set(PROCESS_METRICS) | {"linkrouter_loop_lag_seconds"} <= names_in(scrapes[process])


def test_every_metric_that_has_a_name_is_told_by_a_process(scrapes):
    told = set.union(*map(names_in, scrapes.values()))

    assert set(METRICS) - told == ONCE_LOST


def test_they_tell_what_was_done(scrapes):
    for process, line in [
        ("router", 'linkrouter_requests_total{outcome="redirect"} 1.0'),
        ("encoder", 'linkrouter_mails_rewritten_total{result="tracked"} 1.0'),
        ("relay", 'linkrouter_mail_seconds_count{result="taken"} 1.0'),
        ("relay", "linkrouter_gate_seconds_count 1.0"),
        ("central", 'linkrouter_central_request_seconds_count{operation="addClicks"}'),
        ("central", "linkrouter_check_seconds_count"),
    ]:
        assert line in scrapes[process]
    assert not re.search("10[.]0[.]0[.]1|example", "".join(scrapes.values()))
