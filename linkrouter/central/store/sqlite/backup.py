"""A backup of a database of central while central writes it, and the way back.

Promise: a backup is one sound file with all that was committed when it began, or there is none. A restore replaces the
database whole while nobody has it open, and keeps the one that was there. Whatever is cut off may be done again.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from linkrouter.central.store.sqlite.schema import CENTRAL_APPLICATION_ID, MIGRATIONS
from linkrouter.central.store.sqlite.store import sqlite_path
from linkrouter.errors import SettingsError, StoreError, StoreFull
from linkrouter.secretfile import locked_directory, sync_directory

__all__ = ["back_up", "database_file", "drop_old_backups", "name_of_backup", "restore"]

PART = ".linkrouter-backup.part"  # one in a directory, so that what a kill left is overwritten by the next
STEP_PAGES = 4096
WAIT_S = 30.0
STAMP = "%Y%m%dT%H%M%SZ"
NAME = f"central-{STAMP}.db"
LOCK_BYTES = 0x40000000, 512  # where SQLite locks a file (its pending, reserved and shared bytes)


def database_file(url: str) -> Path:
    """Give the file that DATABASE names.

    Raises:
        SettingsError: it names none; the message says what backs up such a database.
    """
    if url.partition(":")[0] in ("postgresql", "postgres"):
        raise SettingsError("DATABASE: this is for sqlite:///FILE; PostgreSQL has its own: use pg_dump and pg_restore")
    return sqlite_path(url)


def name_of_backup(now: datetime) -> str:
    """Give the name of a backup in a directory of them; *now* is in UTC."""
    return now.strftime(NAME)


def back_up(database: Path, target: Path, *, replace_existing: bool = False) -> None:
    """Copy *database*, which may be in use, to *target*, mode 0600; durable when this returns.

    Raises:
        StoreError: it cannot be read, is damaged, or *target* is there already or cannot be written.
    """
    with _told_of(target), locked_directory(target):
        if target.exists() and not replace_existing:
            raise StoreError(f"{str(target)!r} is there already; name another file, or give --replace")
        if target.exists() and target.samefile(database):
            raise StoreError(f"{str(target)!r} is the database itself; name another file")
        _copy(database, target.with_name(PART))
        os.replace(target.with_name(PART), target)
        sync_directory(target.parent)


def drop_old_backups(directory: Path, keep_days: int, now: datetime) -> list[Path]:
    """Remove the backups in *directory* that are older than *keep_days*, by their names; give what was removed."""
    oldest, dropped = now - timedelta(days=keep_days), []
    for path in sorted(directory.glob("central-*.db")):
        try:
            made_at = datetime.strptime(path.name, NAME).replace(tzinfo=UTC)
        except ValueError:
            continue  # not one of ours
        if made_at < oldest:
            path.unlink()
            dropped.append(path)
    return dropped


def restore(database: Path, backup: Path) -> Path | None:
    """Make *backup* the database, and give what the one before is called now; None when there was none.

    As root, the file gets the owner of the one before, or of its directory.

    Raises:
        StoreError: *backup* is no sound backup or of a newer version, *database* is in use or cannot be replaced.
    """
    with _told_of(database), locked_directory(database), _nobody_in(database):
        if database.exists() and backup.exists() and backup.samefile(database):
            raise StoreError(f"{str(backup)!r} is the database itself; name a backup of it")
        part = database.with_name(PART)
        _copy(backup, part, newest=len(MIGRATIONS))
        if os.geteuid() == 0:
            owner = (database if database.exists() else database.parent).stat()
            os.chown(part, owner.st_uid, owner.st_gid)
        before = _keep(database)
        os.replace(part, database)
        sync_directory(database.parent)
    return before


def _copy(source: Path, part: Path, newest: int | None = None) -> None:
    """Copy the database *source* to *part*, whole and sound, or leave nothing there."""
    if not source.exists():
        raise StoreError(f"{str(source)!r} is not there; name the file of a database of central")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(_connect(source)) as origin, closing(sqlite3.connect(part, isolation_level=None)) as copy:
            origin.execute("BEGIN")  # one state of the file: without it, each write makes the copy begin anew
            _check_whose(origin, source, newest)
            origin.backup(copy, pages=STEP_PAGES)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, with no log beside it
            [found] = copy.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StoreError(f"{str(source)!r} is damaged; take an older backup")
        _sync(part)
    except BaseException as exc:
        for path in (part, part.with_name(f"{PART}-journal"), part.with_name(f"{PART}-wal")):
            path.unlink(missing_ok=True)
        if isinstance(exc, sqlite3.Error):
            raise _error_of(exc, source, part) from exc
        raise


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=WAIT_S)


def _check_whose(connection: sqlite3.Connection, path: Path, newest: int | None) -> None:
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if application_id != CENTRAL_APPLICATION_ID:
        raise StoreError(f"{str(path)!r} is no database of central; name another file")
    if newest is not None and version > newest:
        raise StoreError(
            f"{str(path)!r} has version {version} and this linkrouter knows {newest}; restore it with a newer one"
        )


def _error_of(exc: sqlite3.Error, source: Path, part: Path) -> StoreError:
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"the disk of {str(part.parent)!r} is full; make room, or name a file on another")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return StoreError(f"{str(source)!r} is damaged, or no SQLite database; take another backup")
    name = getattr(exc, "sqlite_errorname", type(exc).__name__)
    return StoreError(f"{str(source)!r} cannot be copied ({name}); run this as the user of central, or as root")


@contextmanager
def _nobody_in(database: Path) -> Iterator[None]:
    """Keep every other process from opening *database*, as SQLite itself does; its content may be damaged.

    Nothing here may open that file beside: POSIX forgets a lock when any descriptor of the file is closed.
    """
    if not database.exists():
        yield
        return
    descriptor = os.open(database, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, LOCK_BYTES[1], LOCK_BYTES[0])
        except (BlockingIOError, PermissionError) as exc:
            raise StoreError(
                f"{str(database)!r} is open in another process; stop central first: systemctl stop linkrouter-central"
            ) from exc
        yield
    finally:
        os.close(descriptor)


def _keep(database: Path) -> Path | None:
    """Give *database* a second name, and its write-ahead log that name's."""
    if not database.exists():
        return None
    before = database.with_name(f"{database.name}.before-{datetime.now(UTC).strftime(STAMP)}")
    os.link(database, before)
    log = database.with_name(f"{database.name}-wal")
    if log.exists():  # it must not be taken for the log of what is restored
        os.rename(log, before.with_name(f"{before.name}-wal"))
    database.with_name(f"{database.name}-shm").unlink(missing_ok=True)
    return before


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreError(f"{str(path)!r} cannot be written ({exc.strerror}); name a file where you may write") from exc
