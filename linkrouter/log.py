"""The log of a process: its events, all named here.

Promise: no log line can hold a link, a destination, an address or a user agent. Our own events take only numbers and
words of letters, and none of those can be spelt so. What libraries log is cut down to who spoke, the class of the
exception and the line of code, because their messages quote requests (aiohttp's error logger did in 4 of 6 bad-input
cases).
"""

import asyncio
import json
import logging
import re
import sys
import time
from typing import IO, Any

__all__ = ["EVENTS", "log", "quiet_exception_handler", "start_logging"]

EVENTS: dict[str, int] = {
    "broker.away": logging.WARNING,  # the click store cannot be reached; redirects go on, and clicks wait in memory
    "broker.lost": logging.ERROR,  # it does not have what it said to have
    "broker.not_durable": logging.WARNING,  # its clicks would not survive its own end: appendonly is off
    "broker.taken_over": logging.INFO,  # the clicks of a process that is gone
    "carrier.died": logging.ERROR,  # it is started again; redirects go on, and clicks wait in the ring
    "carrier.hung": logging.ERROR,
    "carrier.started": logging.INFO,
    "carrier.stopped": logging.INFO,
    "central.forgetting_failed": logging.ERROR,  # the store does not let old clicks go; tried again
    "central.labelling_failed": logging.ERROR,  # the store does not take labels; tried again
    "central.leads": logging.INFO,  # of several centres, this one labels, forgets, sends and watches
    "central.leads_no_more": logging.WARNING,  # the database did not answer in time; another centre may lead
    "central.no_metrics": logging.WARNING,  # the usual admin port is taken; give ADMIN_LISTEN
    "central.slow_agents": logging.WARNING,  # the fast parser of user agents is missing: ua-parser[regex]
    "central.started": logging.INFO,
    "central.stopped": logging.INFO,
    "central.store_failed": logging.ERROR,  # a request was answered 503
    "check.failed": logging.ERROR,  # a check was cut short; its links stay pending
    "domains.kept": logging.ERROR,  # a reload failed; the old ones stay
    "domains.loaded": logging.INFO,
    "encoder.started": logging.INFO,
    "encoder.stopped": logging.INFO,
    "geoip.kept": logging.ERROR,  # a file could not be read; what was read before goes on
    "geoip.loaded": logging.INFO,
    "keyring.kept": logging.ERROR,  # a reload failed; the old keys stay
    "keyring.loaded": logging.INFO,
    "keyring.unchanged": logging.WARNING,  # a reload found the keys that are in use already
    "mail.held": logging.WARNING,  # the gate holds it; where the gate only warns, it went on
    "mail.untracked": logging.ERROR,  # a fault of ours: the mail went on as it was
    "recorder.dropped": logging.ERROR,
    "recorder.retry": logging.WARNING,
    "ring.adopted": logging.INFO,  # clicks of a worker that is gone
    "ring.damaged": logging.ERROR,  # what is whole is read, the rest is counted
    "ring.left_alone": logging.ERROR,  # of another version, or it cannot be opened
    "ring.none": logging.WARNING,  # no shared memory for this worker: it does everything itself
    "relay.failed": logging.ERROR,  # a fault of ours: the sender was told to try again
    "relay.started": logging.INFO,
    "relay.stopped": logging.INFO,
    "report.caught_up": logging.INFO,
    "report.dead_letters": logging.ERROR,  # central refuses what was sent for good; it is kept for a person to look at
    "report.dropped": logging.ERROR,  # central will not hear of a mail: neither disk nor memory could keep the report
    "report.not_kept": logging.ERROR,  # the spool of reports cannot be written; the report is in memory alone
    "report.refused": logging.ERROR,  # 401, 403 or a wrong address: everything is kept
    "report.retry": logging.WARNING,
    "router.draining": logging.INFO,
    "router.ordinary": logging.WARNING,  # this aiohttp lacks parts that the direct answer needs: slower, and right
    "router.started": logging.INFO,
    "router.stopped": logging.INFO,
    "spool.adopted": logging.INFO,
    "spool.damaged": logging.ERROR,
    "spool.segment_abandoned": logging.ERROR,
    "spool.unreadable": logging.ERROR,  # a segment's files may not be read; they are left alone
    "sync.caught_up": logging.INFO,
    "sync.refused": logging.ERROR,  # 401, 403 or a wrong address: everything is kept
    "sync.retry": logging.WARNING,
    "sync.dead_letters": logging.ERROR,
    "takebacks.caught_up": logging.INFO,
    "takebacks.damaged": logging.ERROR,  # the list is set aside, what can be read of it stays, and it is fetched anew
    "takebacks.not_kept": logging.ERROR,  # the list cannot be read or written: what was in force goes on
    "takebacks.refused": logging.ERROR,  # 401, 403 or a wrong address: what was in force goes on
    "takebacks.retry": logging.WARNING,
    "task.failed": logging.ERROR,
    "tokens.kept": logging.ERROR,  # a reload failed; the old tokens stay
    "tokens.loaded": logging.INFO,
    "watch.failed": logging.ERROR,  # the store does not answer; tried again
    "watch.look_failed": logging.ERROR,  # one look came to nothing; the next one comes by its time
    "watch.no_lists": logging.WARNING,  # TAKEBACK_KEYS stops what a list names, and REPUTATION names no list
    "watch.not_stopped": logging.ERROR,  # a flagged destination could not be stopped; tried again
    "watch.off": logging.WARNING,  # the extra "check" is not installed, so nothing that was sent is looked at again
    "webhooks.delivery_failed": logging.ERROR,  # the store did not answer; tried again, nothing is lost
    "webhooks.disabled": logging.WARNING,  # an endpoint is gone, or took nothing for days
    "worker.died": logging.ERROR,
    "worker.hung": logging.ERROR,
    "worker.started": logging.INFO,
}

