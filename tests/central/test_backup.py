"""Backups: taken under load, refused where they would harm, and restored after the database was destroyed."""

import contextlib
import json
import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import pytest
from faults.disk import small_disk
from processes import fetch, wait_until

from linkrouter.central.store.sqlite.backup import back_up, database_file, name_of_backup, restore
from linkrouter.central.store.sqlite.schema import MIGRATIONS
from linkrouter.central.store.sqlite.store import SqliteCentralStore
from linkrouter.errors import SettingsError, StoreError, StoreFull

BATCH = 100


class Load:
    """Clicks that are handed to central one batch after the other; `taken` counts those it acknowledged."""

    def __init__(self, home, first: int = 0) -> None:
        self._home, self._end, self.taken = home, threading.Event(), first
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        token = (self._home.path / "ingest-token").read_text()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self._home.central_port}/v1/clicks"
        while not self._end.wait(0.05):
            clicks = [_click(self.taken + number) for number in range(BATCH)]
            body = json.dumps({"router": "ams", "clicks": clicks}).encode()
            with contextlib.suppress(OSError):
                status, _, answer = fetch(url, method="POST", headers=headers, body=body, timeout=30)
                assert status == 200, answer
                self.taken += BATCH


def _click(number: int) -> dict:
    time = datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(seconds=number)
    return {
        "id": f"id-{number:07}",
        "link_id": "-----w",
        "tenant": 0,
        "part": "html",
        "kind": "click",
        "clicked_at": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ip": "203.0.113.7",
        "user_agent": "Mozilla/5.0",
    }


def stored(path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in database.execute("SELECT id FROM clicks ORDER BY id")]


@pytest.mark.slow
def test_the_drill_back_up_under_load_destroy_restore_count(home):
    central = home.start_central()
    database = home.path / "central.db"
    with Load(home) as load:
        wait_until(lambda: load.taken >= 5 * BATCH, 60)
        before = load.taken
        home.run("central", "backup", "backup.db")
        wait_until(lambda: load.taken > before + BATCH, 60)
        assert b"is open in another process" in home.run("central", "restore", "backup.db", check=False).stderr
        central.kill()
        central.wait()
    saved = stored(home.path / "backup.db")
    assert (home.path / "backup.db").stat().st_mode & 0o777 == 0o600
    assert len(saved) >= before
    assert saved == [f"id-{number:07}" for number in range(len(saved))]

    database.write_bytes(b"\xff" * database.stat().st_size)
    done = home.run("central", "restore", "backup.db")
    home.start_central()

    def total():
        return home.ask_central("/v1/stats/clicks?robots=include")["total"]

    wait_until(lambda: total() == len(saved))  # figures follow within seconds
    [kept] = home.path.glob("central.db.before-*Z")
    assert str(kept.name) in done.stderr.decode()
    assert kept.read_bytes().strip(b"\xff") == b""
    assert kept.with_name(kept.name + "-wal").exists()  # what the kill left; not taken for the restored one's
    with Load(home, len(saved) - BATCH) as load:  # what routers send again is there already, and what is new is taken
        wait_until(lambda: load.taken > len(saved) + BATCH, 60)
    wait_until(lambda: total() == load.taken)


@pytest.fixture
async def database(tmp_path):
    """A database of central that no process has open."""
    store = SqliteCentralStore(tmp_path / "central.db")
    await store.open()
    await store.close()
    return tmp_path / "central.db"


def test_a_backup_replaces_a_file_only_when_told_to(database, tmp_path):
    target = tmp_path / "backup.db"
    target.write_text("of yours")

    with pytest.raises(StoreError, match="is there already"):
        back_up(database, target)
    kept = target.read_text()
    back_up(database, target, replace_existing=True)
    with pytest.raises(StoreError, match="the database itself"):
        back_up(database, database, replace_existing=True)

    assert kept == "of yours"
    assert stored(target) == []


def test_what_is_no_backup_restores_nothing(database, tmp_path):
    content = database.read_bytes()
    (tmp_path / "rubbish.db").write_bytes(b"x" * 10_000)
    (tmp_path / "half.db").write_bytes(content[: len(content) // 2])
    back_up(database, tmp_path / "newer.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "newer.db")) as newer:
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with contextlib.closing(sqlite3.connect(tmp_path / "theirs.db")) as theirs:
        theirs.execute("CREATE TABLE a (b)")

    for name, why in {
        "rubbish": "is damaged",
        "half": "is damaged",
        "newer": "restore it with a newer one",
        "theirs": "no database of central",
        "none": "is not there",
        "central": "the database itself",
    }.items():
        with pytest.raises(StoreError, match=why):
            restore(database, tmp_path / f"{name}.db")

    assert database.read_bytes() == content
    assert list(tmp_path.glob(".*.part*")) == []


def test_a_backup_on_a_full_disk_leaves_nothing(database, tmp_path):
    with small_disk(tmp_path / "small", "size=64k") as disk:
        with pytest.raises(StoreFull, match="make room"):
            back_up(database, disk / "backup.db")

        assert list(disk.iterdir()) == []


def test_a_database_elsewhere_is_backed_up_by_its_own_tools():
    with pytest.raises(SettingsError, match="use pg_dump") as refused:
        database_file("postgresql://user:secret@db/links")

    assert "secret" not in str(refused.value)


def test_a_directory_of_backups_keeps_those_of_so_many_days(home, database):
    folder = home.path / "backups"
    folder.mkdir()
    now = datetime.now(UTC)
    for days in (20, 13):
        (folder / name_of_backup(now - timedelta(days=days))).touch()
    (folder / "central-of-yours.db").touch()

    home.run("central", "backup", "backups", "--keep-days", "14")

    names = sorted(path.name for path in folder.iterdir())
    assert names[0] == name_of_backup(now - timedelta(days=13))
    assert names[-1] == "central-of-yours.db"
    assert len(names) == 3
    assert stored(folder / names[1]) == []
