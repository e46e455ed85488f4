"""Builds the disk that fails on demand, and runs a program on it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("shim.c")


def build_shim(directory: Path) -> Path:
    """Compile `shim.c` into *directory* with the system's compiler, or skip the test and say why."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler for the failing disk; run: apt-get install gcc libc6-dev")
    shim = directory / "shim.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", shim, SOURCE, "-ldl"], check=True)
    return shim


def on_failing_disk(shim: Path, match: str) -> dict[str, str]:
    """Give the environment in which a program's files with *match* in their path can be made to fail."""
    return os.environ | {"LD_PRELOAD": str(shim), "SHIM_MATCH": match}
