"""What a check says of a link, as values.

Promise: every link gets one of six verdicts and a reason out of one table; the table says how long the verdict holds,
and what an author can do. Nothing here touches a network or a disk, and no repr shows a URL.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

__all__ = [
    "CHECK_REASONS",
    "VERDICTS",
    "FetchResult",
    "Hop",
    "LinkPlace",
    "LinkReport",
    "LinkState",
    "Opinion",
    "OpinionAnswer",
    "OpinionState",
    "Reason",
    "Verdict",
]

Verdict = Literal["fine", "broken", "unverifiable", "flagged", "malformed", "skipped"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
OpinionAnswer = Literal["clean", "listed", "unknown"]


class Reason(NamedTuple):
    """Why a verdict was given, how long it lasts, and what can be done.

    `lasts` is "long", "short", "moment" (good enough to send now, never taken from the cache) or "not" (nothing was
    learnt, so the link stays pending and holds the mail).
    """

    verdict: Verdict
    lasts: Literal["long", "short", "moment", "not"]
    advice: str


_FIX = "Correct the link, or take it out."
_LOOK = "Open it in a browser before you send."
_AGAIN = "Check again in a few minutes."
_OWNER = "Tell whoever runs the site; until then recipients get a browser warning."

CHECK_REASONS: dict[str, Reason] = {
    "answers": Reason("fine", "long", ""),
    "syntax only": Reason("fine", "long", "Mail addresses and telephone numbers are only read, never tried."),
    # The server said so.
    "not found": Reason("broken", "short", _FIX),
    "gone": Reason("broken", "short", _FIX),
    "refused by the server": Reason("broken", "short", _FIX),
    "server error": Reason("broken", "moment", _AGAIN),
    # It was never reached.
    "host does not exist": Reason("broken", "short", "Look for a typing error in the host name."),
    "connection refused": Reason("broken", "short", _FIX),
    "connection reset": Reason("broken", "moment", _AGAIN),
    "address not public": Reason("broken", "short", "Recipients cannot reach this address; use a public one."),
    "certificate expired": Reason("broken", "short", _OWNER),
    "certificate not valid yet": Reason("broken", "short", _OWNER),
    "certificate for another host": Reason("broken", "short", _OWNER),
    "certificate self-signed": Reason("broken", "short", _OWNER),
    "certificate issuer unknown": Reason("broken", "short", _OWNER),
    "certificate invalid": Reason("broken", "short", _OWNER),
    "TLS failed": Reason("broken", "short", _OWNER),
    # It led nowhere.
    "too many redirects": Reason("broken", "short", _FIX),
    "redirects in a circle": Reason("broken", "short", _FIX),
    "redirects nowhere": Reason("broken", "short", _FIX),
    "redirects to a malformed URL": Reason("broken", "short", _FIX),
    "not a genuine tracked link": Reason("broken", "short", "Link to the page itself instead."),
    # A person has to look.
    "bot wall": Reason("unverifiable", "long", _LOOK),
    "refuses robots": Reason("unverifiable", "long", _LOOK),
    "forbidden": Reason("unverifiable", "long", _LOOK),
    "needs a login": Reason("unverifiable", "long", "Make sure that recipients can log in there."),
    "needs a payment": Reason("unverifiable", "long", _LOOK),
    "needs cookies": Reason(
        "unverifiable", "long", "The page opens only for a browser that takes cookies; try it in one."
    ),
    "parked domain": Reason("unverifiable", "long", "The domain looks expired or for sale; see who owns it now."),
    "certificate chain incomplete": Reason(
        "unverifiable",
        "long",
        "The site does not send a certificate that some browsers have to look for; tell whoever runs it.",
    ),
    "blocked for legal reasons": Reason("unverifiable", "long", _LOOK),
    "port not checked": Reason("unverifiable", "long", _LOOK),
    "not opened": Reason("unverifiable", "long", "Opening it could unsubscribe somebody, so try it yourself."),
    "leaves the web": Reason("unverifiable", "long", "It opens another program; try it on a telephone and a computer."),
    "listed for review": Reason("unverifiable", "long", "A reputation list names this site; see which, and decide."),
    # Nothing could be learnt now.
    "not HTTP": Reason("unverifiable", "moment", _LOOK),
    "protocol error": Reason("unverifiable", "moment", _LOOK),
    "timed out": Reason("unverifiable", "moment", _AGAIN),
    "name lookup failed": Reason("unverifiable", "moment", _AGAIN),
    "network unreachable": Reason("unverifiable", "moment", _AGAIN),
    "rate limited": Reason("unverifiable", "moment", _AGAIN),
    "busy": Reason("unverifiable", "moment", _AGAIN),
    "not reached in time": Reason("unverifiable", "not", _AGAIN),
    "check failed": Reason("unverifiable", "not", _AGAIN),
    "listed": Reason("flagged", "long", "Take the link out: mail with it is blocked or marked as dangerous."),
    "malformed": Reason("malformed", "long", _FIX),
    "unreadable": Reason("unverifiable", "not", "Check the mail before it is signed, encrypted or damaged."),
    "no such fragment": Reason("broken", "long", "Correct what stands behind the #; the page itself is there."),
    "in a header": Reason("skipped", "long", "Only programs read this header; it is named and not opened."),
    "part of the mail": Reason("skipped", "long", "It comes with the mail."),
    "excluded": Reason("skipped", "long", "A pattern of yours leaves it out; nobody was asked about it."),
    "offline": Reason("skipped", "long", "It was not asked for: the check ran offline."),
    "inside the mail": Reason("skipped", "long", "Most mail programs do not follow links inside a mail."),
    "opens another program": Reason("skipped", "long", "Try it on a telephone and on a computer."),
    "merge tag": Reason("skipped", "long", "Check the mail again when the tag is filled in."),
}


@dataclass(frozen=True, slots=True)
class LinkPlace:
    """Where a link stands in the mail; `line` counts from 1 in the decoded part, `position` from 0 among its links."""

    part: str
    position: int
    line: int
    text: str = field(repr=False)
    file: str = field(default="", repr=False)  # of several inputs: which
    alt: str | None = field(default=None, repr=False)  # of an image: its alternative text, None when it has none
    is_image: bool = False


class Hop(NamedTuple):
    """One request and its answer. `status` is None when there was none; `note` is one word on anything else."""

    url: str
    method: str
    status: int | None
    note: str = ""

    def __repr__(self) -> str:
        return f"<Hop {self.method} {self.status}>"


@dataclass(frozen=True, slots=True)
class FetchResult:
    """How fetching a link ended: one of `CHECK_REASONS`, and the requests that led there, oldest first."""

    reason: str
    detail: str = ""  # the signature, the certificate's fault, the entry of the table: never anything of the URL
    hops: tuple[Hop, ...] = field(default=(), repr=False)

    @property
    def verdict(self) -> Verdict:
        """The verdict that the reason stands for."""
        return CHECK_REASONS[self.reason].verdict


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one reputation source says of one host or URL: "clean", "listed" or "unknown".

    `lists` are the lists that name it with what each means; `blocks` is whether one of them is reason enough not to
    send. `holds_s` is how long the source lets the answer be used, None when it does not say.
    """

    answer: OpinionAnswer
    lists: tuple[str, ...] = ()
    blocks: bool = False
    why: str = ""  # of an unknown: what went wrong
    holds_s: float | None = None


