"""Collect linkrouter and all it needs as wheels, at exact versions with their hashes.

Promise: package and bundle made from one folder install the same bytes. `pins.txt` in it is made once, from the newest
releases that pyproject.toml allows, and used until pyproject.toml is another or the folder is removed.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "packaging"
EXTRAS = "check,dashboard,fast,geo,postgres,redis,smtp"  # what services use; senders that use Django have it elsewhere


def run(*command: object, env: dict[str, str] | None = None) -> str:
    """Run a command and give what it says.

    Raises:
        SystemExit: it failed; what it complained about has been shown.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, text=True, env=env)  # noqa: S603 - fixed commands
    if done.returncode:
        sys.exit(f"{words[0]} failed with exit code {done.returncode}, see above")
    return done.stdout


def project_version() -> str:
    """Give linkrouter's version."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def collect_wheels(python: Path) -> Path:
    """Give the folder of wheels and `pins.txt` for the Python at *python*, and this machine's kind."""
    tools, folder = BUILD / "tools", BUILD / "wheels"
    if not (tools / "bin" / "pip").exists():
        run(python, "-m", "venv", tools)
    pip = (tools / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
    pins = BUILD / "pins.txt"
    mark = f"# for what pyproject.toml {hashlib.sha256((ROOT / 'pyproject.toml').read_bytes()).hexdigest()} needs\n"
    if not pins.exists() or not pins.read_text().startswith(mark):
        shutil.rmtree(folder, ignore_errors=True)
        resolved = run(*pip, "install", "--dry-run", "--ignore-installed", "-qq", "--report", "-", f"{ROOT}[{EXTRAS}]")
        lines = sorted(_pin(item) for item in json.loads(resolved)["install"] if not _is_ours(item))
        pins.write_text(mark + "".join(lines))
    if not folder.exists():
        partial = BUILD / "wheels.partial"  # so that what was cut off is never taken for whole
        shutil.rmtree(partial, ignore_errors=True)
        exact = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", pins)
        run(*pip, "download", "-qq", *exact, "-d", partial)
        partial.rename(folder)
    for old in folder.glob("linkrouter-*.whl"):
        old.unlink()
    run(*pip, "wheel", "-qq", "--no-deps", "-w", folder, ROOT)
    [own] = folder.glob("linkrouter-*.whl")
    ours = f"linkrouter=={project_version()} --hash=sha256:{hashlib.sha256(own.read_bytes()).hexdigest()}\n"
    (folder / "pins.txt").write_text(pins.read_text() + ours)
    return folder


def _is_ours(item: dict[str, Any]) -> bool:
    return bool(item["metadata"]["name"] == "linkrouter")


def _pin(item: dict[str, Any]) -> str:
    digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{item['metadata']['name']}=={item['metadata']['version']} --hash=sha256:{digest}\n"
