"""What an input is taken for: one table of cases for the server and for the page."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from processes import HANG_S

from linkrouter.checker.mail.kinds import guess_kind
from linkrouter.cli.encode import guess_type

CASES = json.loads((Path(__file__).parent / "kind-cases.json").read_text("utf-8"))
STATIC = Path(__file__).parents[3] / "linkrouter/checker/api/static"


@pytest.mark.parametrize(("text", "kind"), CASES, ids=lambda value: ascii(value)[:50])
def test_an_input_is_told_by_how_it_begins(text, kind):
    assert guess_kind(text.encode()) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.eml", "message"), ("b.MD", "markdown"), ("c.mjml", "mjml"), ("d.atom", "feed"), ("e.htm", "html")],
)
def test_the_ending_of_a_file_has_the_first_word(name, kind):
    assert guess_kind(b"hello", name) == kind


@pytest.mark.parametrize("name", ["news.txt", "news", ".md/news", "a.xml"])
def test_other_endings_say_nothing(name):
    assert guess_kind(b"see https://a.example/", name) == "text"


@pytest.mark.parametrize("shape", [b"<", b"<!--", b"<?", b"\n", b"a:\n", b"[a", b"From ", b"<a ", b" "])
def test_guessing_takes_no_time_whatever_comes(shape):
    assert guess_kind(shape * (10_000_000 // len(shape))) in ("text", "html", "markdown", "message", "urls")


def test_encode_takes_no_text_for_a_mail_either():
    assert guess_type(b"Update: our shop https://a.example/ moved\n\nmore\n") == "text"
    assert guess_type(b"http://a.example/x\n\nhttps://b.example/y\n") == "text"
    assert guess_type(b"From: a@example.com\r\n\r\nhello") == "eml"


def test_the_page_guesses_the_same(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    shutil.copy(STATIC / "mail.js", tmp_path / "mail.mjs")
    script = tmp_path / "run.mjs"
    script.write_text(
        """
        import { readFileSync } from "node:fs";
        import { guessKind } from "./mail.mjs";
        const cases = JSON.parse(readFileSync(0, "utf-8"));
        console.log(JSON.stringify(cases.map(([text]) => guessKind(text))));
        """
    )

    done = subprocess.run([node, script], input=json.dumps(CASES), capture_output=True, text=True, timeout=HANG_S)

    assert done.stderr == ""
    assert json.loads(done.stdout) == [kind for _, kind in CASES]