@dataclass(frozen=True, slots=True)
class LinkState:
    """What is known of a link; `fetched` is None while it is pending. Times are seconds since the epoch."""

    fetched: FetchResult | None
    checked_at: float
    reuse_until: float
    holds_until: float
    streak: int  # fine so many times in a row


class OpinionState(NamedTuple):
    """What a source said, and until when it is believed."""

    opinion: Opinion
    holds_until: float


@dataclass(frozen=True, slots=True)
class LinkReport:
    """All that a check says of one link."""

    url: str = field(repr=False)
    verdict: Verdict | Literal["waiting"]  # waiting: not checked yet
    reason: str
    detail: str = ""
    places: tuple[LinkPlace, ...] = field(default=(), repr=False)
    hops: tuple[Hop, ...] = field(default=(), repr=False)
    opinions: tuple[tuple[str, str, Opinion], ...] = field(default=(), repr=False)  # source, query, opinion
    cached: bool = False
    complete: bool = True  # every source has answered, or will not
    checked_at: float | None = None  # of what was cached: when it was learnt, in seconds since the epoch

    @property
    def advice(self) -> str:
        """What the author can do about it; empty when there is nothing to do."""
        return CHECK_REASONS[self.reason].advice if self.reason in CHECK_REASONS else _FIX
