"""The encoder: rewrites the links of a mail and nothing else of it.  Pure; bytes in, bytes out."""

from linkrouter.encoder.encoder import Encoder
from linkrouter.encoder.finding import find_links
from linkrouter.encoder.report import REASONS, FoundLink, Rewritten, SkippedLink, TrackedLink

__all__ = ["REASONS", "Encoder", "FoundLink", "Rewritten", "SkippedLink", "TrackedLink", "find_links"]
