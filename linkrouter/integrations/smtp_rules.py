"""What a relay takes from its senders, and what it says to the rest."""

from collections.abc import Callable
from dataclasses import dataclass

from linkrouter.integrations.smtp_reply import Reply

__all__ = [
    "BARE",
    "BEHIND_STARTTLS",
    "BUSY",
    "FAILED",
    "GOOD",
    "NO_MAIL",
    "NO_RECIPIENT",
    "STOPPING",
    "TOO_MANY_RECIPIENTS",
    "TWO_MAILS",
    "FindSender",
    "RelayLimits",
]

FindSender = Callable[[str, str], int | None]  # name and password to the tenant, or None when they are not known

BUSY = Reply(421, "4.3.2 too many connections; try again")
STOPPING = Reply(421, "4.3.2 the relay is stopping; try again")
FAILED = Reply(451, "4.3.0 something went wrong here; try again")
BARE = Reply(550, "5.6.0 the message has a bare CR or LF; lines end with CRLF")
BEHIND_STARTTLS = Reply(554, "5.5.1 nothing may be sent behind STARTTLS before its answer")
NO_MAIL = Reply(503, "5.5.1 give MAIL first")
NO_RECIPIENT = Reply(503, "5.5.1 give RCPT first")
TWO_MAILS = Reply(503, "5.5.1 one mail at a time; RSET ends it")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3 too many recipients; send the rest in another mail")
GOOD = Reply(250, "2.1.0 ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """What one relay takes."""

    message_bytes: int = 32 * 1024**2
    connections: int = 100
    recipients: int = 100
    idle_s: float = 300.0  # RFC 5321, section 4.5.3.2.7
