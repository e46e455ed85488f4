"""`linkrouter exit`: write what serves every link ever sent without this project.

Promise: nothing that exists is overwritten unless asked, and what holds a secret can be read by its owner alone.
"""

import json
import os
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from linkrouter.errors import BadRule, KeyringError
from linkrouter.link.codec import encode_base64url
from linkrouter.link.keyring import Keyring
from linkrouter.link.takeback import TakeBack, parse_take_back, verify_take_back

__all__ = ["exit"]

_SECRET, _PUBLIC = 0o600, 0o644


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--keys", required=True, type=click.Path(path_type=Path), help="Keyring file.")
@click.option("--takebacks", type=click.Path(path_type=Path), help="Take-backs, as JSON or as JSON lines.")
@click.option("--overwrite", is_flag=True, help="Replace the files that an earlier run wrote.")
def exit(directory: Path, keys: Path, takebacks: Path | None, overwrite: bool) -> None:  # noqa: A001  # its name
    """Write redirect.py, worker.js and a README into DIR: each serves every link ever sent without linkrouter.

    Exit 1 when a take-back was refused and left out.
    """
    ring = Keyring.load(keys)
    entries = [
        {"id": key.id, "secret": encode_base64url(key.secret), "state": "verify"}
        for key in ring.keys
        if key.state != "revoked"
    ]
    if not entries:
        raise KeyringError(f"keyring {str(keys)!r} holds no key that verifies links")
    rules, refused = _read_rules(takebacks, ring) if takebacks else ([], 0)
    contents = {
        "redirect.py": (_template("redirect.py"), _PUBLIC),
        "README.md": (_template("README.md"), _PUBLIC),
        "keys.json": (json.dumps({"keys": entries}, indent=2) + "\n", _SECRET),
        "take-backs.json": (json.dumps([rule._asdict() for rule in rules], indent=1) + "\n", _SECRET),
        "worker.js": (_worker(entries, rules), _SECRET),
    }
    _write_all(directory, contents, overwrite)
    click.echo(
        f"{directory}: keys: {len(entries)}, take-backs: {len(rules)}; keep keys.json and worker.js secret", err=True
    )
    sys.exit(1 if refused else 0)


def _read_rules(path: Path, ring: Keyring) -> tuple[list[TakeBack], int]:
    """Give the rules in *path* that verify, and how many do not; say why of each."""
    rules, refused = [], 0
    for place, fields in enumerate(_rules_in(path), 1):
        try:
            rule = parse_take_back(fields)
            verify_take_back(rule, ring)
        except BadRule as exc:
            refused += 1
            click.echo(f"take-back {place} was left out: {exc}", err=True)
        else:
            rules.append(rule)
    return rules, refused


def _rules_in(path: Path) -> Iterator[Any]:
    """Give what may be rules in *path*: a list, the object of `GET /v1/take-backs`, or one rule a line."""
    try:
        text = path.read_text("utf-8")
        try:
            content = json.loads(text)
        except ValueError:
            content = [json.loads(line) for line in text.splitlines() if line.strip()]
    except OSError as exc:
        raise click.UsageError(f"--takebacks: {str(path)!r} cannot be read ({exc.strerror})") from exc
    except (ValueError, RecursionError):
        raise click.UsageError(f"--takebacks: {str(path)!r} is neither JSON nor JSON lines") from None
    if isinstance(content, dict):
        content = content.get("rules", [content])
    yield from content if isinstance(content, list) else [content]


def _template(name: str) -> str:
    return (files("linkrouter.exit") / name).read_text("utf-8")


def _worker(entries: list[dict[str, Any]], rules: list[TakeBack]) -> str:
    """Give worker.js with keys and rules within: JSON is JavaScript."""
    source = _template("worker.js")
    for name, value in (("KEYS", entries), ("RULES", [rule._asdict() for rule in rules])):
        empty = f"\nconst {name} = [];\n"
        assert source.count(empty) == 1, "the template has one line for each"
        source = source.replace(empty, f"\nconst {name} = {json.dumps(value)};\n")
    return source


def _write_all(directory: Path, contents: dict[str, tuple[str, int]], overwrite: bool) -> None:
    existing = [name for name in contents if (directory / name).exists()]
    if existing and not overwrite:
        raise click.UsageError(f"{str(directory)!r} holds {existing[0]} already; choose another, or give --overwrite")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, (text, mode) in contents.items():
            path = directory / name
            path.unlink(missing_ok=True)  # so that the mode is that of a new file
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as exc:
        raise click.UsageError(f"{str(directory)!r} cannot be written ({exc.strerror})") from exc
