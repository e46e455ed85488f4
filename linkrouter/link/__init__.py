"""What a tracked link is: its spelling, its keys, and what it may lead to.  Pure; no I/O but the keyring's own file."""

from linkrouter.link.codec import Link, LinkPart
from linkrouter.link.destination import canonical_url, is_redirectable
from linkrouter.link.keyfile import Key
from linkrouter.link.keyring import Keyring

__all__ = ["Key", "Keyring", "Link", "LinkPart", "canonical_url", "is_redirectable"]
