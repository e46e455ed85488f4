"""The encoder: rewrites the links of a mail and nothing else of it.  Pure; bytes in, bytes out."""

from linkrouter.encoder.arguments import Mode, VisibleUrls
from linkrouter.encoder.encoder import Encoder
from linkrouter.encoder.finding import ContentKind, find_links, read_parts
from linkrouter.encoder.report import (
    SKIP_REASONS,
    FoundLink,
    FoundLinks,
    Rewritten,
    SkippedLink,
    SkipReason,
    TrackedLink,
    UnreadPart,
)

__all__ = [
    "SKIP_REASONS",
    "ContentKind",
    "Encoder",
    "FoundLink",
    "FoundLinks",
    "Mode",
    "Rewritten",
    "SkipReason",
    "SkippedLink",
    "TrackedLink",
    "UnreadPart",
    "VisibleUrls",
    "find_links",
    "read_parts",
]
