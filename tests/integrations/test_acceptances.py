"""What the next hop took and nobody knows of is remembered, and what is known of is not."""

import pytest

from linkrouter.errors import SettingsError
from linkrouter.integrations import acceptances
from linkrouter.integrations.acceptances import Acceptances, copy_key

KEY = copy_key(0, "a@example.com", ("b@example.org",), b"mail")


def test_a_copy_is_known_by_all_that_makes_it():
    others = {
        copy_key(1, "a@example.com", ("b@example.org",), b"mail"),
        copy_key(0, "x@example.com", ("b@example.org",), b"mail"),
        copy_key(0, "a@example.com", ("x@example.org",), b"mail"),
        copy_key(0, "a@example.com", ("b@example.org",), b"mail2"),
    }

    assert len(others | {KEY}) == 5


def test_what_is_not_confirmed_is_known_once_after_the_process_died(tmp_path):
    died = Acceptances(tmp_path / "a")
    died.accept(KEY)
    died.close()

    again = Acceptances(tmp_path / "a")

    assert [again.take_orphan(KEY), again.take_orphan(KEY)] == [True, False]
    again.close()


def test_what_is_confirmed_is_another_mail_when_it_comes_again(tmp_path):
    first = Acceptances(tmp_path / "a")
    first.accept(KEY)
    while_it_is_open = first.take_orphan(KEY)
    first.confirm([KEY])
    first.close()

    second = Acceptances(tmp_path / "a")

    assert (while_it_is_open, second.take_orphan(KEY)) == (False, False)
    second.close()


def test_what_an_orphan_is_answered_with_may_be_lost_again(tmp_path):
    held = Acceptances(tmp_path / "a")
    held.accept(KEY)
    held.orphan([KEY])
    first = held.take_orphan(KEY)
    held.orphan([KEY])

    assert (first, held.take_orphan(KEY)) == (True, True)
    held.close()


def test_a_damaged_file_costs_no_more_than_its_damaged_lines(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\xff\xfe\n+ short 1\n+ " + KEY.encode() + b" 99999999999\n+ " + KEY.encode()[:10])

    held = Acceptances(path)

    assert held.take_orphan(KEY)
    held.close()


def test_the_file_does_not_grow_with_the_mails(tmp_path, monkeypatch):
    monkeypatch.setattr(acceptances, "COMPACT_BYTES", 4096)
    held = Acceptances(tmp_path / "a")
    held.accept(KEY)
    for number in range(500):
        held.accept(f"{number:032}")
        held.confirm([f"{number:032}"])
    held.close()

    again = Acceptances(tmp_path / "a")

    assert (tmp_path / "a").stat().st_size < 8192
    assert again.take_orphan(KEY)
    again.close()


def test_a_folder_is_one_process_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(acceptances, "LOCK_WITHIN_S", 0.1)
    held = Acceptances(tmp_path / "a")

    with pytest.raises(SettingsError, match="another process uses this folder"):
        Acceptances(tmp_path / "a")

    held.close()
