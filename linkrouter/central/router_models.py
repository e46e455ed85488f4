"""What routers say of themselves, and how central tells it.

Promise: a report may say more than this central knows, which is then passed over: the clicks that came with it are
worth more than what it says. What a router does not say is null.
"""

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from linkrouter.central import fields
from linkrouter.central.fields import about
from linkrouter.link.keyfile import MAX_KEYS

__all__ = [
    "RouterKey",
    "RouterRecord",
    "RouterReport",
    "RouterTakeBacks",
    "RoutersQuery",
    "RoutersState",
    "WorkerRecord",
]

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_LENIENT = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class RouterKey(TypedDict):
    """A key of a router's keyring, without its secret."""

    __pydantic_config__ = _LENIENT  # type: ignore[misc]
    id: Annotated[int, Field(ge=1, le=MAX_KEYS)]
    state: Literal["sign", "verify", "revoked"]


class RouterTakeBacks(TypedDict):
    """How many take-backs a router has in force, and up to which number of the list it has read."""

    __pydantic_config__ = _LENIENT  # type: ignore[misc]
    rules: Annotated[int, Field(ge=0, le=fields.MAX_SEQ)]
    seq: Annotated[int, Field(ge=0, le=fields.MAX_SEQ)]


class RouterReport(TypedDict):
    """What a router tells of itself: its version, what waits and since when, what it dropped since its start, its keys.

    Each worker of a router reports by itself. What is not described here is passed over.
    """

    __pydantic_config__ = _LENIENT  # type: ignore[misc]
    version: Annotated[fields.Word, about("version")]
    pending: Annotated[fields.Measure, about("pending")]
    oldest_seconds: Annotated[fields.Measure, about("oldest_seconds")]
    dropped: Annotated[fields.Measure, about("dropped")]
    worker: NotRequired[Annotated[fields.WorkerNumber, about("worker")]]
    keys: NotRequired[Annotated[list[RouterKey], Field(max_length=MAX_KEYS), about("keys")]]
    take_backs: NotRequired[Annotated[RouterTakeBacks, about("take_backs")]]


class RoutersQuery(TypedDict):
    """All routers are asked for."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]


class WorkerRecord(TypedDict):
    """What one worker of a router last said of itself, and when central heard it."""

    worker: int
    seen_at: str
    silent_seconds: float
    version: str
    pending: float
    oldest_seconds: float
    dropped: float
    keys: list[RouterKey] | None
    take_backs: RouterTakeBacks | None


class RouterRecord(TypedDict):
    """A router: its workers, and their figures together. It is as silent as the worker that spoke last."""

    router: str
    seen_at: str
    silent_seconds: float
    versions: list[str]
    pending: float
    oldest_seconds: float
    dropped: float
    workers: list[WorkerRecord]


class RoutersState(TypedDict):
    """Every router that ever spoke, by name; one that is silent for two minutes is in trouble."""

    routers: list[RouterRecord]
