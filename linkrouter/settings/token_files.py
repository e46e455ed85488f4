"""Token files, written: a line more or less, and everything else as it was.

Promise: a file is replaced whole or not at all, keeps its owner and mode, and a new one is readable by its owner alone.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from linkrouter.errors import SettingsError
from linkrouter.secretfile import locked_directory, replace_file
from linkrouter.settings.secrets import read_secret_text
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
    with _changing(path) as target:
        text = read_secret_text(target, "FILE") if target.exists() else ""
        if text and not text.endswith("\n"):
            text += "\n"
        text += " ".join(words) + "\n"
        try:
            parse_tokens(text)
        except ValueError as exc:
            raise SettingsError(f"FILE: {str(path)!r} {exc}") from None
        replace_file(target, text.encode("ascii"))


def remove_token_lines(path: Path, lines: Collection[TokenLine]) -> None:
    """Take *lines* out of the file.

    Raises:
        SettingsError: the file cannot be read or written.
    """
    gone = {line.token for line in lines}
    with _changing(path) as target:
        kept = [
            text
            for text in read_secret_text(target, "FILE").splitlines(keepends=True)
            if not gone.intersection(text.split()[:1])
        ]
        replace_file(target, "".join(kept).encode("ascii"))


@contextmanager
def _changing(path: Path) -> Iterator[Path]:
    """Be the only one who changes *path*; a symbolic link goes on pointing to the file, which is given."""
    target = path.resolve()
    try:
        with locked_directory(target):
            yield target
    except OSError as exc:
        raise SettingsError(f"FILE: {str(path)!r} cannot be written ({exc.strerror})") from None
