"""What a user agent alone gives away: a machine that declares itself, or a browser that hardly anybody runs any more.

Promise: a mail program is never taken for a machine because of its odd shape. The words stand in a dated table
(`tables/declared-agents.toml`); the shapes are two: a single `name/version`, and `Mozilla/…` with nothing
of substance after.
"""

import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files

__all__ = ["is_declared_agent", "is_old_agent"]

MAX_DECLARED_CACHED = 8_192
MAX_AGENT_CHARS = 512  # as much as a router keeps

# The first release of 2019 of each: old sandboxes still run what came before, and few people do.
OLDEST_MAJOR = {"Chrome": 72, "Firefox": 65, "MSIE": 11, "Version": 11}
_MAJOR = re.compile(r"\b(Chrome|Firefox|MSIE)[/ ](\d+)|\bVersion/(\d+)(?=[^;]* Safari/)")
_SINGLE_TOKEN = re.compile(r"[\w.-]+(?:/[\w.-]*)?")
_EMPTY_MOZILLA = re.compile(r"Mozilla/[\d.]+\s*(?:\(\s*(?:compatible)?[;\s]*\))?")


def is_declared_agent(user_agent: str) -> bool:
    """Say whether *user_agent* declares a machine, by its words or by its shape."""
    return _is_declared(user_agent[:MAX_AGENT_CHARS])


def is_old_agent(user_agent: str) -> bool:
    """Say whether *user_agent* is a browser of 2018 or before; Outlook, whose engine calls itself MSIE 7, is not."""
    return _is_old(user_agent[:MAX_AGENT_CHARS])


@lru_cache(MAX_DECLARED_CACHED)
def _is_declared(user_agent: str) -> bool:
    words, mail_programs = _table()
    text = user_agent.strip()
    if words.search(text.lower().replace("cubot", "")):  # CUBOT makes phones
        return True
    if _EMPTY_MOZILLA.fullmatch(text):
        return True
    first_word = re.split(r"[/ ]", text.lower(), maxsplit=1)[0]
    return bool(_SINGLE_TOKEN.fullmatch(text)) and first_word not in mail_programs


@lru_cache(MAX_DECLARED_CACHED)
def _is_old(user_agent: str) -> bool:
    if "Trident/7" in user_agent or "Outlook" in user_agent:
        return False
    found = _MAJOR.search(user_agent)
    if found is None:
        return False
    name, major = (found[1], found[2]) if found[1] else ("Version", found[3])
    if name == "Version" and "Android" in user_agent:
        return False
    return int(major) < OLDEST_MAJOR[name]


@cache
def _table() -> tuple[re.Pattern[str], frozenset[str]]:
    text = files("linkrouter.insight").joinpath("tables/declared-agents.toml").read_text("utf-8")
    table = tomllib.loads(text)
    words = [word for kind in ("scanners", "previews", "tools", "words") for word in table[kind]]
    return re.compile("|".join(map(re.escape, words)) + r"|bot$"), frozenset(table["mail_programs"])
