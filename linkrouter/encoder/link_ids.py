"""Link ids: by default, a key that all links of one mail share, and the number of each link in it.

Promise: links of one mail stand together in every store, and no two links have one id. A mail's key is 8 random bytes:
nothing of the mail can be told from it.
"""

import os
from collections.abc import Callable, Sequence

from linkrouter.link.codec import varint

__all__ = ["LinkIdScheme", "mint_link_ids"]

LinkIdScheme = Callable[[int], list[bytes]]  # gives as many link ids of 1-16 bytes as it is asked for

_MESSAGE_KEY_BYTES = 8
_ONE_BYTE = [varint(number) for number in range(128)]  # a call for each link would show


def mint_link_ids(numbers: Sequence[int], scheme: LinkIdScheme | None) -> tuple[bytes, list[bytes]]:
    """Return a mail's message key and one link id for each of *numbers*, the numbers of its links.

    An id is the message key and its number as an unsigned LEB128 varint. The ids of a *scheme* of the sender's have no
    message key; nor has a mail without links.
    """
    if not numbers:
        return b"", []
    if scheme is not None:
        return b"", scheme(len(numbers))
    key = os.urandom(_MESSAGE_KEY_BYTES)
    return key, [key + (_ONE_BYTE[number] if number < len(_ONE_BYTE) else varint(number)) for number in numbers]
