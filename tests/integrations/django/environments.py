"""An environment of its own for each Django, with the queues and services that people send through.

Made once in `build/django/`; `python environments.py` makes all of them. Promise: what a test gets is the release it
asked for, or a skip that says what is missing.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "build" / "django"
LOWEST_PYTHON = {"4.2": (3, 11), "5.2": (3, 11), "6.1": (3, 12)}
HIGHEST_PYTHON = {"4.2": (3, 12), "5.2": (3, 14), "6.1": (3, 15)}
NEEDS = ("aiosmtpd", "django-anymail", "django-celery-email", "django-post-office")
MINUTES = 5


def make_environment(version: str) -> Path:
    """Give the interpreter of the environment with Django *version*; made when it is not there yet."""
    folder = BUILD / version
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / f"{version}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(version, folder)
            (folder / ".made").touch()
    return folder / "bin" / "python"


def _make(version, folder):
    python = _find_python(version)
    if python is None:
        pytest.skip(f"Django {version} needs Python {'.'.join(map(str, LOWEST_PYTHON[version]))}, which is not here")
    same = _version_of(python) == sys.version_info[:2]
    ours = () if same else (ROOT,)
    _run(python, "-m", "venv", folder)
    pip = (folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    done = _run(*pip, f"django=={version}.*", *NEEDS, *ours, check=False)
    if done.returncode:
        pytest.skip(f"Django {version} cannot be installed here: {done.stderr.decode()[-200:]}")
    if same:  # what linkrouter needs is in this environment already; Django's own stands before it
        [site] = folder.glob("lib/python*/site-packages")
        (site / "of-the-checkout.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")


def _find_python(version):
    """Give this interpreter or another one here that Django *version* runs on."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [Path(sys.executable), *sorted(pyenv.glob("3.*/bin/python"))]
    found += [Path(path) for minor in range(11, 16) if (path := shutil.which(f"python3.{minor}"))]
    return next((one for one in found if LOWEST_PYTHON[version] <= _version_of(one) <= HIGHEST_PYTHON[version]), None)


def _version_of(python):
    if python == Path(sys.executable):
        return sys.version_info[:2]
    code = "import sys, ensurepip, venv; print(*sys.version_info[:2])"
    told = subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.split()
    return tuple(map(int, told))


def _run(*command, check=True):
    return subprocess.run(list(map(str, command)), check=check, capture_output=True, timeout=60 * MINUTES)


if __name__ == "__main__":
    for each in LOWEST_PYTHON:
        print(each, make_environment(each))
