"""The manifest of one sent mail: what `POST /v1/messages` takes.

Promise: central takes it whatever the sender's tag, recipient and metadata hold, since what does not fit is shortened
or left out. Of a recipient who is only counted it says neither who that is nor what the sender knows of them.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from linkrouter.encoder import TrackedLink
from linkrouter.encoder.report import printable
from linkrouter.link.codec import encode_base64url

__all__ = ["manifest_entry"]

MAX_MESSAGE_ID_CHARS = 998
MAX_RECIPIENT_CHARS = 320
MAX_TAG_CHARS = 256
MAX_METADATA_NAMES = 50
MAX_NAME_CHARS, MAX_TEXT_CHARS = 64, 1024

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")


def manifest_entry(
    links: Iterable[TrackedLink],
    message_id: str,
    recipient: str | None = None,
    tag: str | None = None,
    tenant: int = 0,
    *,
    message_key: bytes = b"",
    metadata: Mapping[str, object] | None = None,
    count_only: bool = False,
) -> dict[str, object]:
    """Return what `POST /v1/messages` takes for one message sent now; a *message_id* loses its angle brackets."""
    entry: dict[str, object] = {
        "message_id": _line(message_id.strip().removeprefix("<").removesuffix(">"), MAX_MESSAGE_ID_CHARS),
        "sent_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "links": [_link_entry(link) for link in links],
    }
    optional = {
        "message_key": encode_base64url(message_key),
        "recipient": None if count_only else _line(recipient or "", MAX_RECIPIENT_CHARS),
        "tag": _line(tag or "", MAX_TAG_CHARS),
        "tenant": tenant,
        "metadata": None if count_only else _metadata(metadata or {}),
    }
    return entry | {name: value for name, value in optional.items() if value}


def _link_entry(link: TrackedLink) -> dict[str, object]:
    entry: dict[str, object] = {
        "link_id": link.link_id,
        "url": link.url,
        "part": link.part,
        "position": link.position,
    }
    return entry | {"trap": True} if link.trap else entry


def _metadata(metadata: Mapping[str, object]) -> dict[str, str]:
    names = [(_line(str(name), MAX_NAME_CHARS), value) for name, value in metadata.items()]
    kept = [(name, printable(str(value)).replace("\0", "")[:MAX_TEXT_CHARS]) for name, value in names if name]
    return dict(kept[:MAX_METADATA_NAMES])


def _line(text: str, most: int) -> str:
    return _CONTROLS.sub(" ", printable(text))[:most].strip()
