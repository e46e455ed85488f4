"""How PostgreSQL says the statements of `store/sql`.

Promise: the few places where its words differ from SQLite's are replaced here, and nowhere else. Each value is written
with its type, so that none has to be guessed: `:tenant IS NULL OR tenant = :tenant` has none to guess from.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from linkrouter.central.store.sql.database import Values

__all__ = ["bind", "in_order"]

_VALUE = r"(?<![:\w]):[a-z_]+|(?<!')\?"
_JSON_VALUE = r"(?<!SELECT value FROM )json_each\((VALUE)\)".replace("VALUE", _VALUE)
_REPLACED = (
    (_JSON_VALUE, r"json_array_elements(CAST(\1 AS json))"),
    (r"NOT IN \(SELECT value FROM json_each\((.+?)\)\)", r"<> ALL(\1)"),
    (r"IN \(SELECT value FROM json_each\((.+?)\)\)", r"= ANY(\1)"),
    (r"json_extract\((\w+\.value), '\$\[(\d)\]'\)", r"(\1 ->> \2)"),
    (rf"([\w.]+) = ({_VALUE}) COLLATE NOCASE", r'lower(\1) = lower(\2 COLLATE "C")'),
    # SQLite's functions of two values, whose names aggregates have.
    (r"\bmin\(([^(),]+), ([^(),]+)\)", r"least(\1, \2)"),
    (r"\bmax\(([^(),]+), ([^(),]+)\)", r"greatest(\1, \2)"),
    # What SQLite is told of the way to rows, PostgreSQL finds by its statistics.
    (r" NOT INDEXED| INDEXED BY \w+", ""),
    (r"\bCROSS JOIN\b", "JOIN"),
    # A URL can be longer than an index takes.
    (r"ON CONFLICT \(tenant, url\)", "ON CONFLICT (tenant, md5(url))"),
)
_TYPES = {int: "bigint", bool: "smallint", str: "text", bytes: "bytea", float: "double precision"}


class _Plan(NamedTuple):
    """A statement in PostgreSQL's words: what stands between its values, and their names in order."""

    pieces: tuple[str, ...]
    names: tuple[str, ...]  # of values that stand in order, their numbers
    as_json: frozenset[str]


def bind(statement: str, values: Values) -> tuple[str, list[Any]]:
    """Give *statement* as the server takes it, with the values it is sent with."""
    plan = _translate(statement)
    given = values if isinstance(values, Mapping) else {str(number): value for number, value in enumerate(values)}
    names = list(dict.fromkeys(plan.names))
    wanted = {name: json.dumps(given[name]) if name in plan.as_json else given[name] for name in names}
    kinds = tuple(_kind(wanted[name]) for name in names)
    sent = [wanted[name] for name, kind in zip(names, kinds, strict=True) if kind not in ("NULL", "'{}'")]
    return _write(statement, kinds), [int(one) if isinstance(one, bool) else one for one in sent]


@lru_cache(maxsize=1024)
def in_order(statement: str) -> str:
    """Give *statement*, whose values stand in order, as the server takes it with rows for the types of a table."""
    pieces = _translate(statement).pieces
    return pieces[0] + "".join(f"${number}{piece}" for number, piece in enumerate(pieces[1:], 1))


def _kind(value: Any) -> str:
    if value is None:
        return "NULL"
    if not isinstance(value, list | tuple):
        return _TYPES[type(value)]
    return f"{_TYPES[type(value[0])]}[]" if value else "'{}'"


@lru_cache(maxsize=1024)
def _translate(statement: str) -> _Plan:
    as_json = frozenset(name.removeprefix(":") for name in re.findall(_JSON_VALUE, statement))
    for pattern, replacement in _REPLACED:
        statement = re.sub(pattern, replacement, statement)
    names: list[str] = []
    for found in re.findall(_VALUE, statement):
        names.append(str(len(names)) if found == "?" else found[1:])
    return _Plan(tuple(re.split(_VALUE, statement)), tuple(names), as_json)


@lru_cache(maxsize=4096)
def _write(statement: str, kinds: tuple[str, ...]) -> str:
    plan = _translate(statement)
    written: dict[str, str] = {}
    number = 0
    for name, kind in zip(dict.fromkeys(plan.names), kinds, strict=True):
        if kind in ("NULL", "'{}'"):
            written[name] = kind
        else:
            number += 1
            written[name] = f"${number}::{kind}"
    names = iter(plan.names)
    return plan.pieces[0] + "".join(written[next(names)] + piece for piece in plan.pieces[1:])
