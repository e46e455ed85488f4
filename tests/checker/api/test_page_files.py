"""The files of the page, and how they are served."""

import json
from pathlib import Path

from checker.api.centre import checking_centre

from linkrouter.checker.api.page import FRAME_PATH, FRAME_POLICY, page_files

RULES = json.loads((Path(__file__).parents[3] / "linkrouter/checker/mail/rules.json").read_text("utf-8"))


async def test_every_file_is_served_once_and_then_asked_about(tmp_path):
    async with checking_centre(tmp_path) as centre:
        for file in page_files(local=True):
            if file.path == "/check":
                continue  # a page: who is signed in gets it in the dashboard's frame
            answer = await centre.anyone.get(file.path)
            again = await centre.anyone.get(file.path, headers={"If-None-Match": answer.headers["ETag"]})

            assert (answer.status_code, answer.content) == (200, file.content)
            assert answer.headers["Content-Type"].startswith(file.content_type)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert ("'unsafe" in answer.headers["Content-Security-Policy"]) == (file.path == FRAME_PATH)
            assert (again.status_code, again.content) == (304, b"")


async def test_the_page_is_as_it_is_for_who_is_not_signed_in(tmp_path):
    [file] = [file for file in page_files(local=True) if file.path == "/check"]
    async with checking_centre(tmp_path) as centre:
        answer = await centre.anyone.get("/check")

    assert (answer.status_code, answer.content) == (200, file.content)
    assert "'unsafe" not in answer.headers["Content-Security-Policy"]


def test_the_page_knows_the_rules_that_hold_here():
    def rules(local):
        [file] = [file for file in page_files(local=local) if file.path == "/check/rules.json"]
        return json.loads(file.content)

    assert rules(local=False) == RULES
    assert {rule["name"] for rule in RULES["rules"]} - {rule["name"] for rule in rules(local=True)["rules"]} == {
        "one word"
    }


def test_the_frame_of_the_mail_runs_and_fetches_nothing():
    policy = dict(directive.split(" ", 1) for directive in FRAME_POLICY.split("; "))

    assert policy["sandbox"] == "allow-same-origin"  # beside allow-scripts it would be none
    assert policy["default-src"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy["img-src"] == "data:"
    assert not any(name.startswith(("script", "connect", "frame-src")) for name in policy)
