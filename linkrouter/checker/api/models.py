"""What the check's API takes and gives.

Promise: the types here both check a request and describe it in the API document; nothing is coerced, and every text and
list has a limit.
"""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from linkrouter.checker.gate import GateAnswer
from linkrouter.checker.mail.content import CONTENT_TYPES, ContentType
from linkrouter.checker.verdict import OpinionAnswer, Verdict

__all__ = [
    "CHECK_RULES",
    "MAX_CHECKED_LINKS",
    "MAX_CHECK_BODY_BYTES",
    "MAX_MAIL_BYTES",
    "MAX_URL_CHARS",
    "CheckEnd",
    "CheckEventsQuery",
    "CheckInputRecord",
    "CheckProgress",
    "CheckQuery",
    "CheckRequest",
    "CheckResult",
    "CheckState",
    "FindingRecord",
    "GateRecord",
    "HopRecord",
    "LinkEvent",
    "LinkRecord",
    "OpinionRecord",
    "PlaceRecord",
]

MAX_MAIL_BYTES = 10 * 1024**2
MAX_CHECK_BODY_BYTES = 16 * 1024**2  # a mail of that size in base64, with some room
MAX_CHECKED_LINKS = 10_000
MAX_URL_CHARS = 8192

CHECK_RULES = {
    "author": "1 to 256 characters without control characters: whoever wrote the mail, by any name that stays the same",
    "fresh": "all, or findings: which links are asked anew though they were checked a while ago",
    "html": f"HTML of at most {MAX_MAIL_BYTES} characters",
    "feed": f"an RSS or Atom feed of at most {MAX_MAIL_BYTES} characters",
    "id": "the id of a check",
    "images": "true to check images, too",
    "last_event_id": "the id of the last event that was received",
    "markdown": f"Markdown of at most {MAX_MAIL_BYTES} characters",
    "message": f"a whole message (RFC 5322) of at most {MAX_MAIL_BYTES} bytes, in base64 with padding",
    "mjml": f"MJML of at most {MAX_MAIL_BYTES} characters",
    "text": f"plain text of at most {MAX_MAIL_BYTES} characters",
    "urls": f"a list of at most {MAX_CHECKED_LINKS} URLs of at most {MAX_URL_CHARS} characters",
}

_STRICT = ConfigDict(strict=True, extra="forbid")
_ONE_OF_THEM = ConfigDict(
    strict=True,
    extra="forbid",
    json_schema_extra={"oneOf": [{"required": [name]} for name in CONTENT_TYPES]},
)


class CheckRequest(TypedDict):
    """What is to be checked: exactly one of html, text, message, urls, markdown, mjml and feed."""

    __pydantic_config__ = _ONE_OF_THEM  # type: ignore[misc]
    html: NotRequired[Annotated[str, Field(max_length=MAX_MAIL_BYTES, description=CHECK_RULES["html"])]]
    text: NotRequired[Annotated[str, Field(max_length=MAX_MAIL_BYTES, description=CHECK_RULES["text"])]]
    message: NotRequired[
        Annotated[
            str,
            Field(
                max_length=MAX_MAIL_BYTES // 3 * 4 + 4,
                description=CHECK_RULES["message"],
                json_schema_extra={"contentEncoding": "base64"},
            ),
        ]
    ]
    urls: NotRequired[
        Annotated[
            list[Annotated[str, Field(max_length=MAX_URL_CHARS)]],
            Field(max_length=MAX_CHECKED_LINKS, description=CHECK_RULES["urls"]),
        ]
    ]
    markdown: NotRequired[Annotated[str, Field(max_length=MAX_MAIL_BYTES, description=CHECK_RULES["markdown"])]]
    mjml: NotRequired[Annotated[str, Field(max_length=MAX_MAIL_BYTES, description=CHECK_RULES["mjml"])]]
    feed: NotRequired[Annotated[str, Field(max_length=MAX_MAIL_BYTES, description=CHECK_RULES["feed"])]]
    images: NotRequired[Annotated[bool, Field(description=CHECK_RULES["images"])]]
    fresh: NotRequired[Annotated[Literal["all", "findings"], Field(description=CHECK_RULES["fresh"])]]
    author: NotRequired[Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,256}$", description=CHECK_RULES["author"])]]


class CheckQuery(TypedDict):
    """Which check is asked for."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    id: Annotated[str, Field(description=CHECK_RULES["id"])]


class CheckEventsQuery(CheckQuery):
    """Which check is followed, and from where on."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    last_event_id: NotRequired[Annotated[str, Field(pattern=r"^[0-9]{1,9}$", description=CHECK_RULES["last_event_id"])]]


CheckState = Annotated[
    Literal["running", "done", "failed"],
    Field(description="failed: it was cut short, and the links that wait were not checked"),
]


class PlaceRecord(TypedDict):
    """Where a link stands; `line` counts from 1 in the decoded part, `position` from 0 among its links."""

    part: Annotated[str, Field(description="html, text or headers of a mail, or the kind of what is no mail")]
    position: int
    line: int
    text: Annotated[str, Field(description="what a reader sees of it")]
    alt: NotRequired[Annotated[str | None, Field(description="of an image alone: its alternative text, null for none")]]


class HopRecord(TypedDict):
    """One request; its status is null when no answer came."""

    url: str
    method: str
    status: int | None
    note: str


class OpinionRecord(TypedDict):
    """What one reputation list says of one host or URL on the way."""

    source: str
    subject: str
    answer: OpinionAnswer
    lists: list[str]
    why: str


class LinkRecord(TypedDict):
    """All that is known of one link."""

    url: str
    verdict: Literal["waiting", Verdict]
    reason: str
    detail: str
    advice: Annotated[str, Field(description="what the author can do; empty when there is nothing to do")]
    method: str | None
    status: int | None
    final_url: str | None
    places: list[PlaceRecord]
    hops: Annotated[list[HopRecord], Field(description="the redirects, oldest first")]
    reputation: list[OpinionRecord]
    cached: bool
    checked_at: Annotated[str | None, Field(description="when what is cached was learnt, by your own checks")]
    complete: Annotated[bool, Field(description="false while the link, or a reputation list, has yet to answer")]


class FindingRecord(TypedDict):
    """A link, and what about it."""

    url: str
    why: str


class GateRecord(TypedDict):
    """Whether the mail may be sent, and what is in the way."""

    answer: GateAnswer
    blocks: list[FindingRecord]
    waits: list[FindingRecord]
    warnings: list[FindingRecord]


class CheckInputRecord(TypedDict):
    """What was checked: what it was taken for, and how many different links and images are in it."""

    name: Annotated[str, Field(description="- for what has none")]
    kind: ContentType
    links: int
    images: int


class CheckProgress(TypedDict):
    """How many of the links have their verdict."""

    done: int
    total: int


class CheckEnd(TypedDict):
    """How a check stands, without its links. `may_send` is true at the time of the answer, not for ever."""

    id: str
    state: CheckState
    progress: CheckProgress
    may_send: bool
    gate: GateRecord
    inputs: list[CheckInputRecord]


class CheckResult(CheckEnd):
    """How a check stands, with every link in the order of the mail, and every image where they were asked for."""

    links: list[LinkRecord]
    images: list[LinkRecord]


class LinkEvent(TypedDict):
    """The data of an event `link` or `image`: the verdict of what stands at *index* of `links` or `images`."""

    index: int
    link: LinkRecord
