"""Refusals: what a request is told when it does not get what it asked for (RFC 9457).

Promise: every word comes from this package. A refusal holds nothing that was sent, since what is sent here are links
and addresses, and an answer may be logged on its way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, NotRequired

from pydantic import Field, ValidationError
from pydantic_core import to_json
from typing_extensions import TypedDict

__all__ = ["DETAILS", "Fault", "Problem", "Refusal", "find_fault", "problem_json"]

DETAILS = {
    400: "the body must be JSON in UTF-8, and the request whole and readable as HTTP",
    401: "give a token that is known here, as 'Authorization: Bearer TOKEN'",
    403: "this token lacks the scope that this path asks for",
    404: "nothing is here",
    405: "this path does not take this method; Allow names those it takes",
    408: "the body did not arrive in time",
    409: "this was posted before with other content",
    413: "the body is too large",
    415: "the body must be application/json, plain or gzip",
    422: "the request is JSON, but not what this path takes",
    429: "as many of these are running as may at once; try again",
    500: "something went wrong here, and was logged",
    503: "the store cannot do this now; try again",
    507: "the store's disk is full; nothing of this was kept, try again when there is room",
}
# Python 3.13 took new names from RFC 9110; a title stays what it was, whatever runs here.
TITLES = {413: "Request Entity Too Large", 422: "Unprocessable Entity"}


class Problem(TypedDict):
    """What went wrong (RFC 9457); nothing of the request stands in it."""

    title: str
    status: int
    detail: str
    list: NotRequired[Annotated[str, Field(description="the list that holds the first bad record")]]
    index: NotRequired[Annotated[int, Field(description="which record of that list it is, from 0")]]
    reason: NotRequired[Annotated[str, Field(description="what is wrong with it")]]


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing wrong with a request: `index` of the record in `within`, if it lies in a record."""

    reason: str
    within: str | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered: an HTTP status, and the fault in what was sent if it lies there.

    `code` is what a dialect with numbers of its own calls it.
    """

    status: int
    fault: Fault | None = None
    code: int | None = None


def problem_json(refusal: Refusal, details: Mapping[int, str] = DETAILS) -> bytes:
    """Write *refusal* as a problem document; *details* has the sentence of each status."""
    title = TITLES.get(refusal.status) or HTTPStatus(refusal.status).phrase
    detail = details.get(refusal.status) or DETAILS.get(refusal.status, title)
    problem: Problem = {"title": title, "status": refusal.status, "detail": detail}
    if refusal.fault is not None:
        problem["reason"] = refusal.fault.reason
        if refusal.fault.within is not None and refusal.fault.index is not None:
            problem |= {"list": refusal.fault.within, "index": refusal.fault.index}
    return to_json(problem)


def find_fault(error: ValidationError, rules: Mapping[str, str]) -> Fault | None:
    """Say what is wrong, in words that are all ours (*rules* by field); None when the text is not JSON at all.

    The first bad record of a list goes before what is wrong around it.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return None
    places: list[tuple[str, tuple[Any, ...]]] = [(one["type"], one["loc"]) for one in found]
    in_record = next((place for place in places if len(place[1]) > 1 and isinstance(place[1][1], int)), None)
    if in_record is None:
        return Fault(_reason(rules, *places[0]))
    kind, (within, index, *rest) = in_record
    if kind == "literal_error" and not rest:  # a list of words, and not of records
        rest = [within]
    return Fault(_reason(rules, kind, tuple(rest)), str(within), index)


def _reason(rules: Mapping[str, str], kind: str, place: tuple[Any, ...]) -> str:
    name = place[0] if place else None
    if name is None:
        return "it must be text, and not too long" if kind.startswith("string_") else "it must be an object"
    if kind == "extra_forbidden" and len(place) == 1:
        return "it has a field that is not known"
    if kind == "missing":
        return f"{name} is missing"
    return f"{name} must be {rules[name]}"
