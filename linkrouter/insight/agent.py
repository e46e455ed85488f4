"""The user agent read: browser, operating system, platform.

Promise: memory stays bounded whatever clients send: an agent is cut to what a router keeps, and a fixed number of
descriptions is remembered. A click opens the default browser, so a mail program shows only where it opens links itself.
"""

import importlib.util
import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

from ua_parser import BasicResolver, Domain, RegexResolver, Resolver, load_builtins

__all__ = ["Agent", "Platform", "describe_agent", "has_fast_agent_parser"]

Platform = Literal["desktop", "mobile", "tablet", "unknown"]

MAX_CHARS = 512  # as much as a router keeps
MAX_CACHED_AGENTS = 8_192  # of at most 512 characters: under 10 MB

# One name for a browser on every device: the platform says the rest.
_SAME_BROWSER = {
    "Chrome Mobile": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "Chrome Mobile WebView": "Chrome",
    "Edge Mobile": "Edge",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari",
    "Opera Mobile": "Opera",
    "IE Mobile": "IE",
}
_SAME_OS = {"Mac OS X": "macOS", "Ubuntu": "Linux", "Fedora": "Linux", "Debian": "Linux"}

# Google's own rule for Android: a phone says "Mobile", a tablet does not. iPadOS since 13 calls itself a Macintosh.
_PLATFORMS: tuple[tuple[re.Pattern[str], Platform], ...] = (
    (re.compile(r"TV\b|BRAVIA|AFT[A-Z]|PlayStation|Xbox|Nintendo|ImageProxy|MailProxy"), "unknown"),
    (re.compile(r"iPad|Tablet|Kindle|Silk/|PlayBook|Android(?!.*\bMobile\b)"), "tablet"),
    (re.compile(r"iPhone|iPod|\bMobile\b|Windows Phone|IEMobile|BlackBerry|Opera Mini"), "mobile"),
    (re.compile(r"Windows NT|Macintosh|Mac OS X|X11|CrOS|Linux"), "desktop"),
)


@dataclass(frozen=True, slots=True)
class Agent:
    """What a user agent says of itself; "unknown" where it says nothing."""

    browser: str = "unknown"
    os: str = "unknown"
    platform: Platform = "unknown"
    browser_version: str = ""  # the major one, or nothing


def describe_agent(user_agent: str | None) -> Agent:
    """Describe *user_agent*; None and the empty one are unknown."""
    return _describe(user_agent[:MAX_CHARS]) if user_agent else Agent()


def has_fast_agent_parser() -> bool:
    """Say whether ua-parser's native back end is installed; without it an agent takes thirty times as long."""
    return importlib.util.find_spec("ua_parser_rs") is not None


@lru_cache(MAX_CACHED_AGENTS)
def _describe(user_agent: str) -> Agent:
    parsed = _resolver()(user_agent, Domain.USER_AGENT | Domain.OS)
    family = parsed.user_agent.family if parsed.user_agent else "unknown"
    version = (parsed.user_agent.major if parsed.user_agent else None) or ""
    os = parsed.os.family if parsed.os else "unknown"
    platform: Platform = next((name for shape, name in _PLATFORMS if shape.search(user_agent)), "unknown")
    for program, pattern in _mail_programs():
        if found := pattern.search(user_agent):
            family, version, os = program.browser, found[1] if pattern.groups else "", _known(program.os, os)
            platform = program.platform if program.platform != "unknown" else platform
            break
    return Agent(_SAME_BROWSER.get(family, family), _SAME_OS.get(os, os), platform, version)


def _known(preferred: str, other: str) -> str:
    return other if preferred == "unknown" else preferred


@cache
def _resolver() -> Resolver:
    """Compile the rules, once: half a second and 35 MB, so not at import."""
    return (RegexResolver or BasicResolver)(load_builtins())


@cache
def _mail_programs() -> tuple[tuple[Agent, re.Pattern[str]], ...]:
    text = files("linkrouter.insight").joinpath("tables/mail-programs.toml").read_text("utf-8")
    return tuple(
        (Agent(row["browser"], row.get("os", "unknown"), row.get("platform", "unknown")), re.compile(row["pattern"]))
        for row in tomllib.loads(text)["program"]
    )
