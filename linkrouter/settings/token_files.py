"""Token files, written: a line more or less, and everything else as it was.

Promise: a file is replaced whole or not at all, keeps its owner and mode, and a new one is readable by its owner alone.
"""

import os
import stat
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from linkrouter.errors import SettingsError
from linkrouter.settings.tokens import TokenLine, parse_tokens

__all__ = ["add_token_line", "remove_token_lines"]


def add_token_line(path: Path, line: TokenLine) -> None:
    """Add *line* to the file, which is made when there is none.

    Raises:
        SettingsError: the file cannot be read or written, or would be no token file with the line.
    """
    words = [line.token]
    if line.scopes:
        words.append(f"scopes={','.join(line.scopes)}")
    if line.tenant is not None:
        words.append(f"tenant={line.tenant}")
    if line.name:
        words.append(f"name={line.name}")
    text = _read(path) if path.exists() else ""
    if text and not text.endswith("\n"):
        text += "\n"
    text += " ".join(words) + "\n"
    try:
        parse_tokens(text)
    except ValueError as exc:
        raise SettingsError(f"FILE: {str(path)!r} {exc}") from None
    _replace(path, text)


def remove_token_lines(path: Path, lines: Collection[TokenLine]) -> None:
    """Take *lines* out of the file.

    Raises:
        SettingsError: the file cannot be read or written.
    """
    gone = {line.token for line in lines}
    kept = [text for text in _read(path).splitlines(keepends=True) if not gone.intersection(text.split()[:1])]
    _replace(path, "".join(kept))


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"FILE: {str(path)!r} cannot be read; it must be plain ASCII text") from None


def _replace(path: Path, text: str) -> None:
    target = path.resolve()  # a symbolic link goes on pointing to the file
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(handle, "w") as file:
                file.write(text)
                with suppress(FileNotFoundError):
                    before = target.stat()
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
                    os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as exc:
        raise SettingsError(f"FILE: {str(path)!r} cannot be written ({exc.strerror})") from None
