"""The examples do what they say."""

import json
import os
import re
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from linkrouter.link import Keyring

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
VECTORS = json.loads((ROOT / "docs" / "wire-format-vectors.json").read_text())
MAIL = b"""From: a@example.com\r
To: b@example.org\r
Subject: seeds\r
MIME-Version: 1.0\r
Content-Type: text/html; charset=utf-8\r
\r
<p><a href="https://example.org/seeds/">Seeds</a></p>\r
"""


def run(*command, stdin=b"", env=None):
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, env={**os.environ, **(env or {})})


@pytest.fixture
def vector_keys(tmp_path):
    """A keyring file with the secrets of the vectors."""
    keys = [
        {"id": int(id_), "secret": urlsafe_b64encode(bytes.fromhex(secret)).decode().rstrip("="), "state": "verify"}
        for id_, secret in VECTORS["keys"].items()
    ]
    path = tmp_path / "vector-keys.json"
    path.write_text(json.dumps({"keys": keys}))
    return path


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_node_reads_every_valid_link_of_the_vectors(vector_keys):
    links = ["https://click.example.com" + vector["path"] for vector in VECTORS["valid"]]

    done = run("node", EXAMPLES / "decode.mjs", vector_keys, *links)

    expected = [{name: value for name, value in vector.items() if name != "path"} for vector in VECTORS["valid"]]
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_node_refuses_every_invalid_link_of_the_vectors(vector_keys):
    paths = [vector["path"] for vector in VECTORS["invalid"]]

    done = run("node", EXAMPLES / "decode.mjs", vector_keys, *paths)

    assert done.stdout.decode().split() == ["invalid"] * len(paths), done.stderr
    assert done.returncode == 1


def test_the_sender_rewrites_a_mail_and_tells_its_links(home):
    keys, manifest = home.path / "keys.json", home.path / "manifest.jsonl"

    done = run(sys.executable, EXAMPLES / "send.py", keys, manifest, stdin=MAIL)

    assert done.returncode == 0, done.stderr
    [link] = json.loads(manifest.read_text())["links"]
    assert link["url"] == "https://example.org/seeds/"
    tracked = re.search(rb'href="https://click\.example\.com(/2s/[^"]+)"', done.stdout)[1].decode()
    assert Keyring.load(keys).verify(tracked).destination == "https://example.org/seeds/"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_a_manifest_is_taken_by_central_and_may_be_posted_again(home):
    home.start_central()
    (home.path / "mail.eml").write_bytes(MAIL)
    home.run(
        *("encode", "mail.eml", "--keys", "keys.json", "--base-url", "https://click.example.com"),
        *("--manifest", "manifest.jsonl"),
    )
    run(sys.executable, EXAMPLES / "send.py", home.path / "keys.json", home.path / "manifest.jsonl", stdin=MAIL)
    env = {"CENTRAL": f"http://127.0.0.1:{home.central_port}", "TOKEN_FILE": str(home.path / "api-token")}

    first = run(EXAMPLES / "post-manifest.sh", home.path / "manifest.jsonl", env=env)
    again = run(EXAMPLES / "post-manifest.sh", home.path / "manifest.jsonl", env=env)

    assert first.returncode == 0, first.stderr
    assert [json.loads(line)["stored"] for line in first.stdout.splitlines()] == [1, 1]
    assert again.returncode == 0, again.stderr
    assert [json.loads(line)["stored"] for line in again.stdout.splitlines()] == [0, 0]


def test_the_hook_for_pre_commit_runs_what_it_names(tmp_path):
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text()
    command = re.search(r"^  entry: linkrouter (.+)$", hook, re.MULTILINE)[1].split()
    files = re.compile(re.search(r"^  files: (.+)$", hook, re.MULTILINE)[1])
    example = (EXAMPLES / "pre-commit-config.yaml").read_text()
    options = re.search(r"args: \[(.+)\]", example)[1].replace('"', "").split(", ")
    (tmp_path / "news.mjml").write_text('<mjml><mj-button href="http:/oops.example/">x</mj-button></mjml>')

    done = run(sys.executable, "-m", "linkrouter", *command, *options, "--offline", tmp_path / "news.mjml")

    assert (done.returncode, b"malformed" in done.stdout) == (1, True)
    assert files.search("news.mjml")
    assert not files.search("news.png")
    assert re.search(r"id: (\S+)", hook)[1] in example


def test_the_workflow_gives_options_that_the_command_has():
    lines = [line for line in (EXAMPLES / "check-links.yml").read_text().splitlines() if "linkrouter check" in line]
    known = run(sys.executable, "-m", "linkrouter", "check", "--help").stdout.decode()

    assert len(lines) == 2
    assert all(option in known for line in lines for option in re.findall(r"--[a-z-]+", line))
