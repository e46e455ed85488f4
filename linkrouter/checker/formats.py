"""How the result of a check is written down: JSON, JUnit XML, or lines for people.

Promise: pure. Whatever a mail or a server put into a URL, the output is valid and holds no control character.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from linkrouter.checker.gate import Decision
from linkrouter.checker.verdict import VERDICTS, LinkReport, Verdict

__all__ = ["FINDINGS", "MAX_PLACES", "exit_code", "link_json", "result_json", "result_junit", "result_lines", "summary"]

FINDINGS: frozenset[Verdict] = frozenset(("broken", "flagged", "malformed"))
MAX_PLACES = 3  # of one link, for people; JSON has them all


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
        "places": [{"part": p.part, "position": p.position, "line": p.line, "text": p.text} for p in report.places],
        "hops": [{"url": h.url, "method": h.method, "status": h.status, "note": h.note} for h in report.hops],
        "reputation": [
            {"source": source, "subject": query, "answer": o.answer, "lists": list(o.lists), "why": o.why}
            for source, query, o in report.opinions
        ],
        "cached": report.cached,
        "complete": report.complete,
    }


def result_json(reports: Sequence[LinkReport], decision: Decision) -> dict[str, Any]:
    """Give the whole result of a check: whether the mail may be sent, what holds it, and every link."""
    return {
        "may_send": decision.may_send,
        "gate": {
            "answer": decision.answer,
            "blocks": [held._asdict() for held in decision.blocks],
            "waits": [held._asdict() for held in decision.waits],
            "warnings": [held._asdict() for held in decision.warnings],
        },
        "links": [link_json(report) for report in reports],
    }


def result_junit(reports: Sequence[LinkReport]) -> bytes:
    """Give JUnit XML: broken, flagged and malformed links are failures, unverifiable ones errors."""
    counts = Counter(report.verdict for report in reports)
    failures = sum(counts[verdict] for verdict in FINDINGS)
    numbers = {
        "tests": len(reports),
        "failures": failures,
        "errors": counts["unverifiable"],
        "skipped": counts["skipped"],
    }
    attributes = {"name": "links"} | {name: str(number) for name, number in numbers.items()}
    suite = ElementTree.Element("testsuite", attributes)
    for report in reports:
        case = ElementTree.SubElement(suite, "testcase", classname="link", name=_printable(report.url) or "(no URL)")
        element = {"unverifiable": "error", "skipped": "skipped", "fine": None}.get(report.verdict, "failure")
        if element is not None:
            child = ElementTree.SubElement(case, element, message=_why(report))
            child.text = "\n".join(_places(report))
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def result_lines(reports: Sequence[LinkReport], decision: Decision) -> list[str]:
    """Give the result for people: what is not fine, the worst first, and whether the mail may be sent."""
    lines: list[str] = []
    worst_first = sorted(reports, key=lambda report: ("flagged", *VERDICTS).index(report.verdict))
    for report in worst_first:
        if report.verdict == "fine":
            continue
        lines.append(f"{report.verdict:<13} {_printable(report.url) or '(no URL)'}")
        lines.append(f"{'':<13} {_why(report)}")
        lines += [f"{'':<13} in {place}" for place in _places(report)]
        if report.advice:
            lines.append(f"{'':<13} {report.advice}")
    lines.append(summary(reports, decision))
    return lines


def summary(reports: Sequence[LinkReport], decision: Decision) -> str:
    """Give the result in one line."""
    counts = Counter(report.verdict for report in reports)
    links = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]) or "none"
    held = {
        "send": "the mail may be sent",
        "wait": f"the mail must wait: {decision.waits[0].why if decision.waits else ''}",
        "block": f"the mail is blocked: {decision.blocks[0].why if decision.blocks else ''}",
    }
    return f"links: {links}; {held[decision.answer]}"


def exit_code(reports: Sequence[LinkReport], decision: Decision) -> int:
    """Give 1 when a link is broken, flagged or malformed, 3 when something could not be told, else 0."""
    verdicts = {report.verdict for report in reports}
    if verdicts & FINDINGS:
        return 1
    return 3 if "unverifiable" in verdicts or not decision.may_send else 0


def _why(report: LinkReport) -> str:
    last = report.hops[-1] if report.hops else None
    status = f" ({last.status})" if last and last.status and report.verdict != "flagged" else ""
    detail = f": {report.detail}" if report.detail else ""
    way = (
        f", after {len({hop.url for hop in report.hops}) - 1} redirects"
        if last and last.url != report.hops[0].url
        else ""
    )
    return _printable(f"{report.reason}{status}{detail}{way}")


def _places(report: LinkReport) -> list[str]:
    lines = [
        f"{place.part}, line {place.line}" + (f": {_printable(place.text)!r}" if place.text else "")
        for place in report.places[:MAX_PLACES]
    ]
    more = len(report.places) - MAX_PLACES
    return [*lines, f"{more} more places"] if more > 0 else lines


def _printable(text: str) -> str:
    """Escape what could steer a terminal or spoil XML."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
