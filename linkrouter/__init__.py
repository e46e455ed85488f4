"""linkrouter: self-hosted link tracking for e-mail."""

from linkrouter.encoder import Encoder
from linkrouter.link import Keyring, Link

__all__ = ["Encoder", "Keyring", "Link"]
__version__ = "0.1.0"
