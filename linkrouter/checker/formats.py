"""The result of a check as JSON, in one line, and as an exit code.

Promise: pure. The shape of the JSON is a promise to those who read it; what is added stands beside what was there.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args

from linkrouter.checker.gate import Decision
from linkrouter.checker.mail.content import ContentType
from linkrouter.checker.verdict import CHECK_REASONS, VERDICTS, LinkPlace, LinkReport, Verdict

__all__ = [
    "FAIL_ON",
    "FINDINGS",
    "CheckOutcome",
    "FailOn",
    "InputRecord",
    "exit_code",
    "findings_that_fail",
    "link_json",
    "place_json",
    "result_json",
    "summary",
]

FINDINGS: frozenset[Verdict] = frozenset(("broken", "flagged", "malformed"))
FailOn = Literal["broken", "flagged", "unverifiable"]
FAIL_ON: tuple[FailOn, ...] = get_args(FailOn)


class InputRecord(NamedTuple):
    """One input: its name ("-" for what has none), what it was taken for, how many links and images it has."""

    name: str
    kind: ContentType
    links: int
    images: int = 0


class CheckOutcome(NamedTuple):
    """All that a check of some inputs found."""

    inputs: tuple[InputRecord, ...]
    links: Sequence[LinkReport]
    images: Sequence[LinkReport]
    decision: Decision

    def __repr__(self) -> str:
        return f"<CheckOutcome {len(self.links)} links, {len(self.images)} images>"

    @property
    def reports(self) -> tuple[LinkReport, ...]:
        """The links, then the images."""
        return (*self.links, *self.images)


def link_json(report: LinkReport) -> dict[str, Any]:
    """Give *report* as `check --json` and the API write it."""
    last = report.hops[-1] if report.hops else None
    return {
        "url": report.url,
        "verdict": report.verdict,
        "reason": report.reason,
        "detail": report.detail,
        "advice": report.advice,
        "method": (last.method or None) if last else None,
        "status": last.status if last else None,
        "final_url": last.url if last else None,
        "places": [place_json(place) for place in report.places],
        "hops": [{"url": h.url, "method": h.method, "status": h.status, "note": h.note} for h in report.hops],
        "reputation": [
            {"source": source, "subject": query, "answer": o.answer, "lists": list(o.lists), "why": o.why}
            for source, query, o in report.opinions
        ],
        "cached": report.cached,
        "checked_at": _time(report.checked_at),
        "complete": report.complete,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def place_json(place: LinkPlace) -> dict[str, Any]:
    """Give *place* with the file where there are several, and the alternative text of an image."""
    shown: dict[str, Any] = {
        "part": place.part,
        "position": place.position,
        "line": place.line,
        "text": place.text,
    }
    if place.file:
        shown["file"] = place.file
    if place.is_image:
        shown["alt"] = place.alt
    return shown


def result_json(outcome: CheckOutcome) -> dict[str, Any]:
    """Give the whole result of a check: what was read, whether it may be sent, what holds it, and every link."""
    decision = outcome.decision
    return {
        "may_send": decision.may_send,
        "gate": {
            "answer": decision.answer,
            "blocks": [held._asdict() for held in decision.blocks],
            "waits": [held._asdict() for held in decision.waits],
            "warnings": [held._asdict() for held in decision.warnings],
        },
        "inputs": [record._asdict() for record in outcome.inputs],
        "links": [link_json(report) for report in outcome.links],
        "images": [link_json(report) for report in outcome.images],
    }


def summary(outcome: CheckOutcome) -> str:
    """Give the result in one line."""
    decision = outcome.decision
    held = {
        "send": "the mail may be sent",
        "wait": f"the mail must wait: {decision.waits[0].why if decision.waits else ''}",
        "block": f"the mail is blocked: {decision.blocks[0].why if decision.blocks else ''}",
    }
    images = f"; images: {_tally(outcome.images)}" if outcome.images else ""
    return f"links: {_tally(outcome.links)}{images}; {held[decision.answer]}"


def _tally(reports: Sequence[LinkReport]) -> str:
    counts = Counter(report.verdict for report in reports)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]) or "none"


def exit_code(outcome: CheckOutcome, fail_on: Collection[FailOn] = ("broken", "flagged")) -> int:
    """Give 1 when a link is what *fail_on* names, 3 when something could not be told, else 0.

    A malformed link is a broken one. That a site refuses robots was told, so it is no 3.
    """
    fails = findings_that_fail(fail_on)
    if any(report.verdict in fails for report in outcome.reports):
        return 1
    unknown = any(CHECK_REASONS[report.reason].lasts in ("moment", "not") for report in _unverifiable(outcome))
    return 3 if unknown or outcome.decision.answer == "wait" else 0


def findings_that_fail(fail_on: Collection[FailOn]) -> frozenset[str]:
    """Give the verdicts that *fail_on* names."""
    return frozenset(fail_on) | ({"malformed"} if "broken" in fail_on else set())


def _unverifiable(outcome: CheckOutcome) -> list[LinkReport]:
    return [report for report in outcome.reports if report.verdict == "unverifiable"]
