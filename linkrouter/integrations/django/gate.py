"""The gate of a Django project: may this mail go, by what the check has learnt of its links?

Promise: nothing is requested when a mail is sent; only the file of verdicts is read. `check_message` is what asks, when
the author of a mail wants to know.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from linkrouter.checker import Checker, Decision, LinkToCheck, extract, open_checker
from linkrouter.checker.mail.extract import merge_links
from linkrouter.errors import SettingsError
from linkrouter.integrations.django.options import SenderOptions, read_options
from linkrouter.integrations.django.rewriting import Parts, parts_of
from linkrouter.settings import CheckSettings, read_settings

__all__ = ["ask_gate", "check_message", "read_check_settings"]


def check_message(message: Any) -> Decision:
    """Check the links of a Django message now, keep the verdicts, and say whether it may go.

    Raises:
        ImproperlyConfigured: `LINKROUTER["CHECK"]` will not do.
        StoreError: the file of verdicts cannot be read.
    """
    options = read_options()

    async def check(checker: Checker, links: tuple[LinkToCheck, ...]) -> Decision:
        async for _ in checker.check(links, within_s=read_check_settings(options).total_timeout):
            pass
        return await checker.gate(links)

    return _ask(options, parts_of(message), check)


def ask_gate(options: SenderOptions, parts: Parts) -> Decision:
    """Say whether a mail of these parts may go, by stored verdicts alone.

    Raises:
        ImproperlyConfigured: `LINKROUTER["CHECK"]` will not do.
        StoreError: the file of verdicts cannot be read.
    """
    return _ask(options, parts, Checker.gate)


@lru_cache(maxsize=8)
def read_check_settings(options: SenderOptions) -> CheckSettings:
    """Read `LINKROUTER["CHECK"]`, the options of `linkrouter check`.

    Raises:
        ImproperlyConfigured: one is unknown or wrong, or there is no cache.
    """
    given = {name.lower().replace("-", "_"): text for name, text in options.check}
    known = CheckSettings.__dataclass_fields__
    if unknown := [name for name in given if name not in known]:
        raise ImproperlyConfigured(f"LINKROUTER['CHECK'] has an unknown key {unknown[0][:80]!r}")
    if not given.get("cache"):
        raise ImproperlyConfigured("LINKROUTER['CHECK'] has no 'cache': the file of verdicts that the gate reads")
    try:
        return read_settings(CheckSettings, given, {})
    except SettingsError as exc:
        raise ImproperlyConfigured(f"LINKROUTER['CHECK']: {exc}") from exc


def _ask(
    options: SenderOptions,
    parts: Parts,
    question: Callable[[Checker, tuple[LinkToCheck, ...]], Coroutine[Any, Any, Decision]],
) -> Decision:
    settings = read_check_settings(options)
    links = merge_links(extract(content, part, local=bool(settings.allow_network)) for part, content in parts)

    async def ask() -> Decision:
        async with open_checker(settings) as checker:
            return await question(checker, links)

    with ThreadPoolExecutor(1) as pool:  # the caller may be in an event loop of its own
        try:
            return pool.submit(asyncio.run, ask()).result()
        except SettingsError as exc:
            raise ImproperlyConfigured(f"LINKROUTER['CHECK']: {exc}") from exc
