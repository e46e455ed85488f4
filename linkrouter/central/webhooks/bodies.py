"""What an event looks like on its way: our own shape, and those that receivers of Postmark and Mailgun read.

Promise: of whom did not agree nothing is told that points to a person. A body is made from what is kept at that moment.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pydantic_core import to_json

from linkrouter.central.clicks import click_record
from linkrouter.central.postmark.clicks import postmark_click
from linkrouter.central.postmark.queries import country_names
from linkrouter.central.store.records import FoundClick
from linkrouter.central.store.webhooks import ClickEvent, Endpoint, EventKey, OutboxEvent, WatchedEvent
from linkrouter.central.watch.routes import WatchApi
from linkrouter.clicks.click import Click, iso_utc
from linkrouter.units import SECOND_US

__all__ = ["DIALECTS", "EVENT_TYPES", "event_id_of", "event_type_of", "sample_event", "write_body"]

EVENT_TYPES = (
    *("link.clicked", "link.relabelled", "takeback.applied"),
    *("link.broken", "link.flagged", "link.recovered"),
)
MAX_BODY_BYTES = 20_000  # as Standard Webhooks advises; what is longer goes without its metadata
TOKEN_CHARS = 50
SAMPLE_TYPE = "webhook.test"
SAMPLE_LOG_NUMBER = 0  # of no event


def event_id_of(event: OutboxEvent) -> str:
    """Give the id of *event*, for life: the click's own, and the number of the change behind it where that is one."""
    if isinstance(event, WatchedEvent):
        return event.found.id
    click_id = event.found.click.id
    return click_id if event.key.log == "click" else f"{click_id}:{event.key.number}"


def event_type_of(event: OutboxEvent, endpoint: Endpoint) -> str:
    """Give what *event* is to *endpoint*: of a click one event is sent, and it says that it was turned if it was."""
    if isinstance(event, WatchedEvent):
        return event.found.type
    if event.key.number == SAMPLE_LOG_NUMBER:
        return SAMPLE_TYPE
    if event.key.log == "relabelled":
        return "link.relabelled"
    turned = event.found.click.takeback is not None and "takeback.applied" in endpoint.types
    return "takeback.applied" if turned else "link.clicked"


def write_body(event: OutboxEvent, endpoint: Endpoint, at_s: int, watch: WatchApi) -> bytes:
    """Write *event* for an attempt at *at_s* seconds since the epoch; *watch* tells of destinations."""
    if isinstance(event, WatchedEvent):
        data = watch.event(event.found)
        return to_json({"type": event.found.type, "timestamp": data["at"], "data": data})
    return to_json(DIALECTS[endpoint.dialect](event, endpoint, at_s))


def _standard(event: ClickEvent, endpoint: Endpoint, _: int) -> dict[str, Any]:
    data: dict[str, Any] = {**click_record(event.found), "metadata": event.metadata}
    if _is_counted_only(event.found):
        data |= {"recipient": None, "message_id": None, "metadata": {}}
    if event.was is not None:
        data["was"] = event.was
    body = {
        "type": event_type_of(event, endpoint),
        "timestamp": iso_utc(event.at or event.found.click.clicked_at),
        "data": data,
    }
    if data["metadata"] and len(to_json(body)) > MAX_BODY_BYTES:
        data["metadata"] = {}
    return body


def _is_counted_only(found: FoundClick) -> bool:
    return found.click.ip is None and found.click.user_agent is None


def _postmark(event: ClickEvent, _: Endpoint, __: int) -> Mapping[str, Any]:
    return {**postmark_click(event.found, _countries()), "Metadata": event.metadata}


@cache
def _countries() -> dict[str, str]:
    return country_names()


def _mailgun(event: ClickEvent, endpoint: Endpoint, at_s: int) -> dict[str, Any]:
    found, click, own = event.found, event.found.click, click_record(event.found)
    # The same over retries: receivers know an event by it.
    token = hashlib.sha256(event_id_of(event).encode()).hexdigest()[:TOKEN_CHARS]
    signature = hmac.new(endpoint.secret.encode(), f"{at_s}{token}".encode(), hashlib.sha256).hexdigest()
    recipient, agent, place = found.recipient or "", own["agent"], own["place"]
    return {
        "signature": {"timestamp": str(at_s), "token": token, "signature": signature},
        "event-data": {
            "event": "clicked",
            "id": click.id,
            "timestamp": click.clicked_at / SECOND_US,
            "log-level": "info",
            "recipient": recipient,
            "recipient-domain": recipient.rpartition("@")[2],
            "url": found.url or "",
            "ip": click.ip or "",
            "geolocation": {"country": place["country"], "region": place["region"], "city": place["city"]},
            "client-info": {
                "client-type": "robot" if own["robot"]["label"] == "machine" else "browser",
                "client-os": agent["os"],
                "device-type": agent["platform"],
                "client-name": agent["browser"],
                "user-agent": click.user_agent or "",
                "bot": " ".join(own["robot"]["reasons"]) if own["robot"]["label"] == "machine" else "",
            },
            "tags": [found.tag] if found.tag else [],
            "user-variables": event.metadata,
            "campaigns": [],
            "flags": {},
            "message": {"headers": {"message-id": (found.message_id or "").strip("<>")}},
        },
    }


DIALECTS: dict[str, Callable[[ClickEvent, Endpoint, int], Mapping[str, Any]]] = {
    "standard": _standard,
    "postmark": _postmark,
    "mailgun": _mailgun,
}


def sample_event(event_id: str, now_us: int) -> ClickEvent:
    """Make a click that nobody made, to try an endpoint with."""
    click = Click(event_id, "-----w", 0, "html", now_us, "192.0.2.1", "Mozilla/5.0", "click")
    found = FoundClick(click, "test@example.com", "test@example.com", "test", "https://example.com/")
    return ClickEvent(EventKey("click", SAMPLE_LOG_NUMBER), found, {"test": "1"})
