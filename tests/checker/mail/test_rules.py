"""Obviously bad URLs: one table of cases for the server's reader of the rules and for the page's."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import HANG_S

from linkrouter.checker.mail import rules
from linkrouter.checker.mail.rules import find_malformed, rules_version

CASES = json.loads((Path(__file__).parent / "malformed-cases.json").read_text("utf-8"))
LONG = [
    ["https://example.com/" + "a" * 4076, None],
    ["https://example.com/" + "a" * 4077, "too long"],
    [f"https://{'a' * 63}.example/", None],
    [f"https://{'a' * 64}.example/", "host length"],
    [f"https://{'a.' * 127}ab/", "host length"],
]
STATIC = Path(__file__).parents[3] / "linkrouter/checker/api/static"
TABLE = Path(__file__).parents[3] / "linkrouter/checker/mail/rules.json"


@pytest.mark.parametrize(("url", "name"), CASES + LONG, ids=lambda value: ascii(value)[:60])
def test_finds_what_is_obviously_bad_and_nothing_else(url, name):
    rule = find_malformed(url)

    assert (rule.name if rule else None) == name


@given(st.from_regex(rules._PLAIN, fullmatch=True))
def test_what_is_plain_at_a_glance_breaks_no_rule(url):
    assert rules._broken_rule(url, False) is None


def test_a_host_of_one_word_is_allowed_where_private_networks_are():
    assert find_malformed("http://intranet/", local=True) is None
    assert find_malformed("http://2130706433/", local=True).name == "odd number"


def test_every_rule_has_a_case_and_a_sentence():
    table = json.loads(TABLE.read_text("utf-8"))

    assert {rule["name"] for rule in table["rules"]} == {name for _, name in CASES + LONG if name}
    assert all(rule["says"] for rule in table["rules"])
    assert rules_version() == table["version"]


def test_the_page_finds_the_same(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; the page's module is held to the same table in the browser test")
    shutil.copy(STATIC / "malformed.js", tmp_path / "malformed.mjs")
    script = tmp_path / "run.mjs"
    script.write_text(
        f"""
        import {{ readFileSync }} from "node:fs";
        import {{ compileRules, findMalformed }} from "./malformed.mjs";
        const rules = compileRules(JSON.parse(readFileSync({json.dumps(str(TABLE))}, "utf-8")));
        const cases = JSON.parse(readFileSync(0, "utf-8"));
        console.log(JSON.stringify(cases.map(([url]) => findMalformed(rules, url)?.name ?? null)));
        """
    )

    done = subprocess.run(
        [node, script], input=json.dumps(CASES + LONG), capture_output=True, text=True, timeout=HANG_S
    )

    assert done.stderr == ""
    assert json.loads(done.stdout) == [name for _, name in CASES + LONG]
