"""The gate before a mail is sent on: its links checked, and what the sender is told when it is held.

Promise: with the gate on, no mail goes whose links are flagged or not known to be clean. What is told of a held mail
names a list or a reason and no link, since servers log what they are told. Parts that cannot be read are let through,
as the encoder does.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from linkrouter.checker import Checker, Decision, extract
from linkrouter.checker.check import CHECK_TIMEOUT_S
from linkrouter.checker.mail.extract import merge_links
from linkrouter.encoder import ContentKind
from linkrouter.errors import StoreError

__all__ = ["Held", "MailGate"]


class Held(NamedTuple):
    """Why a mail is held: for good, or until its links are known."""

    why: Literal["flagged", "unknown"]
    reason: str


class MailGate:
    """Asks *checker*, for at most *within_s* seconds a mail."""

    def __init__(self, checker: Checker, *, within_s: float = CHECK_TIMEOUT_S, local: bool = False) -> None:
        self._checker = checker
        self._within_s = within_s
        self._local = local

    async def find_hold(self, parts: Sequence[tuple[ContentKind, str | bytes]], tenant: int) -> Held | None:
        """Give what holds the mail that has *parts*, if anything does."""
        found = merge_links(extract(content, kind, local=self._local) for kind, content in parts)
        links = [link for link in found if link.settled is None or link.settled[1] != "unreadable"]
        checker = self._checker.for_tenant(tenant or None)
        try:
            decision = await checker.gate(links)
            if decision.answer == "wait":
                async for _ in checker.check(links, author="mail", within_s=self._within_s):
                    pass
                decision = await checker.gate(links)
        except StoreError:
            return Held("unknown", "verdicts cannot be read")
        return _hold(decision)


def _hold(decision: Decision) -> Held | None:
    if decision.may_send:
        return None
    if decision.answer == "block":
        lists = dict.fromkeys(finding.why for finding in decision.blocks)
        return Held("flagged", f"{_links(len(decision.blocks))} flagged: {', '.join(lists)}")
    reasons = dict.fromkeys(finding.why for finding in decision.waits)
    return Held("unknown", f"{_links(len(decision.waits))} not known to be clean: {', '.join(reasons)}")


def _links(number: int) -> str:
    return f"{number} link{'s' if number > 1 else ''} of this mail {'are' if number > 1 else 'is'}"
