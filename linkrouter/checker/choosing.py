"""Which links a check asks for, and which answers it takes: what the command line and its files say.

Promise: pure. A link that is left out is still named, as skipped; nobody is asked about it, not even a list.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from linkrouter.checker.gate import Decision, GateFinding
from linkrouter.checker.mail.extract import LinkToCheck
from linkrouter.checker.verdict import CHECK_REASONS, LinkReport

__all__ = ["accepting", "choose_links", "is_undecided", "offline_result"]

Patterns = Sequence[re.Pattern[str]]


def choose_links(links: Iterable[LinkToCheck], exclude: Patterns, include: Patterns) -> tuple[LinkToCheck, ...]:
    """Mark as skipped what *exclude* matches, or what none of *include* matches where nothing is excluded."""
    return tuple(
        replace(link, key="", settled=("skipped", "excluded", ""))
        if link.url and _is_excluded(link.url, exclude, include)
        else link
        for link in links
    )


def _is_excluded(url: str, exclude: Patterns, include: Patterns) -> bool:
    if any(pattern.search(url) for pattern in include):
        return False
    return any(pattern.search(url) for pattern in exclude) or (bool(include) and not exclude)


def accepting(report: LinkReport, statuses: Collection[int]) -> LinkReport:
    """Give *report*, fine where the last answer had one of the *statuses*."""
    status = report.hops[-1].status if report.hops else None
    if status not in statuses or report.verdict not in ("broken", "unverifiable"):
        return report
    return replace(report, verdict="fine", reason="answers", detail=f"status {status} is accepted")


def is_undecided(report: LinkReport) -> bool:
    """Whether asking again soon may tell what could not be told."""
    return report.reason in CHECK_REASONS and CHECK_REASONS[report.reason].lasts in ("moment", "not")


def offline_result(links: Sequence[LinkToCheck]) -> tuple[list[LinkReport], Decision]:
    """Give what can be said of *links* without asking anybody."""
    reports = []
    for link in links:
        verdict, reason, detail = link.settled or ("skipped", "offline", "")
        reports.append(LinkReport(link.url, verdict, reason, detail, link.places))
    waits = tuple(GateFinding(link.url, "the check ran offline") for link in links if link.settled is None)
    return reports, Decision("wait" if waits else "send", waits, (), (), 0.0, frozenset())
