"""What the addresses mean that a DNS block list answers with.

Promise: pure, and complete for the two lists as they are documented (surbl.org/lists; docs.spamhaus.com, zones). An
address outside 127.0.0.0/8 is a name server's invention, an error code is an error, and a code that nobody documented
is not guessed at: all three are unknown.
"""

from collections.abc import Callable, Iterable

from linkrouter.checker.verdict import Opinion

__all__ = ["Codes", "read_dbl", "read_surbl"]

Codes = Callable[[Iterable[str]], Opinion]

# SURBL sums these bits in the last octet: (bit, list, meaning, whether it alone stops a mail)
_SURBL = (
    (4, "DM", "disposable mail addresses", False),
    (8, "PH", "phishing", True),
    (16, "MW", "malware", True),
    (32, "CT", "click trackers of senders without confirmed opt-in", False),
    (64, "ABUSE", "abuse and spam", True),
    (128, "CR", "cracked sites", False),
)
_SURBL_BLOCKED, _SURBL_RETIRED = 1, 2

_DBL = {
    2: ("spam", True),
    4: ("phishing", True),
    5: ("malware", True),
    6: ("botnet control", True),
    102: ("spam on a legitimate site", False),
    103: ("redirector used by spam", False),
    104: ("phishing on a legitimate site", True),
    105: ("malware on a legitimate site", True),
    106: ("botnet control on a legitimate site", True),
}

# Spamhaus's, which SURBL's mirrors use too; the first two hold for every list (RFC 5782 §2.1).
_ERRORS = {
    "127.0.0.1": "the list refuses to answer this name server",
    "127.0.1.255": "an address was asked for, not a name",
    "127.255.255.250": "the key is disabled",
    "127.255.255.251": "the key is rejected, or in use elsewhere",
    "127.255.255.252": "the zone is misspelt",
    "127.255.255.254": "the list does not answer public name servers",
    "127.255.255.255": "too many queries",
}


def read_surbl(addresses: Iterable[str]) -> Opinion:
    """Read the A records of a SURBL answer."""
    return _read(addresses, _surbl_lists)


def read_dbl(addresses: Iterable[str]) -> Opinion:
    """Read the A records of a Spamhaus DBL answer."""
    return _read(addresses, _dbl_lists)


_Lists = list[tuple[str, bool]]


def _read(addresses: Iterable[str], lists_of: Callable[[tuple[int, ...]], _Lists | None]) -> Opinion:
    found: _Lists = []
    why = ""
    for address in addresses:
        octets = tuple(int(part) for part in address.split("."))
        lists = None if address in _ERRORS or octets[0] != 127 or octets[:3] == (127, 255, 255) else lists_of(octets)
        if lists is None:
            why = _ERRORS.get(address, "an answer that the list does not document")
        else:
            found += lists
    if found:
        return Opinion("listed", tuple(name for name, _ in found), any(blocks for _, blocks in found))
    return Opinion("unknown", why=why or "an empty answer")


def _surbl_lists(octets: tuple[int, ...]) -> _Lists | None:
    bits = octets[3]  # the two octets between are reserved and to be ignored
    if bits & _SURBL_BLOCKED or bits in (0, _SURBL_RETIRED):
        return None
    return [(f"{name}: {meaning}", blocks) for bit, name, meaning, blocks in _SURBL if bits & bit]


def _dbl_lists(octets: tuple[int, ...]) -> _Lists | None:
    if octets[1:3] != (0, 1) or not 2 <= octets[3] <= 199:
        return None
    # The ranges are what is promised to stay: 2-99 bad, 102-199 bad use of a legitimate site.
    default = ("bad reputation", True) if octets[3] < 100 else ("abused legitimate site", True)
    meaning, blocks = _DBL.get(octets[3], default)
    return [(f"DBL: {meaning}", blocks)]
