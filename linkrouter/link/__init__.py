"""What a tracked link is: its spelling, its keys, and what it may lead to.  Pure; no I/O but the keyring's own file."""

from linkrouter.link.codec import Link, LinkPart
from linkrouter.link.destination import canonical_url, is_redirectable
from linkrouter.link.keyfile import Key
from linkrouter.link.keyring import Keyring
from linkrouter.link.takeback import TakeBack
from linkrouter.link.takeback_table import TakeBacks

__all__ = ["Key", "Keyring", "Link", "LinkPart", "TakeBack", "TakeBacks", "canonical_url", "is_redirectable"]
