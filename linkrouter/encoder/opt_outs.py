"""How a sender says "do not track this link", whichever service the mail was first written for.

Promise: a row of the table is all it takes. The look before the look, which spares most tags the reading of their
attributes, is built from the same rows.
"""

from collections.abc import Callable
from typing import NamedTuple

from linkrouter.encoder.html import tag_attributes

__all__ = ["OPT_OUTS", "OptOut", "is_opted_out"]


class OptOut(NamedTuple):
    """An attribute of a link's tag that keeps the link from being tracked."""

    attribute: str  # in lower case
    hint: str  # stands, in lower case, in every tag that opts out by this row
    says_no: Callable[[str], bool]  # of the value, in lower case
    example: str


def _always(_: str) -> bool:
    return True


def _unless_false(value: str) -> bool:
    return value != "false"


def _if_false(value: str) -> bool:
    return value == "false"


# From each sender's documentation or code.
OPT_OUTS = (
    OptOut("data-pm-no-track", "track", _always, "data-pm-no-track"),  # Postmark
    OptOut("ses:no-track", "track", _always, "ses:no-track"),  # Amazon SES
    OptOut("clicktracking", "track", lambda value: value == "off", "clicktracking=off"),  # SendGrid
    OptOut("disable-tracking", "track", _unless_false, "disable-tracking=true"),  # Mailgun
    OptOut("mc:disable-tracking", "track", _always, "mc:disable-tracking"),  # Mandrill
    OptOut("mautic:disable-tracking", "track", _always, 'mautic:disable-tracking="true"'),
    OptOut("data-msys-clicktrack", "track", lambda value: value == "0", 'data-msys-clicktrack="0"'),  # SparkPost
    OptOut("autotrack", "track", _if_false, 'autotrack="false"'),
    OptOut("ecm:tracking", "track", _if_false, "ecm:tracking='false'"),
    OptOut("data-skip-click", "skip-click", _unless_false, "data-skip-click"),  # ahoy
    OptOut("data-no-track", "track", _always, "data-no-track"),  # kannon
    OptOut("class", "mktnotrack", lambda value: "mktnotrack" in value.split(), 'class="button mktNoTrack"'),  # Marketo
)

_ROWS = {row.attribute: row for row in OPT_OUTS}
# A hint that holds another one finds nothing more.
_HINTS = tuple(
    hint
    for hint in sorted({row.hint for row in OPT_OUTS})
    if not any(row.hint in hint and row.hint != hint for row in OPT_OUTS)
)


def is_opted_out(tag: str, own_attribute: str | None = None) -> bool:
    """Whether the start tag *tag* has an attribute that opts its link out; *own_attribute* (lower case) is one more."""
    tag = tag.lower()
    if own_attribute is None or own_attribute not in tag:
        for hint in _HINTS:
            if hint in tag:
                break
        else:
            return False
    return any(
        name == own_attribute or (name in _ROWS and _ROWS[name].says_no(value)) for name, value in tag_attributes(tag)
    )
