"""The list on disk: kills, damage, full disks, and two who want to write."""

import errno
import os
import stat
import subprocess
import sys

import pytest
from faults.disk import small_disk

from linkrouter.router.rule_file import Lease, ListPage, RuleFile

PAGES = [ListPage(0, 2, [{"rule": 1}, {"rule": 2}]), ListPage(2, 3, [{"rule": "ü"}]), ListPage(3, 7, [])]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "take-backs.list"


def fill(path, pages=PAGES):
    file = RuleFile(path)
    for page in pages:
        list(file.read_new())
        file.append(page)
    return file


def rules_in(path):
    return [rule for page in RuleFile(path).read_new() for rule in page.rules]


def test_gives_back_what_was_written_page_by_page(path):
    fill(path)
    file = RuleFile(path)

    assert list(file.read_new()) == PAGES
    assert (file.seq, file.is_damaged) == (7, False)
    assert list(file.read_new()) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_who_read_before_reads_on(path):
    file = RuleFile(path)
    assert list(file.read_new()) == []
    for page in PAGES:
        other = RuleFile(path)
        list(other.read_new())
        other.append(page)

        assert list(file.read_new()) == [page]


@pytest.mark.parametrize("kept", [1, 5, -1, -20], ids=str)
def test_half_a_page_of_a_killed_writer_is_passed_over_and_then_cut_off(path, kept):
    fill(path, PAGES[:2])
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    path.write_bytes(whole[: start + kept] if kept > 0 else whole[:kept])

    file = RuleFile(path)
    before = list(file.read_new())
    file.append(ListPage(2, 9, []))

    assert before == PAGES[:1]
    assert list(RuleFile(path).read_new()) == [PAGES[0], ListPage(2, 9, [])]
    assert not file.is_damaged


def test_a_page_cut_at_any_byte_costs_that_page_alone(path):
    fill(path, PAGES[:2])
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1

    for cut in range(start, len(whole)):
        path.write_bytes(whole[:cut])
        file = RuleFile(path)
        assert list(file.read_new()) == PAGES[:1]
        assert (file.seq, file.is_damaged) == (2, False)


def test_damage_is_noticed_the_rest_is_read_and_repair_has_the_list_fetched_anew(path):
    fill(path)
    damaged = bytearray(path.read_bytes())
    damaged[20] ^= 1
    path.write_bytes(damaged)
    file = RuleFile(path)

    assert list(file.read_new()) == PAGES[1:]
    assert file.is_damaged
    file.repair()

    assert path.with_name(path.name + ".damaged").read_bytes() == damaged
    assert [page.rules for page in file.read_new()] == [PAGES[1].rules, []]
    assert (file.seq, file.is_damaged) == (0, False)
    file.append(PAGES[0])
    assert rules_in(path) == [{"rule": "ü"}, {"rule": 1}, {"rule": 2}]


def test_a_page_that_is_missing_in_the_middle_is_damage(path):
    fill(path)
    first, _, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + last)
    file = RuleFile(path)

    assert list(file.read_new()) == [PAGES[0], PAGES[2]]
    assert file.is_damaged


@pytest.mark.parametrize("content", [b"\0" * 5000, os.urandom(5000), b"[]\n[]\n[]\n", b"00000000 {}\n" * 3])
def test_what_is_no_list_holds_no_rule_and_is_replaced(path, content):
    path.write_bytes(content)
    file = RuleFile(path)

    assert list(file.read_new()) == []
    if file.is_damaged:
        file.repair()
        assert list(file.read_new()) == []
    file.append(PAGES[0])

    assert list(RuleFile(path).read_new()) == PAGES[:1]


def test_a_list_that_was_removed_or_replaced_is_read_from_its_start(path):
    file = fill(path)
    list(file.read_new())
    path.unlink()
    assert list(file.read_new()) == []
    assert file.seq == 0

    file.append(PAGES[0])

    assert list(file.read_new()) == PAGES[:1]


def test_starting_over_keeps_what_is_here(path):
    file = fill(path)
    list(file.read_new())

    file.start_over()
    file.append(ListPage(0, 1, [{"rule": "of the other list"}]))

    fresh = RuleFile(path)
    assert len([rule for page in fresh.read_new() for rule in page.rules]) == 4
    assert (fresh.seq, fresh.is_damaged) == (1, False)


def test_a_list_without_end_is_not_taken(path):
    file = RuleFile(path, max_bytes=200)
    file.append(PAGES[0])
    list(file.read_new())

    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        file.append(ListPage(2, 3, ["x" * 200]))

    assert list(RuleFile(path).read_new()) == PAGES[:1]


def test_on_a_full_disk_nothing_is_half_written_and_reading_goes_on(tmp_path):
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        path = disk / "take-backs.list"
        file = fill(path)
        list(file.read_new())

        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            file.append(ListPage(7, 8, ["x" * 100_000]))
        file.note_applied(0, 7)

        assert list(RuleFile(path).read_new()) == PAGES
        file.append(ListPage(7, 8, ["a small one"]))
        assert rules_in(path)[-1] == "a small one"


WRITE_AND_DIE = """
import os, sys
from pathlib import Path
from linkrouter.router.rule_file import ListPage, RuleFile
file = RuleFile(Path(sys.argv[1]))
list(file.read_new())
file.append(ListPage(0, 1, [{"rule": 1}]))
os.kill(os.getpid(), 9)
"""


def test_what_was_written_before_a_kill_is_there_after_it(path):
    done = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, path], timeout=60)

    assert done.returncode == -9
    assert rules_in(path) == [{"rule": 1}]


def test_one_process_writes_and_another_takes_over_when_it_ends(path):
    first, second = Lease(path), Lease(path)

    assert (first.take(), first.take(), second.take()) == (True, True, False)
    first.release()
    assert second.take()
    second.release()


def test_a_rule_is_in_force_when_the_last_worker_has_it(path):
    file = RuleFile(path)
    assert file.applied(2) == 0
    file.note_applied(0, 7)
    assert (file.applied(1), file.applied(2)) == (7, 0)

    file.note_applied(1, 5)

    assert (file.applied(1), file.applied(2)) == (7, 5)


def test_the_age_is_that_of_the_last_confirmation_whatever_the_clock_does(path):
    file = RuleFile(path)
    assert file.age_s(1.0) is None

    file.confirm()
    os.utime(path, (1000.0, 1000.0))

    assert (file.age_s(1030.0), file.age_s(500.0)) == (30.0, 0.0)
