"""One row of a route table: from it the server is registered and the API document written.

Promise: what is documented is what is served. An answer is a function of the checked request and its caller; it knows
nothing of HTTP.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from linkrouter.web.dialects import OWN_DIALECT, Dialect
from linkrouter.web.tokens import Caller, Scope

__all__ = ["DEFAULT_MAX_BODY_BYTES", "Route"]

DEFAULT_MAX_BODY_BYTES = 8 * 1024**2  # unpacked


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. The first line of the answer's docstring is its summary in the API document.

    With `streams` the answer is an async iterator of server-sent events (id, name, JSON), with None for each time that
    nothing came for a while. A `last_event_id` in `query` is then the header of that name.
    """

    operation: str  # the name of the operation in the API document; a promise to generated clients
    method: str
    path: str
    scope: Scope | None  # what a token must hold; None asks for no token
    body: type[Any] | None = None  # what a JSON body is checked against
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES  # unpacked
    query: type[Any] | None = None  # what query and path are checked against; None takes any query and ignores it.
    # The answer gets (query, body) where there are both.
    rules: Mapping[str, str] = field(default_factory=dict)  # what each field of body and query must be, in words
    gives: type[Any]
    status: int = 200  # of what is given
    location: Callable[[Any], str] | None = None  # where what is given can be found later
    streams: bool = False
    has_etag: bool = False  # the answer bears an ETag, and is 304 to whoever has it already (RFC 9110, section 13.1.2)
    csv: bool = False  # the answer is an async iterator of rows of a table, the names of its columns first
    refuses: Mapping[int, str] = field(
        default_factory=dict
    )  # statuses beyond those that follow from the above, and why
    dialect: Dialect = OWN_DIALECT
    answer: Callable[[Any, Caller], Awaitable[Any]]  # a value of `gives`, or a `Refusal`
