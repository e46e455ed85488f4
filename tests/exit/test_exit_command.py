"""The command `linkrouter exit`: what it writes, how it is kept, and what it refuses."""

import json
import stat
import subprocess
import sys

import pytest
from link.take_backs import NEW_PATH, RING, VECTORS, ring_of_vectors

from linkrouter.link import Keyring


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_writes_five_files_and_what_holds_secrets_is_for_its_owner_alone(write_exit):
    written = write_exit(RING, [VECTORS["good"][1]])

    assert written.exit_code == 0
    assert {path.name: mode_of(path) for path in written.path.iterdir()} == {
        "README.md": 0o644,
        "keys.json": 0o600,
        "redirect.py": 0o644,
        "take-backs.json": 0o600,
        "worker.js": 0o600,
    }
    assert "keys: 2, take-backs: 1; keep keys.json and worker.js secret" in written.output


def test_the_readme_fits_on_a_screen_and_names_every_file(write_exit):
    written = write_exit(RING)

    text = (written.path / "README.md").read_text()

    assert len(text.splitlines()) <= 40
    assert all(name in text for name in ("redirect.py", "worker.js", "keys.json", "take-backs.json"))


def test_overwrites_only_when_told_to(write_exit):
    written = write_exit(RING)
    (written.path / "worker.js").write_text("mine")
    (written.path / "worker.js").chmod(0o644)

    refused = write_exit(RING)
    kept = (written.path / "worker.js").read_text()
    allowed = write_exit(RING, (), "--overwrite")

    assert refused.exit_code == 2
    assert "holds redirect.py already; choose another, or give --overwrite" in refused.output
    assert kept == "mine"
    assert allowed.exit_code == 0
    assert mode_of(written.path / "worker.js") == 0o600


def test_leaves_out_a_revoked_key(write_exit):
    written = write_exit(ring_of_vectors(key_2="revoked"))

    assert [key.id for key in Keyring.load(written.path / "keys.json").keys] == [1]
    assert VECTORS["keys"]["2"] not in (written.path / "worker.js").read_text()


def test_a_ring_without_a_key_that_verifies_is_refused(home):
    ring = home.path / "keys.json"
    ring.write_text(ring.read_text().replace('"sign"', '"revoked"'))

    done = home.run("exit", "out", "--keys", "keys.json", check=False)

    assert done.returncode == 3
    assert b"holds no key that verifies links" in done.stderr
    assert not (home.path / "out").exists()


def test_leaves_out_a_refused_take_back_and_says_which_and_why(write_exit):
    written = write_exit(RING, [VECTORS["good"][0], VECTORS["bad"][0]["rule"], VECTORS["bad"][4]["rule"]])

    assert written.exit_code == 1
    assert "take-back 2 was left out: id and tag must each be 16 bytes" in written.output
    assert "take-back 3 was left out: tag does not fit" in written.output
    assert json.loads((written.path / "take-backs.json").read_text()) == [VECTORS["good"][0]]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(VECTORS["good"]),
        json.dumps({"rules": VECTORS["good"], "seq": 9}),
        "\n".join(json.dumps(rule) for rule in VECTORS["good"]) + "\n",
    ],
    ids=["list", "answer of the API", "lines"],
)
def test_reads_take_backs_in_each_form_they_come_in(home, content):
    RING.save(home.path / "keys.json")
    (home.path / "list").write_text(content)

    home.run("exit", "out", "--keys", "keys.json", "--takebacks", "list")

    assert json.loads((home.path / "out" / "take-backs.json").read_text()) == VECTORS["good"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, b"cannot be read"), ("{", b"is neither JSON nor JSON lines"), ("\xff", b"is neither JSON nor JSON lines")],
)
def test_a_list_that_cannot_be_read_is_one_line_and_writes_nothing(home, content, said):
    if content is not None:
        (home.path / "list").write_bytes(content.encode("latin-1"))

    done = home.run("exit", "out", "--keys", "keys.json", "--takebacks", "list", check=False)

    assert done.returncode == 2
    assert said in done.stderr
    assert b"Traceback" not in done.stderr
    assert not (home.path / "out").exists()


def test_redirect_needs_nothing_but_the_standard_library(write_exit):
    path = write_exit(RING).path
    script = (
        "import redirect, sys\n"
        f"environ = {{'REQUEST_METHOD': 'GET', 'RAW_URI': {NEW_PATH!r}}}\n"
        "redirect.application(environ, lambda status, headers: print(status))\n"
        "assert not [name for name in sys.modules if name.startswith(('linkrouter', 'aiohttp', 'ada_url'))]\n"
    )

    # -I and -S: no site-packages, nothing of the environment.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(path)!r})\n" + script],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "302 Found" in done.stdout
