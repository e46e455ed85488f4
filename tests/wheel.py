"""Build the package and run its fast tests on the wheel: `python wheel.py [--ends] [--only NAME]`.

Promise: nothing of the checkout is imported; the tests are those of the sdist. Environments start empty: the lowest
releases that pyproject.toml allows on the lowest Python, and the newest ones on every other from 3.11 up that is here,
with `--ends` on the last of them alone.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "wheel"
FIRST, LAST = 11, 15  # minor versions of Python 3 that are looked for
MINUTES = 12  # for the tests in one environment
TEST_NEEDS = [  # of the extra `dev`, what the fast tests import
    *("h2", "hypothesis", "lxml", "mmdb-writer", "openapi-spec-validator"),
    *("pytest", "pytest-aiohttp", "pytest-asyncio", "pytest-xdist"),
]


def run(*command: object, **options: object) -> None:
    """Run one command to its end.

    Raises:
        CalledProcessError: it failed.
    """
    subprocess.run([str(word) for word in command], check=True, **options)


def find_pythons() -> dict[str, Path]:
    """Give an interpreter for each "3.x" that can be had here, pyenv's included."""
    found = {}
    for minor in range(FIRST, LAST + 1):
        installed = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob(f"3.{minor}.*"))
        candidates = [path / "bin" / "python" for path in installed]
        if on_path := shutil.which(f"python3.{minor}"):
            candidates.insert(0, Path(on_path))
        for python in candidates:
            if subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0:
                found[f"3.{minor}"] = python
                break
        else:
            print(f"no Python 3.{minor} here: skipped")
    return found


def build() -> tuple[Path, Path]:
    """Build sdist and wheel; give the wheel, and a folder with what the sdist holds besides the package."""
    shutil.rmtree(BUILD, ignore_errors=True)
    make_venv(Path(sys.executable), BUILD / "tools", "build")
    run(BUILD / "tools" / "bin" / "python", "-m", "build", "--outdir", BUILD / "dist", ROOT, stdout=subprocess.DEVNULL)
    [wheel], [sdist] = (list((BUILD / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    with tarfile.open(sdist) as archive:
        archive.extractall(BUILD / "unpacked", filter="data")
    [unpacked] = (BUILD / "unpacked").iterdir()
    return wheel, unpacked


def make_venv(python: Path, folder: Path, *needs: object, options: tuple[object, ...] = ()) -> None:
    """Make an empty environment in *folder* and install *needs* into it."""
    run(python, "-m", "venv", folder)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-warn-script-location")
    run(folder / "bin" / "python", "-m", "pip", "install", *quiet, *options, *needs)


def run_tests(folder: Path, unpacked: Path) -> None:
    """Run the fast tests in the environment *folder*, and see that they use what is installed there."""
    # No process may find a package in the folder that it was started in.
    environ = os.environ | {"PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    code = "import linkrouter, sys; sys.exit('site-packages' not in linkrouter.__file__)"
    run(folder / "bin" / "python", "-c", code, cwd=unpacked, env=environ)
    # Plugins of pytest that other packages bring may be older than pytest. A spawned process has no way to the tests.
    options = ["-q", "-m", "not slow", "-n", "2", "-p", "no:anyio", "-p", "no:cacheprovider"]
    options += [
        "--ignore=tests/test_house.py",
        "--deselect=tests/encoder/test_encoder.py::test_works_in_a_spawned_process",
    ]
    run(
        *("timeout", "--signal=ABRT", "--kill-after=30", f"{MINUTES}m", folder / "bin" / "pytest", *options),
        cwd=unpacked,
        env=environ,
    )


def main() -> None:
    """Make the environments, run the tests in one after the other, and say how long each took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="only environments whose name holds this, such as lowest or 3.12")
    parser.add_argument("--ends", action="store_true", help="the first and the last environment alone")
    asked = parser.parse_args()
    wheel, unpacked = build()
    pythons = find_pythons()
    first = next(iter(pythons))
    environments = {f"{first}-lowest": pythons.pop(first), **{f"{name}-newest": path for name, path in pythons.items()}}
    names = [name for name in environments if asked.only in name]
    chosen = names[:: max(1, len(names) - 1)] if asked.ends else names
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:  # to install is to wait for one core and the network
        list(pool.map(lambda name: install(environments[name], name, wheel), chosen))
    print(f"{len(chosen)} environments: {time.monotonic() - began:.0f} s", flush=True)
    for name in chosen:
        began = time.monotonic()
        run_tests(BUILD / name, unpacked)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


def install(python: Path, name: str, wheel: Path) -> None:
    """Make the environment *name*, with *wheel* and what the tests need."""
    options: tuple[object, ...] = ()
    if name.endswith("-lowest"):
        lowest = BUILD / "lowest.txt"
        with open(lowest, "w") as file:
            run(BUILD / "tools" / "bin" / "python", Path(__file__).parent / "lowest.py", stdout=file)
        options = ("--constraint", lowest)
    make_venv(python, BUILD / name, f"{wheel}[check,dashboard,django,geo]", *TEST_NEEDS, options=options)


if __name__ == "__main__":
    main()
