"""What `linkrouter check` is given: files, globs, URLs, and standard input.

Promise: each is read whole or named in one line; what it was taken for is told.
"""

import glob
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from linkrouter.errors import LinkrouterError

if TYPE_CHECKING:
    from linkrouter.checker.mail.content import ContentType
    from linkrouter.checker.pages import Pages
    from linkrouter.settings import CheckCommandSettings

__all__ = ["FILE_TYPES", "RawInput", "expand_paths", "is_url", "read_inputs"]

FILE_TYPES: "dict[str, ContentType]" = {
    "eml": "message",
    "message": "message",
    "html": "html",
    "text": "text",
    "markdown": "markdown",
    "urls": "urls",
    "mjml": "mjml",
    "feed": "feed",
}
_URL = re.compile(r"https?://", re.IGNORECASE)
_KIND_OF_TYPE: "tuple[tuple[str, ContentType], ...]" = (
    ("text/html", "html"),
    ("application/xhtml", "html"),
    ("text/markdown", "markdown"),
    ("rss", "feed"),
    ("atom", "feed"),
    ("message/rfc822", "message"),
)


class RawInput(NamedTuple):
    """One input: its name as it was given, its bytes, what it is, and where relative links lead from."""

    name: str
    content: bytes
    kind: "ContentType"
    base: str = ""

    def __repr__(self) -> str:
        return f"<RawInput {self.kind}, {len(self.content)} bytes>"


def is_url(name: str) -> bool:
    """Whether the input *name* is to be fetched."""
    return _URL.match(name) is not None


def expand_paths(names: Iterable[str]) -> list[str]:
    """Give the inputs that *names* stand for, each once; a shell may have left globs alone.

    Raises:
        click.UsageError: a glob matches nothing, or a file is not there.
    """
    found: dict[str, None] = {}
    for name in names or ("-",):
        if name == "-" or is_url(name) or Path(name).is_file():
            found[name] = None
        elif glob.has_magic(name):
            matches = sorted(path for path in glob.glob(name, recursive=True) if Path(path).is_file())
            if not matches:
                raise click.UsageError(f"{name!r} matches no file")
            found.update(dict.fromkeys(matches))
        else:
            what = "is a folder; give a glob such as '*.html'" if Path(name).is_dir() else "does not exist"
            raise click.UsageError(f"{name!r} {what}")
    return list(found)


def read_inputs(names: Iterable[str], kind: "ContentType | None", settings: "CheckCommandSettings") -> list[RawInput]:
    """Read every input.

    Raises:
        click.UsageError: one cannot be read, or a URL is given and the check is to run offline.
        LinkrouterError: a URL could not be fetched.
    """
    names = list(names)
    urls = [name for name in names if is_url(name)]
    if urls and settings.offline:
        raise click.UsageError("a URL cannot be read with --offline")
    fetched = dict(zip(urls, _fetch_all(urls, kind, settings), strict=True)) if urls else {}
    return [fetched[name] if name in fetched else _read(name, kind) for name in names]


def _read(name: str, kind: "ContentType | None") -> RawInput:
    from linkrouter.checker.mail.kinds import guess_kind

    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as exc:
        raise click.UsageError(f"{name!r} cannot be read ({exc.strerror})") from exc
    return RawInput(name, raw, kind or guess_kind(raw, name))


def _fetch_all(urls: list[str], kind: "ContentType | None", settings: "CheckCommandSettings") -> Iterator[RawInput]:
    import asyncio

    import uvloop

    from linkrouter.checker.compose import open_pages
    from linkrouter.checker.mail.kinds import guess_kind

    async def fetch(pages: "Pages", url: str) -> RawInput:
        page = await pages.get(url)
        if page.fault:
            raise LinkrouterError(f"an input could not be fetched: {page.fault}")
        declared = next((of for part, of in _KIND_OF_TYPE if part in page.content_type), None)
        return RawInput(url, page.content, kind or declared or guess_kind(page.content, url), page.url)

    async def run() -> list[RawInput]:
        async with open_pages(settings) as pages:
            return await asyncio.gather(*(fetch(pages, url) for url in urls))

    yield from uvloop.run(run())
