"""linkrouter: self-hosted link tracking for e-mail."""

from linkrouter.link import Keyring, Link

__all__ = ["Keyring", "Link"]
__version__ = "0.1.0"
