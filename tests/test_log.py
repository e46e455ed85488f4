"""What a log line may hold."""

import io
import json
import logging
import os
import sys
from contextlib import contextmanager

import pytest

from linkrouter.log import log, start_logging
from linkrouter.settings import is_journal


@contextmanager
def restored_logging():
    root = logging.getLogger()
    before, level, hook = root.handlers[:], root.level, sys.excepthook
    yield
    root.handlers[:], sys.excepthook = before, hook
    root.setLevel(level)
    logging.getLogger("linkrouter").setLevel(logging.NOTSET)
    logging.captureWarnings(False)


@pytest.fixture
def written():
    """The log of this process, as a stream."""
    stream = io.StringIO()
    with restored_logging():
        start_logging(stream)
        yield stream


@pytest.mark.parametrize(
    ("event", "priority"),
    [("keyring.kept", "<3>"), ("sync.retry", "<4>"), ("router.started", "<6>")],
)
def test_the_journal_reads_a_priority_before_each_line(event, priority):
    stream = io.StringIO()
    with restored_logging():
        start_logging(stream, journal=True)
        log(event)

    assert stream.getvalue().startswith(priority + "{")
    assert json.loads(stream.getvalue()[3:])["event"] == event


@pytest.mark.parametrize(("stream", "journal"), [("{st_dev}:{st_ino}", True), ("{st_dev}:1", False), ("", False)])
def test_the_journal_is_known_by_its_device_and_inode(tmp_path, stream, journal):
    with (tmp_path / "log").open("w") as file:
        seen = os.fstat(file.fileno())
        named = stream.format(st_dev=seen.st_dev, st_ino=seen.st_ino)

        assert is_journal(file.fileno(), {"JOURNAL_STREAM": named}) is journal


@pytest.mark.parametrize(
    "text",
    [
        "203.0.113.7",
        "2001:db8::7",
        "fe80::1",
        "::1",
        "reader@example.net",
        "https://example.com/secret",
        "example.com",
        "click.example.com:8080",
        "/2s/abc",
        "Mozilla/5.0 (X11; Linux x86_64)",
        "Thunderbird 128",
        "line\nbreak",
        "1:sign 203.0.113.7",
    ],
)
def test_text_that_could_be_a_recipients_or_a_link_is_not_written(written, text):
    log("task.failed", task=text)

    assert json.loads(written.getvalue())["task"] == "?"


@pytest.mark.parametrize(
    "value",
    [
        "append",
        "StoreFull",
        "No space left on device",
        "503",
        "disk_full",
        "1:sign 2:verify 3:revoked",
        7,
        0.5,
        None,
        "",
    ],
)
def test_numbers_words_and_keys_are_written(written, value):
    log("task.failed", task=value)

    assert json.loads(written.getvalue())["task"] == value


def test_an_exception_is_its_class_and_its_line(written):
    try:
        int("203.0.113.7")
    except ValueError as exc:
        sys.excepthook(type(exc), exc, None)

    line = json.loads(written.getvalue())
    assert line["exception"] == "ValueError"
    assert line["raised_at"].rpartition(":")[0].endswith("test_log")
    assert "203" not in written.getvalue()
