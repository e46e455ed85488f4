import json
import logging
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from processes import HANG_S, wait_until

from linkrouter import Encoder, Keyring
from linkrouter.integrations.manifest import manifest_entry
from linkrouter.integrations.report_spool import ReportSpool
from linkrouter.integrations.reporting import CentralClient, Reporter

CANARY = "https://canary.example/secret-of-a-person"


def entry(number=1):
    return {"message_id": f"{number}@example.com", "sent_at": "2026-11-29T10:00:00Z", "links": [{"url": CANARY}]}


class Central:
    """An answer for each request, and what was asked."""

    def __init__(self, status=200):
        self.status, self.asked = status, []
        self.hold = threading.Event()
        self.hold.set()

    def __call__(self, request):
        self.hold.wait(10)
        if self.status == "away":
            raise httpx.ConnectError("away")
        self.asked.append(json.loads(request.content)["message_id"])
        if callable(self.status):
            return self.status(self.asked[-1])
        return httpx.Response(self.status, json={"stored": 1, "duplicates": 0})


@pytest.fixture
def central():
    return Central()


@pytest.fixture
def reporter(central, tmp_path):
    made = open_reporter(central, tmp_path / "spool")
    yield made
    central.hold.set()
    made.close(0.0)


def open_reporter(central, folder):
    return Reporter(CentralClient("http://central.test", "t" * 20, httpx.MockTransport(central)), folder)


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def test_a_report_reaches_central_and_leaves_nothing_behind(reporter, central, tmp_path):
    reporter.report(entry())

    assert reporter.flush(5)
    assert central.asked == ["1@example.com"]
    assert ReportSpool(tmp_path / "spool").is_empty()


def test_a_report_never_waits_for_central_and_is_on_disk_at_once(reporter, central, tmp_path):
    central.hold.clear()

    for number in range(50):
        reporter.report(entry(number))

    kept = [line for name in ("waiting", "sending") for line in lines(tmp_path / "spool" / f"{name}.jsonl")]
    assert len(kept) == 50
    assert central.asked == []


def test_what_central_missed_is_sent_with_the_next_report_of_another_process(reporter, central, tmp_path):
    central.status = "away"
    reporter.report(entry(1))
    wait_until(lambda: reporter.last_answer)
    reporter.close(0.0)
    central.status = 200

    other = open_reporter(central, tmp_path / "spool")
    other.report(entry(2))

    assert other.flush(5)
    assert central.asked == ["1@example.com", "2@example.com"]
    other.close()


def test_central_is_tried_again_without_another_report(reporter, central):
    central.status = "away"
    reporter.report(entry())
    wait_until(lambda: reporter.last_answer)

    central.status = 200

    wait_until(lambda: central.asked)
    assert reporter.flush(5)


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_what_central_refuses_for_good_is_set_aside_and_holds_up_nothing(reporter, central, tmp_path, status):
    central.status = lambda name: httpx.Response(
        status if name == "1@example.com" else 200, json={"stored": 1, "duplicates": 0}
    )

    reporter.report(entry(1))
    reporter.report(entry(2))

    assert reporter.flush(5)
    [letter] = map(json.loads, lines(tmp_path / "spool" / "dead-letters.jsonl"))
    assert letter["reason"] == str(status)
    assert json.loads(letter["report"]) == entry(1)
    assert central.asked == ["1@example.com", "2@example.com"]


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 500, 503])
def test_what_central_does_not_take_now_is_kept(reporter, central, tmp_path, status):
    central.status = status

    reporter.report(entry())
    wait_until(lambda: reporter.last_answer)
    reporter.close(0.0)

    kept = lines(tmp_path / "spool" / "sending.jsonl")
    assert [json.loads(line) for line in kept] == [entry()]


def test_an_answer_that_is_no_receipt_takes_nothing(reporter, central, tmp_path):
    central.status = lambda _: httpx.Response(200, text="<html>Please sign in</html>")

    reporter.report(entry())
    wait_until(lambda: reporter.last_answer)
    reporter.close(0.0)

    assert reporter.last_answer.reason == "garbage"
    assert len(lines(tmp_path / "spool" / "sending.jsonl")) == 1


def test_a_batch_that_was_cut_short_goes_on_where_it_stood(tmp_path):
    spool = ReportSpool(tmp_path)
    for number in range(5):
        spool.append(b"%d" % number)
    sent = []

    def three(line):
        sent.append(line)
        return len(sent) <= 3

    with spool.lease() as leased:
        assert leased
        assert not spool.send_all(three)
    with spool.lease():
        assert spool.send_all(lambda line: sent.append(line) or True)

    assert sent == [b"0", b"1", b"2", b"3", b"3", b"4"]


def test_a_full_spool_takes_no_more_and_loses_nothing_it_has(tmp_path):
    spool = ReportSpool(tmp_path, max_bytes=100)
    spool.append(b"x" * 60)

    with pytest.raises(OSError, match="at its limit"):
        spool.append(b"y" * 60)

    assert lines(tmp_path / "waiting.jsonl") == ["x" * 60]


