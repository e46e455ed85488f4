"""Dialects: how a token comes, how fields are spelled and how a refusal is written.

Promise: an answer knows nothing of it. linkrouter's own dialect is HTTP's (RFC 6750, RFC 9457); another one lets
clients of another system talk to the same answers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from linkrouter.web.problems import DETAILS, Problem, Refusal, problem_json

__all__ = ["OWN_DIALECT", "Dialect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How requests and refusals are written."""

    scheme: str  # the name of the security scheme in the API document
    security: Mapping[str, str]  # and the scheme
    read_token: Callable[[Mapping[str, str]], str]  # from the headers; empty when there is none
    read_query: Callable[[Iterable[tuple[str, str]]], list[tuple[str, str]]]  # fields as `Route.query` spells them
    problem: Any  # what `write_problem` writes
    media_type: str  # of it
    write_problem: Callable[[Refusal, Mapping[int, str]], bytes]  # gets the sentence of each status, too


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip(" ") if scheme.lower() == "bearer" else ""


OWN_DIALECT = Dialect(
    scheme="bearerToken",
    security={"type": "http", "scheme": "bearer"},
    read_token=_bearer,
    read_query=list,
    problem=Problem,
    media_type="application/problem+json",
    write_problem=lambda refusal, details: problem_json(refusal, {**DETAILS, **details}),
)
