"""Telling central what was sent, beside the sending.

Promise: `report` costs the sender one line appended to a file, never waits for the network and never raises. A report
is kept on disk before central is asked, so it survives the end of the process; it is sent by a thread of this process,
or with the next report of any process that shares the folder. Central takes one message twice as one.

Only a folder that cannot be written leaves reports in memory: a thousand at most, and none at the end of the process.
"""

import atexit
import json
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx

from linkrouter.integrations.report_spool import ReportSpool
from linkrouter.log import log
from linkrouter.retry import find_retry_after, full_jitter

__all__ = ["CentralClient", "ReportAnswer", "Reporter", "shared_reporter"]

TIMEOUT_S, CONNECT_S = 10.0, 5.0
SHORTEST_WAIT_S, FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 1.0, 30.0
MOST_ASKED_S = 900.0
LEASE_WAIT_S = 0.2  # another process sends; what it does not find any more is sent by us
EXIT_S = 2.0  # how long the end of a process waits for what is on its way
MAX_IN_MEMORY = 1000

ReportOutcome = Literal["taken", "poison", "denied", "wrong_address", "failed"]

_OUTCOMES: dict[int, ReportOutcome] = {
    400: "poison",
    401: "denied",
    403: "denied",
    404: "wrong_address",
    405: "wrong_address",
    409: "poison",  # central has another message of this id, or with one of these links; tried `_renamed` before
    413: "poison",
    422: "poison",
}


