"""Files that are changed together.

Promise: each is written whole or not at all, and `undo` puts back what was there, so that what does not succeed leaves
no trace.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write *path* whole or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@dataclass(frozen=True, slots=True)
class Changes:
    """What was changed, in order, and what was there before."""

    _before: list[tuple[Path, bytes | None, int]] = field(default_factory=list)

    def write(self, path: Path, content: bytes, mode: int = 0o644) -> None:
        """Write *path*; a file that is there keeps its mode."""
        self._remember(path)
        replace(path, content, self._before[-1][2] or mode)

    def remove(self, path: Path) -> None:
        """Remove *path* if it is there."""
        self._remember(path)
        path.unlink(missing_ok=True)

    def undo(self) -> None:
        """Put back what was there, the last change first."""
        while self._before:
            path, content, mode = self._before.pop()
            if content is None:
                path.unlink(missing_ok=True)
            else:
                replace(path, content, mode)

    def _remember(self, path: Path) -> None:
        if path.exists():
            self._before.append((path, path.read_bytes(), path.stat().st_mode & 0o777))
        else:
            self._before.append((path, None, 0))
