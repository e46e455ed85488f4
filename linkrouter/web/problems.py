"""Refusals: what a request is told when it does not get what it asked for (RFC 9457).

Promise: every word comes from this package. A refusal holds nothing that was sent, since what is sent here are links
and addresses, and an answer may be logged on its way.
"""

from dataclasses import dataclass
from http import HTTPStatus

from pydantic_core import to_json

from linkrouter.central.models import Fault, Problem

__all__ = ["DETAILS", "MAX_BODY_BYTES", "Refusal", "problem_json"]

MAX_BODY_BYTES = 8 * 1024**2  # unpacked; a batch of a thousand clicks with the longest agents is below 1 MB

DETAILS = {
    400: "the body must be JSON in UTF-8, and the request whole and readable as HTTP",
    401: "give a token that is known here, as 'Authorization: Bearer TOKEN'",
    403: "this token may not do this: a router's may only post clicks, a sender's may do all else",
    404: "nothing is here",
    405: "this path does not take this method; Allow names those it takes",
    408: "the body did not arrive in time",
    409: "this message id, or one of these links, was posted before with other content",
    413: "the body is too large",
    415: "the body must be application/json, plain or gzip",
    422: "the request is JSON, but not what this path takes",
    429: "as many of these are running as may at once; try again",
    500: "something went wrong here, and was logged",
    501: "this needs more packages where the centre runs: pip install 'linkrouter[check]'",
    503: "the store cannot do this now; try again",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered: an HTTP status, and the fault in what was sent if it lies there."""

    status: int
    fault: Fault | None = None


def problem_json(refusal: Refusal) -> bytes:
    """Write *refusal* as a problem document."""
    phrase = HTTPStatus(refusal.status).phrase
    problem: Problem = {"title": phrase, "status": refusal.status, "detail": DETAILS.get(refusal.status, phrase)}
    if refusal.fault is not None:
        problem["reason"] = refusal.fault.reason
        if refusal.fault.within is not None and refusal.fault.index is not None:
            problem |= {"list": refusal.fault.within, "index": refusal.fault.index}
    return to_json(problem)