@dataclass(frozen=True, slots=True)
class ReportAnswer:
    """What a report came to; `reason` is a status or one word, `retry_after_s` what central asked for."""

    outcome: ReportOutcome
    reason: str
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CentralClient:
    """Central, told of messages with a sender's token."""

    url: str
    token: str = field(repr=False)
    transport: httpx.BaseTransport | None = field(default=None, repr=False)

    def open(self) -> httpx.Client:
        """Give a client, for one thread, to be closed."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        patience = httpx.Timeout(TIMEOUT_S, connect=CONNECT_S)
        return httpx.Client(headers=headers, timeout=patience, transport=self.transport)

    def tell(self, client: httpx.Client, line: bytes) -> ReportAnswer:
        """Post one report, the JSON of a manifest.

        Copies of one mail share its id, and each has links of its own: a second one gets an id of its own.
        """
        answer = self._post(client, line)
        own = _renamed(line) if answer.reason == "409" else None
        return answer if own is None else self._post(client, own)

    def _post(self, client: httpx.Client, line: bytes) -> ReportAnswer:
        try:
            reply = client.post(f"{self.url.rstrip('/')}/v1/messages", content=line)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as exc:
            return ReportAnswer("failed", type(exc).__name__)
        if reply.status_code == 200:
            return _read_receipt(reply)
        outcome = "wrong_address" if reply.is_redirect else _OUTCOMES.get(reply.status_code, "failed")
        asked_s = find_retry_after(reply.headers.get("Retry-After"), time.time()) or 0.0
        return ReportAnswer(outcome, str(reply.status_code), min(asked_s, MOST_ASKED_S))


def _renamed(line: bytes) -> bytes | None:
    """Give a report with the id `ID/MESSAGE_KEY`; None when it has no message key."""
    entry = json.loads(line)
    key = entry.get("message_key")
    if not key:
        return None
    entry["message_id"] = f"{entry['message_id'][: 990 - len(key)]}/{key}"
    return json.dumps(entry).encode("ascii")


def _read_receipt(reply: httpx.Response) -> ReportAnswer:
    try:
        receipt = reply.json()
        taken = receipt["stored"] + receipt["duplicates"] == 1
    except (ValueError, KeyError, TypeError, RecursionError):
        taken = False
    return ReportAnswer("taken", "200") if taken else ReportAnswer("failed", "garbage")


class Reporter:
    """Reports to one central, from any thread of the process that made it."""

    def __init__(self, central: CentralClient, folder: Path) -> None:
        self.last_answer: ReportAnswer | None = None
        self._central = central
        self._spool = ReportSpool(folder)
        self._in_memory: deque[bytes] = deque()  # what could not be written
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process = 0  # that the thread is in
        self._wake, self._idle, self._stopping = threading.Event(), threading.Event(), threading.Event()
        self._reports = 0  # that `report` has kept
        self._failures, self._told, self._wait_s = 0, "", 0.0
        self._failing_since: float | None = None

    def report(self, entry: Mapping[str, object]) -> None:
        """Keep *entry*, what `manifest_entry` gives, and have it sent soon."""
        line = json.dumps(entry).encode("ascii")
        try:
            self._spool.append(line)
        except OSError as exc:
            self._keep_in_memory(line, exc)
        with self._guard:  # behind the append, or a thread that found nothing would call this one sent
            self._reports += 1
            self._idle.clear()
        self._start()
        self._wake.set()

    def flush(self, within_s: float) -> bool:
        """Wait until central has heard of everything; False when it has not within *within_s* seconds."""
        self._start()
        self._wake.set()
        return self._idle.wait(within_s)

    def failing_s(self) -> float:
        """Tell for how long central has taken no report, 0 when it takes them."""
        since = self._failing_since
        return 0.0 if since is None else time.monotonic() - since

    def waiting_bytes(self) -> int:
        """Tell the size of what central has not taken, as far as the folder and this process know."""
        return self._spool.size() + sum(map(len, self._in_memory))

    def close(self, within_s: float = EXIT_S) -> None:
        """Stop; what is on its way may arrive within *within_s* seconds, and the rest stays on disk."""
        atexit.unregister(self.close)
        if self._thread is None or self._process != os.getpid():
            return
        if not self._failures:
            self._idle.wait(within_s)
        self._stopping.set()
        self._wake.set()
        self._thread.join(within_s)
        if self._in_memory:
            log("report.dropped", reports=len(self._in_memory), reason="exit")

    def _keep_in_memory(self, line: bytes, exc: OSError) -> None:
        reason = os.strerror(exc.errno) if exc.errno else type(exc).__name__
        if len(self._in_memory) >= MAX_IN_MEMORY:
            log("report.dropped", reports=1, reason=reason)
            return
        self._in_memory.append(line)
        log("report.not_kept", reason=reason)

    def _start(self) -> None:
        with self._guard:
            if self._thread is not None and self._thread.is_alive():
                return
            thread = threading.Thread(target=self._run, name="linkrouter-reports", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # the process ends, or may have no more threads: what waits goes with the next report
            self._thread, self._process = thread, os.getpid()
            atexit.register(self.close)

    def _run(self) -> None:
        wait_s: float | None = 0.0
        with self._central.open() as client:
            while not self._stopping.is_set():
                if self._failures and wait_s:
                    self._stopping.wait(wait_s)  # reports that come meanwhile hurry nobody
                else:
                    self._wake.wait(wait_s)
                self._wake.clear()
                wait_s = self._send_waiting(client)

    def _send_waiting(self, client: httpx.Client) -> float | None:
        """Send what waits, and give the seconds until there is something to do; None when nothing waits."""
        with self._guard:
            reports = self._reports
        try:
            wait_s = self._pass(client)
        except OSError as exc:
            wait_s = self._failed(ReportAnswer("failed", type(exc).__name__))
        with self._guard:
            if wait_s is None and reports == self._reports:
                self._idle.set()
        return wait_s

    def _pass(self, client: httpx.Client) -> float | None:
        while self._in_memory:
            if not self._send(client, self._in_memory[0]):
                return self._wait_s
            self._in_memory.popleft()
        with self._spool.lease() as leased:
            if not leased:
                return None if self._spool.is_empty() else LEASE_WAIT_S
            return None if self._spool.send_all(lambda line: self._send(client, line)) else self._wait_s

    def _send(self, client: httpx.Client, line: bytes) -> bool:
        """Send one report; False when it has to stay, and what waits behind it, too."""
        if self._stopping.is_set():
            self._wait_s = 0.0
            return False
        answer = self.last_answer = self._central.tell(client, line)
        if answer.outcome == "poison":
            self._bury(line, answer.reason)
        elif answer.outcome != "taken":
            self._failed(answer)
            return False
        self._failures, self._failing_since = 0, None
        if self._told:
            log("report.caught_up")
            self._told = ""
        return True

    def _bury(self, line: bytes, reason: str) -> None:
        try:
            self._spool.bury(line, reason)
            log("report.dead_letters", reports=1, reason=reason)
        except OSError:
            log("report.dropped", reports=1, reason=reason)

    def _failed(self, answer: ReportAnswer) -> float:
        """Count a failure, tell of the first, and give the seconds to wait."""
        self._failures += 1
        self._failing_since = self._failing_since or time.monotonic()
        event = "report.refused" if answer.outcome in ("denied", "wrong_address") else "report.retry"
        if event != self._told:
            self._told = event
            log(event, reason=answer.reason)
        self._wait_s = max(
            full_jitter(self._failures, FIRST_WAIT_S, LONGEST_WAIT_S), answer.retry_after_s, SHORTEST_WAIT_S
        )
        return self._wait_s


_shared: dict[tuple[CentralClient, Path], Reporter] = {}
os.register_at_fork(after_in_child=_shared.clear)  # a forked process has none of the threads


def shared_reporter(central: CentralClient, folder: Path) -> Reporter:
    """Give the one reporter that this process has for *central* and *folder*."""
    key = (central, folder)
    return _shared.get(key) or _shared.setdefault(key, Reporter(central, folder))
