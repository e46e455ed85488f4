"""Print pip constraints that hold every dependency at the lowest release pyproject.toml allows: `PYTHON lowest.py`.

Promise: the releases are those that the pip of this interpreter would find for it; no list is kept anywhere.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

EXTRAS = ("check", "dashboard", "django", "geo")


def bounded_requirements(pyproject: Path) -> list[Requirement]:
    """Give what the package and its extras for users need; what only developers need may be new."""
    project = tomllib.loads(pyproject.read_text())["project"]
    lines = project["dependencies"] + [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    return [Requirement(line) for line in lines]


def lowest_release(requirement: Requirement, released: list[str]) -> Version:
    """Give the lowest of *released* that *requirement* allows.

    Raises:
        ValueError: it allows none of them.
    """
    return min(Version(text) for text in released if Version(text) in requirement.specifier)


def released_versions(name: str) -> list[str]:
    """Ask pip which releases of *name* this interpreter could install."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", name], capture_output=True, text=True, check=True
    ).stdout
    listed = re.search(r"^Available versions: (.+)$", told, re.MULTILINE)
    assert listed, f"pip index says nothing of {name}: {told!r}"
    return listed[1].split(", ")


def main() -> None:
    """Print one constraint a line."""
    lowest: dict[str, Version] = {}
    for requirement in bounded_requirements(Path(__file__).parents[1] / "pyproject.toml"):
        version = lowest_release(requirement, released_versions(requirement.name))
        lowest[requirement.name] = max(version, lowest.get(requirement.name, version))
    for name, version in sorted(lowest.items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
