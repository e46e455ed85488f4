"""The centre's database: of a version that this program knows, and backed up of late."""

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from linkrouter.central.store.sqlite.schema import CENTRAL_APPLICATION_ID, MIGRATIONS
from linkrouter.doctor.finding import Finding

__all__ = ["look_at_backups", "look_at_database"]

MAX_AGE_DAYS = 2


def look_at_database(path: Path) -> list[Finding]:
    """Look at the head of the database, which central may have open; one that is not there is made at the start."""
    if not path.exists():
        return []
    if path.stat().st_mode & 0o077:
        return [Finding("files", f"DATABASE: {str(path)!r} can be read by others", f"run 'chmod 600 {path}'")]
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            [application_id] = database.execute("PRAGMA application_id").fetchone()
            [version] = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as exc:
        cure = "run this as central's user; if it is damaged: linkrouter central restore"
        return [Finding("database", f"{str(path)!r} cannot be read ({exc.sqlite_errorname})", cure)]
    if application_id != CENTRAL_APPLICATION_ID:
        return [Finding("database", f"{str(path)!r} is of another program", "name another file in DATABASE")]
    if version > len(MIGRATIONS):
        problem = f"{str(path)!r} has version {version}, and this linkrouter knows {len(MIGRATIONS)}"
        return [Finding("database", problem, "run the newer linkrouter, or restore a backup of before")]
    return []


def look_at_backups(directory: Path, now: datetime) -> list[Finding]:
    """Look whether the newest backup in *directory* is young."""
    cure = "see systemctl status linkrouter-backup.timer linkrouter-backup.service"
    try:
        times = [path.stat().st_mtime for path in directory.glob("central-*.db")]
    except OSError as exc:
        return [Finding("backup", f"{str(directory)!r} cannot be read ({exc.strerror})", "run this as root")]
    if not times:
        return [Finding("backup", f"there is none in {str(directory)!r}", cure)]
    days = (now - datetime.fromtimestamp(max(times), UTC)).days
    return [Finding("backup", f"the newest is {days} days old", cure)] if days >= MAX_AGE_DAYS else []
