"""How Postmark's clients show a token, spell a field and read a refusal.

Promise: names of fields come in any case, with and without underscores; a field that is not known is ignored, as their
API does; every refusal has the two fields that all clients read.
"""

from collections.abc import Iterable, Mapping

from pydantic_core import to_json
from typing_extensions import TypedDict

from linkrouter.web.dialects import Dialect
from linkrouter.web.problems import DETAILS, Refusal

__all__ = ["POSTMARK_DIALECT", "PostmarkProblem"]

TOKEN_HEADER = "X-Postmark-Server-Token"  # noqa: S105 – the name of a header
BAD_TOKEN, BAD_REQUEST = 10, 300  # what their clients make errors of a class of their own from


class PostmarkProblem(TypedDict):
    """What went wrong, as Postmark tells it."""

    ErrorCode: int
    Message: str


def _read_token(headers: Mapping[str, str]) -> str:
    return headers.get(TOKEN_HEADER, "").strip()


def _read_query(items: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name.lower().replace("_", ""), text) for name, text in items if text]


def _write_problem(refusal: Refusal, details: Mapping[int, str]) -> bytes:
    codes = {401: BAD_TOKEN, 403: BAD_TOKEN, 422: BAD_REQUEST}
    sentences = {**DETAILS, 401: f"give a token that is known here, as {TOKEN_HEADER}", **details}
    reason = f": {refusal.fault.reason}" if refusal.fault is not None else ""
    problem: PostmarkProblem = {
        "ErrorCode": refusal.code or codes.get(refusal.status, refusal.status),
        "Message": sentences[refusal.status] + reason,
    }
    return to_json(problem)


POSTMARK_DIALECT = Dialect(
    scheme="postmarkServerToken",
    security={"type": "apiKey", "in": "header", "name": TOKEN_HEADER},
    read_token=_read_token,
    read_query=_read_query,
    problem=PostmarkProblem,
    media_type="application/json",
    write_problem=_write_problem,
)
