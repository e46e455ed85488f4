"""Problem documents."""

import json

import pytest

from linkrouter.web.problems import DETAILS, Refusal, problem_json

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    507: "Insufficient Storage",
}


@pytest.mark.parametrize("status", DETAILS)
def test_a_title_is_the_same_on_every_python(status):
    assert json.loads(problem_json(Refusal(status))) == {
        "title": TITLES[status],
        "status": status,
        "detail": DETAILS[status],
    }
