"""linkrouter: self-hosted link tracking for e-mail."""

from linkrouter.encoder import Encoder, Rewritten, SkippedLink, TrackedLink
from linkrouter.errors import BadLink, HeldMail
from linkrouter.link import Keyring, Link

__all__ = ["BadLink", "Encoder", "HeldMail", "Keyring", "Link", "Rewritten", "SkippedLink", "TrackedLink"]
__version__ = "0.1.0"
