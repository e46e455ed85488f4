"""Streams of events: what a listener gets, also when it goes wrong half-way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from processes import HANG_S
from typing_extensions import TypedDict

from linkrouter.settings import Address
from linkrouter.web.routes import Route
from linkrouter.web.server import create_app, serving
from linkrouter.web.tokens import Tokens

CANARY = "canary7f3a"


class Line(TypedDict):
    text: str


def answering(*events: Any):
    """Give an answer whose stream is *events*; an exception among them is raised."""

    async def stream() -> AsyncIterator[Any]:
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield event

    async def answer(_asked, _caller):
        """Stream."""
        return stream()

    return answer


async def listen(folder, answer) -> httpx.Response:
    route = Route(operation="follow", method="GET", path="/stream", scope=None, gives=Line, streams=True, answer=answer)
    app = create_app(Tokens.of((), ()), [route])
    async with (
        serving(app, Address("127.0.0.1", 0)) as port,
        httpx.AsyncClient(trust_env=False, verify=False, timeout=HANG_S) as client,
    ):
        return await client.get(f"http://127.0.0.1:{port}/stream")


async def test_events_are_written_as_browsers_read_them(tmp_path):
    answer = await listen(tmp_path, answering((1, "line", {"text": "a\nb"}), None, (2, "end", {"text": "ü"})))

    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.text == (
        'id: 1\nevent: line\ndata: {"text":"a\\nb"}\n\n:\n\nid: 2\nevent: end\ndata: {"text":"ü"}\n\n'
    )


@pytest.mark.parametrize(
    "fault", [ValueError(CANARY), asyncio.QueueFull(CANARY)], ids=lambda fault: type(fault).__name__
)
async def test_a_fault_half_way_ends_the_stream_and_is_logged_without_its_words(tmp_path, caplog, fault):
    answer = await listen(tmp_path, answering((1, "line", {"text": "a"}), fault, (2, "end", {"text": "b"})))

    assert answer.text == 'id: 1\nevent: line\ndata: {"text":"a"}\n\n'
    assert [record.message for record in caplog.records] == ["task.failed"]
    assert caplog.records[0].fields["exception"] == type(fault).__name__
    assert CANARY not in caplog.text
