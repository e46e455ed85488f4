"""The responder: from one request to its answer and its click, whichever way it came through the server.

Promise: the direct answer and aiohttp's own way both get their bytes here, so they cannot differ; nothing here waits.
`answer` does only what the bytes need; `record`, called once a turn of the loop, makes the clicks of all its answers.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from multidict import CIMultiDictProxy, istr

from linkrouter.clicks.click import Click
from linkrouter.errors import UnknownKey
from linkrouter.link.keyring import OpenedLink
from linkrouter.link.takeback import STOP
from linkrouter.link.takeback_table import RuleInForce
from linkrouter.metrics import Metrics
from linkrouter.router.answers import Answers
from linkrouter.router.decide import Outcome, Peer, RequestPolicy, describe, find_link
from linkrouter.router.domains import Domains
from linkrouter.router.take_backs import FindRule

__all__ = ["Responder"]

_HOST = istr("Host")  # which needs no folding at each look-up


class Responder:
    """Turns requests into bytes and clicks.

    *open_link* is a keyring's `open`; assign another to change keys under load. `find_rule` tells which take-back
    applies to a link, and `domains` whose links a host serves; None, while there is nothing to tell, costs nothing.
    *record* gets the clicks of genuine links, those of a turn together. With *records_first* that is before their
    answers are sent, so that a process which dies has sent none whose click it did not record.
    """

    def __init__(
        self,
        *,
        open_link: Callable[[str], OpenedLink],
        record: Callable[[Sequence[Click]], None],
        is_ready: Callable[[], bool],
        metrics: Metrics,
        mint_id: Callable[[int], str],
        policy: RequestPolicy,
        records_first: bool = False,
    ) -> None:
        self.open_link = open_link
        self.find_rule: FindRule | None = None
        self.domains: Domains | None = None
        self.is_ready = is_ready
        self.policy = policy
        self.draining = False
        self.records_first = records_first
        self.answers = Answers()
        self._followed: deque[tuple[OpenedLink, str, CIMultiDictProxy[str], Peer, str | None]] = deque()
        self._turned = 0  # of them, by a take-back
        self._record = record
        self._mint_id = mint_id
        self.times = metrics.histogram("linkrouter_request_seconds")
        self._outcomes = metrics.counter(
            "linkrouter_requests",
            [value for name, value in vars(Outcome).items() if name.isupper()],
        )

    def answer(self, method: str, target: str, headers: CIMultiDictProxy[str], peer: Peer, close: bool) -> bytes:
        """Give the answer to one request; the next `record` makes its click."""
        if method not in ("GET", "HEAD"):
            return self._page(Outcome.METHOD_NOT_ALLOWED, method, close)
        try:
            link = find_link(target, self.open_link)
        except UnknownKey:
            return self._page(Outcome.UNKNOWN_KEY, method, close)
        if link is None:
            return self._own_answer(method, target, headers, close)
        if self.domains is not None and not self.domains.serves(headers.get(_HOST), link.meta.tenant):
            return self._page(Outcome.NOT_FOUND, method, close)
        if self.find_rule is not None:
            rule = self.find_rule(link)
            if rule is not None:
                self._followed.append((link, method, headers, peer, rule.rule_id))
                self._turned += 1
                return self._answer_by(rule, method, close)
        content = self.answers.redirect(link.destination, close)
        self._followed.append((link, method, headers, peer, None))
        return content

    def record(self) -> None:
        """Make a click of every genuine link that was asked for since the last call."""
        followed, now_us = self._followed, time.time_ns() // 1000
        if not followed:
            return
        clicks = []
        self._outcomes[Outcome.REDIRECT] += len(followed) - self._turned
        self._turned = 0
        while followed:
            link, method, headers, peer, takeback = followed.popleft()
            clicks.append(describe(link, method, headers, peer, self.policy, now_us, self._mint_id, takeback))
        self._record(clicks)

    def failed(self, outcome: str, method: str) -> bytes:
        """Give the page for a request that could not be answered; the connection closes after it."""
        return self._page(outcome, method, True)

    def _answer_by(self, rule: RuleInForce, method: str, close: bool) -> bytes:
        if rule.action == STOP:
            return self._page(Outcome.STOPPED, method, close)
        self._outcomes[Outcome.REPLACED] += 1
        return self.answers.redirect(rule.destination, close)

    def _own_answer(self, method: str, target: str, headers: CIMultiDictProxy[str], close: bool) -> bytes:
        """Answer what is no link."""
        if self.domains is not None:
            content = self.domains.find_file(headers.get(_HOST), target)
            if content is not None:
                self._outcomes[Outcome.APP_FILE] += 1
                return self.answers.app_file(content, close=close, head=method == "HEAD")
        return self._page(self._own_path(target), method, close)

    def _own_path(self, target: str) -> str:
        if target == "/-/ready":
            return Outcome.READY if self.is_ready() and not self.draining else Outcome.NOT_READY
        return Outcome.ROBOTS if target == "/robots.txt" else Outcome.NOT_FOUND

    def _page(self, outcome: str, method: str, close: bool) -> bytes:
        self._outcomes[outcome] += 1
        return self.answers.page(outcome, close=close, head=method == "HEAD")
