"""How the result of a check is laid out: lines for people, JUnit XML, Markdown, and GitHub's annotations.

Promise: pure. Whatever a mail or a server put into a URL, the output is valid and holds no control character.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal
from xml.etree import ElementTree

from linkrouter.checker.formats import FINDINGS, CheckOutcome, findings_that_fail, summary
from linkrouter.checker.verdict import VERDICTS, LinkPlace, LinkReport

__all__ = ["MAX_PLACES", "Mood", "lines_for_people", "result_github", "result_junit", "result_markdown", "worst_first"]

MAX_PLACES = 3  # of one link, for people; JSON has them all

Mood = Literal["bad", "doubt", "good", "calm"]
_MOODS: dict[str, Mood] = {"fine": "good", "unverifiable": "doubt", "skipped": "calm"}
_WIDTH = 13


def lines_for_people(outcome: CheckOutcome) -> list[tuple[Mood, str]]:
    """Give lines and how each is meant: what is not fine, the worst first, and whether the mail may be sent."""
    lines: list[tuple[Mood, str]] = []
    for record in outcome.inputs:
        name = "standard input" if record.name == "-" else _printable(record.name)
        if record.links == 0:
            lines.append(("doubt", f"NO LINK FOUND in {name}, which was read as {record.kind}"))
        elif len(outcome.inputs) > 1:
            lines.append(("calm", f"{name}: {record.kind}, {record.links} link{'s' if record.links > 1 else ''}"))
    for report in worst_first(outcome.reports):
        if report.verdict == "fine":
            continue
        lines.append((_MOODS.get(report.verdict, "bad"), f"{report.verdict:<{_WIDTH}} {_name(report)}"))
        more = [_why(report), *(f"in {place}" for place in _places(report)), report.advice]
        lines += [("calm", f"{'':<{_WIDTH}} {line}") for line in more if line]
    lines += [("doubt", line) for line in _without_alt(outcome)]
    answer: Mood = {"send": "good", "wait": "doubt", "block": "bad"}[outcome.decision.answer]  # type: ignore[assignment]
    return [*lines, (answer, summary(outcome))]


def worst_first(reports: Sequence[LinkReport]) -> list[LinkReport]:
    """Give *reports* with what holds or fails a mail first, in the order of the mail within each verdict."""
    return sorted(reports, key=lambda report: ("flagged", *VERDICTS).index(report.verdict))


def _without_alt(outcome: CheckOutcome) -> list[str]:
    return [
        f"{'no alt text':<{_WIDTH}} {_name(report)} in {_place(place)}"
        for report in outcome.images
        for place in report.places
        if place.alt is None
    ]


def result_junit(outcome: CheckOutcome) -> bytes:
    """Give JUnit XML: broken, flagged and malformed links are failures, unverifiable ones errors."""
    reports = outcome.reports
    counts = Counter(report.verdict for report in reports)
    numbers = {
        "tests": len(reports),
        "failures": sum(counts[verdict] for verdict in FINDINGS),
        "errors": counts["unverifiable"],
        "skipped": counts["skipped"],
    }
    attributes = {"name": "links"} | {name: str(number) for name, number in numbers.items()}
    suite = ElementTree.Element("testsuite", attributes)
    for report in reports:
        kind = "image" if report.places and report.places[0].is_image else "link"
        case = ElementTree.SubElement(suite, "testcase", classname=kind, name=_name(report))
        element = {"unverifiable": "error", "skipped": "skipped", "fine": None}.get(report.verdict, "failure")
        if element is not None:
            child = ElementTree.SubElement(case, element, message=_why(report))
            child.text = "\n".join(_places(report))
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def result_markdown(outcome: CheckOutcome) -> str:
    """Give a table of what is not fine, for a comment or a job's summary."""
    lines = [f"**{_cell(summary(outcome))}**"]
    rows = [report for report in worst_first(outcome.reports) if report.verdict not in ("fine", "skipped")]
    if rows:
        lines += ["", "| verdict | link | why | where |", "|---|---|---|---|"]
    for report in rows:
        where = "<br>".join(map(_cell, _places(report)))
        lines.append(f"| {report.verdict} | {_cell(_name(report))} | {_cell(_why(report))} | {where} |")
    return "\n".join([*lines, *(f"- {_cell(line)}" for line in _without_alt(outcome)), ""])


def result_github(outcome: CheckOutcome, fail_on: Collection[str]) -> str:
    """Give workflow commands, which GitHub shows beside the lines: errors for what fails the run, else warnings."""
    fails = findings_that_fail(fail_on)  # type: ignore[arg-type]
    lines = []
    for report in worst_first(outcome.reports):
        if report.verdict in ("fine", "skipped"):
            continue
        level = "error" if report.verdict in fails else "warning"
        message = _command_text(f"{_name(report)}: {_why(report)}. {report.advice}".strip())
        for place in report.places[:MAX_PLACES] or (LinkPlace("", 0, 1, ""),):
            file = f"file={_command_text(place.file, ',:')},line={place.line}," if place.file else ""
            lines.append(f"::{level} {file}title={report.verdict} link::{message}")
    return "\n".join([*lines, _printable(summary(outcome)), ""])


def _command_text(text: str, more: str = "") -> str:
    for character in ("%", "\r", "\n", *more):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _cell(text: str) -> str:
    """Give *text* as the cell of a table in which nothing is markup."""
    return "".join(f"&#{ord(c)};" if c in "|<>&`*_[]\\~" else c for c in text)


def _name(report: LinkReport) -> str:
    return _printable(report.url) or "(no URL)"


def _why(report: LinkReport) -> str:
    last = report.hops[-1] if report.hops else None
    status = f" ({last.status})" if last and last.status and report.verdict != "flagged" else ""
    detail = f": {report.detail}" if report.detail else ""
    hops = len({hop.url for hop in report.hops}) - 1
    way = f", after {hops} redirect{'s' if hops > 1 else ''}" if last and last.url != report.hops[0].url else ""
    return _printable(f"{report.reason}{status}{detail}{way}")


def _places(report: LinkReport) -> list[str]:
    lines = [_place(place) for place in report.places[:MAX_PLACES]]
    more = len(report.places) - MAX_PLACES
    return [*lines, f"{more} more places"] if more > 0 else lines


def _place(place: LinkPlace) -> str:
    where = f"{place.part}, line {place.line}"
    where = f"{_printable(place.file)}, {where}" if place.file else where
    return where + (f": {_printable(place.text)!r}" if place.text else "")


def _printable(text: str) -> str:
    """Escape what could steer a terminal or spoil XML."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
