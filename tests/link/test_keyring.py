"""Keyrings and their files: rotation, revocation, modes, and secrets that stay inside."""

import json
import os
import stat

import pytest

from linkrouter.errors import BadLink, KeyringError
from linkrouter.link import Key, Keyring
from linkrouter.link.codec import encode_base64url

SECRET = bytes(range(100, 132))
TEXT = encode_base64url(SECRET)


def _entry(**changes):
    return {"id": 1, "secret": TEXT, "state": "sign"} | changes


def _write(path, document, mode=0o600):
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(mode)
    return path


def test_saves_and_loads_a_ring(tmp_path):
    ring = Keyring([Key(3, SECRET, "sign"), Key(1, bytes(32), "verify"), Key(2, bytes(40), "revoked")])

    ring.save(tmp_path / "keys.json")

    assert Keyring.load(tmp_path / "keys.json").keys == ring.keys
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["keys.json"]


def test_writes_the_file_that_is_documented(tmp_path):
    Keyring([Key(1, SECRET, "sign")]).save(tmp_path / "keys.json")

    assert json.loads((tmp_path / "keys.json").read_text()) == {"keys": [_entry()]}


def test_keeps_the_mode_when_it_replaces_a_file(tmp_path):
    path = _write(tmp_path / "keys.json", "old", 0o644)

    Keyring.create().save(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_replaces_no_file_when_told_not_to(tmp_path):
    path = _write(tmp_path / "keys.json", "old")

    with pytest.raises(KeyringError, match="exists"):
        Keyring.create().save(path, replace_existing=False)

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["keys.json"]


def test_leaves_nothing_behind_when_a_file_cannot_be_written(tmp_path):
    (tmp_path / "keys.json").mkdir()

    with pytest.raises(KeyringError, match="cannot be written"):
        Keyring.create().save(tmp_path / "keys.json")

    assert os.listdir(tmp_path) == ["keys.json"]
    with pytest.raises(KeyringError, match="cannot be written"):
        Keyring.create().save(tmp_path / "missing" / "keys.json")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601, 0o610])
def test_refuses_a_file_that_others_can_reach_and_says_the_cure(mode, tmp_path):
    path = _write(tmp_path / "keys.json", {"keys": [_entry()]}, mode)

    with pytest.raises(KeyringError, match=r"chmod 600 .*keys\.json"):
        Keyring.load(path)

    assert Keyring.load(path, check_mode=False).keys[0].secret == SECRET


def test_says_how_to_make_a_file_that_is_missing(tmp_path):
    with pytest.raises(KeyringError, match="linkrouter keys create"):
        Keyring.load(tmp_path / "keys.json")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[" * 100_000,
        "[]",
        "null",
        {},
        {"keys": []},
        {"keys": {}},
        {"keys": [1]},
        {"keys": [_entry(id="1")]},
        {"keys": [_entry(id=True)]},
        {"keys": [_entry(id=0)]},
        {"keys": [_entry(id=16)]},
        {"keys": [_entry(secret=TEXT[:-4])]},
        {"keys": [_entry(secret=TEXT + "!")]},
        {"keys": [_entry(secret=None)]},
        {"keys": [_entry(state="signing")]},
        {"keys": [_entry(extra=1)]},
        {"keys": [{"id": 1, "secret": TEXT}]},
        {"keys": [_entry(), _entry(state="verify")]},
        {"keys": [_entry(), _entry(id=2)]},
        {"keys": [_entry()], "padding": "x" * 70_000},
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
    ids=lambda document: str(document).replace(TEXT, "T")[:50],
)
def test_refuses_a_file_that_is_no_keyring_and_quotes_no_secret(document, tmp_path):
    path = _write(tmp_path / "keys.json", document)

    with pytest.raises(KeyringError, match=r"keys\.json.* cannot be used") as refused:
        Keyring.load(path)

    assert TEXT[:8] not in str(refused.value)
    assert refused.value.__cause__ is None


def test_takes_a_secret_with_padding(tmp_path):
    path = _write(tmp_path / "keys.json", {"keys": [_entry(secret=TEXT + "=")]})

    assert Keyring.load(path).keys[0].secret == SECRET


def test_rotates_without_a_link_dying():
    first = Keyring.create()
    old = first.sign("https://a.com")

    second = first.rotate()

    new = second.sign("https://a.com")
    assert [(key.id, key.state) for key in second.keys] == [(1, "verify"), (2, "sign")]
    assert second.verify(old).key_id == 1
    assert second.verify(new).key_id == 2
    with pytest.raises(BadLink):
        first.verify(new)


def test_gives_no_id_twice_while_there_are_others():
    ring = Keyring([Key(5, SECRET, "sign")])

    assert [key.id for key in ring.rotate().rotate().keys] == [5, 6, 7]
    assert [key.id for key in Keyring([Key(15, SECRET, "sign")]).rotate().keys] == [1, 15]


def test_says_when_a_ring_is_full():
    ring = Keyring(Key(number, SECRET, "verify") for number in range(1, 16))

    with pytest.raises(KeyringError, match="full"):
        ring.rotate()


def test_refuses_the_links_of_a_revoked_key():
    path = Keyring([Key(1, SECRET, "sign")]).sign("https://a.com")
    revoked = Keyring([Key(1, SECRET, "revoked"), Key(2, bytes(32), "sign")])

    with pytest.raises(BadLink):
        revoked.verify(path)
    with pytest.raises(KeyringError, match="revoked"):
        revoked.sign("https://a.com", key_id=1)


def test_tries_only_the_key_that_the_link_names():
    path = Keyring([Key(1, SECRET, "sign")]).sign("https://a.com")

    with pytest.raises(BadLink):
        Keyring([Key(2, SECRET, "sign")]).verify(path)
    with pytest.raises(BadLink):
        Keyring([Key(1, bytes(32), "sign"), Key(2, SECRET, "verify")]).verify(path)


def test_needs_a_key_that_may_sign():
    ring = Keyring([Key(1, SECRET, "verify")])

    with pytest.raises(KeyringError, match="keys rotate"):
        ring.sign("https://a.com")
    assert ring.verify(ring.sign("https://a.com", key_id=1)).key_id == 1


def test_shows_no_secret_in_any_repr():
    key = Key(1, SECRET, "sign")

    shown = repr(key) + repr(Keyring([key])) + str(Keyring([key])) + f"{key}"

    for form in (TEXT, SECRET.hex(), repr(SECRET)[2:-1]):
        assert form[:8] not in shown


def test_makes_a_different_secret_each_time():
    assert len({Keyring.create().keys[0].secret for _ in range(20)}) == 20
