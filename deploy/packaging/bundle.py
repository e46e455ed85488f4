#!/usr/bin/env python3
"""Make a bundle that installs without a network: deploy/, haproxy/ and every wheel; `bundle.py` prints its path.

It fits machines of this kind with the Python that made it.
"""

import sys
import tarfile
from pathlib import Path

from wheels import BUILD, ROOT, collect_wheels, project_version


def main() -> None:
    """Make it."""
    folder = collect_wheels(Path(sys.executable))
    name = f"linkrouter-{project_version()}-python{sys.version_info[0]}.{sys.version_info[1]}"
    path = BUILD / f"{name}.tar"
    with tarfile.open(path, "w") as bundle:
        for source in ("deploy", "haproxy", "LICENSE"):
            bundle.add(ROOT / source, f"{name}/{source}", filter=_plain)
        bundle.add(folder, f"{name}/wheels", filter=_plain)
    print(path)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what Python made, and whose the files were."""
    entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, "root", "root"
    return None if "__pycache__" in entry.name else entry


if __name__ == "__main__":
    main()