def test_reports_wait_in_memory_where_the_folder_cannot_be_written(central, tmp_path, caplog):
    (tmp_path / "file").touch()
    reporter = open_reporter(central, tmp_path / "file" / "spool")

    reporter.report(entry())

    assert reporter.flush(5)
    assert central.asked == ["1@example.com"]
    assert "report.not_kept" in caplog.messages
    reporter.close()


def test_the_spool_is_for_its_owner_alone(reporter, central, tmp_path):
    central.status = 422
    reporter.report(entry())
    assert reporter.flush(5)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool").iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700


def test_no_log_line_holds_a_link_or_the_token(reporter, central, caplog):
    caplog.set_level(logging.DEBUG)

    for status in (422, "away", 401, 200):
        central.status = status
        reporter.report(entry())
        wait_until(lambda: reporter.last_answer)
    reporter.flush(5)

    assert "canary" not in caplog.text + repr(reporter.last_answer)
    assert "tttt" not in caplog.text + repr(CentralClient("http://central.test", "t" * 20))


WRITER = """
import sys
from pathlib import Path
from linkrouter.integrations.report_spool import ReportSpool
spool = ReportSpool(Path(sys.argv[1]))
for number in range(200):
    spool.append(b"%s-%d" % (sys.argv[2].encode(), number))
"""


def test_processes_that_write_at_once_lose_and_mix_no_line(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, name]) for name in "ab"]
    spool, sent = ReportSpool(tmp_path), []
    while any(writer.poll() is None for writer in writers) or not spool.is_empty():
        with spool.lease() as leased:
            if leased:
                spool.send_all(lambda line: sent.append(line.decode()) or True)

    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(sent) == sorted(f"{name}-{number}" for name in "ab" for number in range(200))


def test_only_one_process_sends_at_a_time(tmp_path):
    spool = ReportSpool(tmp_path)
    spool.append(b"1")

    with spool.lease() as first, ReportSpool(tmp_path).lease() as second:
        assert (first, second) == (True, False)


SENDER = """
import sys
from pathlib import Path
from linkrouter.integrations.reporting import CentralClient, shared_reporter
central = CentralClient(sys.argv[1], "t" * 20)
shared_reporter(central, Path(sys.argv[2])).report({"message_id": "killed", "links": []})
if sys.argv[3] == "fork":
    import os
    if os.fork() == 0:
        shared_reporter(central, Path(sys.argv[2])).report({"message_id": "child", "links": []})
    else:
        os.wait()
else:
    import os
    os._exit(0)
"""


@pytest.mark.parametrize(("how", "kept"), [("die", ["killed"]), ("fork", ["child", "killed"])])
def test_a_process_that_ends_at_once_keeps_its_reports(tmp_path, how, kept):
    subprocess.run([sys.executable, "-c", SENDER, "http://127.0.0.1:1", tmp_path, how], check=True, timeout=HANG_S)

    found = [json.loads(line) for name in ("waiting", "sending") for line in lines(tmp_path / f"{name}.jsonl")]
    assert sorted(one["message_id"] for one in found) == kept


@pytest.mark.slow
def test_central_takes_what_is_reported_and_the_same_again(home):
    home.start_central()
    token = (home.path / "api-token").read_text()
    done = Encoder("https://click.example.com", Keyring.load(home.path / "keys.json")).rewrite_html(
        '<a href="https://example.org/">x</a>'
    )
    odd = manifest_entry(
        done.links,
        "<odd\r\n@example.com>",
        "x" * 999,
        "tag\n" + "x" * 999,
        message_key=done.message_key,
        metadata={"name\n" + "x" * 99: 7, "": "left out", **{str(number): "\udcff\0" * 2000 for number in range(99)}},
    )
    reporter = Reporter(CentralClient(f"http://127.0.0.1:{home.central_port}/", token), home.path / "spool")

    reporter.report(odd)
    reporter.report(odd)

    assert reporter.flush(10)
    assert reporter.last_answer.outcome == "taken"
    assert not os.path.exists(home.path / "spool" / "dead-letters.jsonl")
    [found] = home.ask_central("/v1/messages")["messages"]
    assert found["message_id"] == "odd @example.com"
    reporter.close()


def test_the_manifest_of_a_recipient_who_is_counted_only_does_not_say_who_that_is():
    entry = manifest_entry((), "1@example.com", "a@example.com", "news", metadata={"user": 7}, count_only=True)

    assert set(entry) == {"message_id", "sent_at", "links", "tag"}


def test_the_folder_may_be_anywhere_that_can_be_made(central, tmp_path):
    reporter = open_reporter(central, Path(tmp_path, "a", "b"))

    reporter.report(entry())

    assert reporter.flush(5)
    reporter.close()
