"""Keyrings and their files: rotation, revocation, modes, and secrets that stay inside."""

import json
import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from linkrouter.errors import BadLink, KeyringError
from linkrouter.link import Key, Keyring
from linkrouter.link.codec import encode_base64url
from linkrouter.link.keyfile import change_keyring_file
from linkrouter.link.rotation import add_key, fingerprint_of, remove_key, revoke_key, sign_with

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


def test_gives_a_replaced_file_no_more_readers_than_a_secret_may_have(tmp_path):
    path = _write(tmp_path / "keys.json", "old", 0o644)

    Keyring.create().save(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


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


@pytest.mark.parametrize("mode", [0o604, 0o660, 0o644, 0o601, 0o610])
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


# The file: one writer at a time, and the same owner afterwards


@pytest.fixture
def ring_file(tmp_path):
    path = tmp_path / "keys.json"
    Keyring.create().save(path)
    return path


def _rotated(keys):
    grown, new_id = add_key(keys)
    return sign_with(grown, new_id)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_leaves_a_file_to_its_owner_and_group(ring_file):
    os.chown(ring_file, 65534, 65533)
    ring_file.chmod(0o640)

    change_keyring_file(str(ring_file), _rotated)

    after = ring_file.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (65534, 65533, 0o640)


def test_changes_the_file_that_a_symlink_names(ring_file, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(ring_file)

    change_keyring_file(str(link), _rotated)
    Keyring.load(link).rotate().save(link)

    assert link.is_symlink()
    assert [key.id for key in Keyring.load(ring_file).keys] == [1, 2, 3]


def test_loses_no_key_when_many_rotate_at_once(ring_file):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: change_keyring_file(str(ring_file), _rotated), range(12)))

    keys = Keyring.load(ring_file).keys
    assert [key.id for key in keys] == list(range(1, 14))
    assert keys[-1].state == "sign"


def test_overwrites_nothing_that_somebody_wrote_without_the_lock(ring_file):
    def change(keys):
        _write(ring_file, {"keys": [_entry(id=9)]})
        return _rotated(keys)

    with pytest.raises(KeyringError, match="somebody else"):
        change_keyring_file(str(ring_file), change)

    assert [key.id for key in Keyring.load(ring_file).keys] == [9]


def test_removes_what_a_killed_writer_left_behind(ring_file, tmp_path):
    _write(tmp_path / ".keys.json.abcd.new", "half a secret")

    change_keyring_file(str(ring_file), _rotated)

    assert os.listdir(tmp_path) == ["keys.json"]


# Reading as a container's runtime mounts secrets


def test_takes_a_file_that_the_own_group_can_read(ring_file):
    ring_file.chmod(0o440)

    assert len(Keyring.load(ring_file).keys) == 1


def _as_nobody(code, *arguments):
    """Run *code* in a process of another user, and give its exit code: 0 or what it raised."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            code(*arguments)
        except KeyringError as exc:
            os._exit(10 if "MOUNTED_SECRETS=on" in str(exc) else 11)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def public_file():
    """A keyring of root's, in a folder that anybody may enter."""
    if os.geteuid():
        pytest.skip("another user's files need root")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "keys.json"
        Keyring.create().save(path)
        yield path


@pytest.mark.parametrize(("mode", "group"), [(0o440, 65534), (0o640, 65534)])
def test_another_user_takes_what_its_group_can_read(public_file, mode, group):
    os.chown(public_file, 0, group)
    public_file.chmod(mode)

    assert _as_nobody(Keyring.load, public_file) == 0


@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_a_mounted_secret_is_taken_when_the_operator_says_so(public_file, mode):
    public_file.chmod(mode)

    assert _as_nobody(Keyring.load, public_file) == 10  # the error names the switch
    assert _as_nobody(lambda: Keyring.load(public_file, accept_mounted=True)) == 0


def test_a_file_of_the_own_user_that_others_can_read_is_refused_in_any_case(public_file):
    os.chown(public_file, 65534, 65534)
    public_file.chmod(0o644)

    assert _as_nobody(lambda: Keyring.load(public_file, accept_mounted=True)) == 11


# The life of a key


def test_adds_a_key_that_does_not_sign_yet():
    keys, new_id = add_key([Key(1, SECRET, "sign")])

    assert new_id == 2
    assert [key.state for key in keys] == ["sign", "verify"]
    assert Keyring(keys).verify(Keyring(sign_with(keys, 2)).sign("https://a.com")).key_id == 2


def test_revokes_and_removes_in_this_order_alone():
    keys = [Key(1, SECRET, "verify"), Key(2, bytes(32), "sign")]

    with pytest.raises(KeyringError, match="revoke it first"):
        remove_key(keys, 1)
    with pytest.raises(KeyringError, match="rotate first"):
        revoke_key(keys, 2)
    revoked = revoke_key(keys, 1)

    assert [key.state for key in revoked] == ["revoked", "sign"]
    assert remove_key(revoked, 1) == [Key(2, bytes(32), "sign")]
    with pytest.raises(KeyringError, match="is revoked"):
        sign_with(revoked, 1)


@pytest.mark.parametrize("step", [sign_with, revoke_key, remove_key])
def test_says_which_keys_there_are(step):
    with pytest.raises(KeyringError, match="key 7 is not in the keyring, which holds 1, 3"):
        step([Key(1, SECRET, "sign"), Key(3, SECRET, "verify")], 7)


def test_a_full_ring_has_room_again_after_a_removal():
    keys = [Key(number, SECRET, "revoked" if number == 4 else "verify") for number in range(1, 16)]

    grown, new_id = add_key(remove_key(keys, 4))

    assert new_id == 4
    assert len(grown) == 15


def test_a_fingerprint_tells_secrets_apart_and_does_not_depend_on_the_state():
    prints = {fingerprint_of(Key(1, bytes([byte]) * 32, "sign")) for byte in range(50)}

    assert len(prints) == 50
    assert fingerprint_of(Key(1, SECRET, "sign")) == fingerprint_of(Key(1, SECRET, "revoked"))
    assert all(len(text) == 8 for text in prints)
