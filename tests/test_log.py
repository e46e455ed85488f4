"""What a log line may hold."""

import io
import json
import logging
import sys

import pytest

from linkrouter.log import log, start_logging


@pytest.fixture
def written():
    """The log of this process, as a stream."""
    root = logging.getLogger()
    before, level, hook = root.handlers[:], root.level, sys.excepthook
    stream = io.StringIO()
    start_logging(stream)
    yield stream
    root.handlers[:], sys.excepthook = before, hook
    root.setLevel(level)
    logging.getLogger("linkrouter").setLevel(logging.NOTSET)
    logging.captureWarnings(False)


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