_logger = logging.getLogger("linkrouter")
_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}  # syslog(3)
# Words such as an exception's or the system's, a status, or key ids with their states.
_KEY = "[0-9]{1,2}:(?:sign|verify|revoked)"
_WORD = re.compile(rf"[A-Za-z_]{{0,64}}(?: [a-z]{{1,16}}){{0,8}}|[0-9]{{3}}|{_KEY}(?: {_KEY})*")


def log(event: str, **fields: int | float | str | None) -> None:
    """Log *event*, one of `EVENTS`, with numbers and words of letters; any other text becomes "?"."""
    _logger.log(EVENTS[event], event, extra={"fields": fields})


class _LineFormatter(logging.Formatter):
    """One JSON object a line. A record that is not one of our events keeps none of its text.

    For the journal a line begins with its priority (sd-daemon(3)), so that `journalctl -p err` shows the errors.
    """

    def __init__(self, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
        }
        if record.name == "linkrouter" and record.msg in EVENTS:
            line["event"] = record.msg
            line |= {name: _harmless(value) for name, value in getattr(record, "fields", {}).items()}
        else:
            line |= {"event": "library", "logger": record.name, "at": f"{record.module}:{record.lineno}"}
        if record.exc_info and record.exc_info[1] is not None:
            line |= _where(record.exc_info[1])
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{json.dumps(line)}" if self._journal else json.dumps(line)


def _harmless(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, _CodePlace):
        return value
    text = str(value)
    return text if _WORD.fullmatch(text) else "?"


class _CodePlace(str):
    """A module of Python's and a line in it, which nobody outside can choose."""

    __slots__ = ()


def _where(exc: BaseException) -> dict[str, str]:
    """Name an exception's class and the line that raised it, never its message."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}" if trace else "?"
    return {"exception": type(exc).__name__, "raised_at": _CodePlace(where)}


def start_logging(stream: IO[str] | None = None, level: int = logging.INFO, *, journal: bool = False) -> None:
    """Send every logger of the process through the formatter above, to *stream* (standard error by default).

    With *journal*, lines carry the priorities that systemd's journal reads.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_LineFormatter(journal))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _logger.setLevel(level)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # or what cannot be written, as when memory is short, is printed raw
    sys.excepthook = _log_uncaught


def _log_uncaught(_: type[BaseException], exc: BaseException, __: object) -> None:
    log("task.failed", task="main", **_where(exc))


def quiet_exception_handler(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Stand in for asyncio's handler, which prints the message, the task and its arguments."""
    exc = context.get("exception")
    log("task.failed", **(_where(exc) if isinstance(exc, BaseException) else {}))
