"""What may be redirected to.

Promise: nothing reaches a `Location` header that is not a plain absolute http(s) URL in ASCII, and what
reaches it is byte for byte what a browser would have requested without the tracker in between.

A browser parses an `href` by the WHATWG URL standard and requests the serialisation, so that serialisation
is what gets signed. `urllib.parse` and `yarl` follow RFC 3986 and change 6 % of real links; Ada is the
WHATWG parser itself. Nine links in ten are canonical already, which one regular expression can tell.
"""

import re

import ada_url

from linkrouter.errors import BadDestination

__all__ = ["MAX_DESTINATION_BYTES", "canonical_url", "is_redirectable"]

MAX_DESTINATION_BYTES = 4096  # the longest of 16,000 real links has 2,539

# Already the WHATWG serialisation, unless punycode is in it: lower-case scheme, a host of letter-digit-hyphen labels
# (the last no number), no port, no dot segment, nothing that would be encoded.
_CANONICAL = re.compile(
    r"https?://"
    r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)++[a-z](?:[a-z0-9-]*[a-z0-9])?"
    r"(?:/(?:(?!(?:\.|%2[eE]){1,2}(?:[/?#]|\Z))[A-Za-z0-9\-._~:@!$&()*+,;=%]*+(?:/|(?=[?#])|\Z))*+"
    r"(?:\?[A-Za-z0-9\-._~:@/!$&()*+,;=%?]*+)?"
    r"(?:\#[A-Za-z0-9\-._~:@/!$&()*+,;=%?]*+)?)?"
)

# The rule of the wire format. The host's class is every printable character but \ @ / ? # : [ ].
_REDIRECTABLE = re.compile(
    r"https?://"
    r"(?:\[[0-9a-fA-F:.]+\]|[!\"$-.0-9;->A-Z^-~]++)"
    r"(?::[0-9]{1,5})?+"
    r"(?:[/?#][!-\[\]-~]*+)?+"
)


def is_redirectable(url: str) -> bool:
    """Whether *url* may stand in a `Location` header.

    Scheme http or https in lower case, a non-empty host, no userinfo, bytes 0x21-0x7E only, no
    backslash, at most `MAX_DESTINATION_BYTES` (docs/wire-format.md, "The destination").
    """
    return len(url) <= MAX_DESTINATION_BYTES and _REDIRECTABLE.fullmatch(url) is not None


def canonical_url(url: str) -> str:
    """Give the URL that a browser requests when it follows *url*: the WHATWG serialisation.

    The lone final slash of an origin is dropped: `https://example.com/` and `https://example.com` are one
    URL to every client, and the tracked link reads better without it.

    Raises:
        BadDestination: *url* is not an absolute http(s) URL, or is one that is never redirected to; the
            reason is one of "not a URL", "scheme", "userinfo", "too long", "characters".
    """
    if "xn--" in url or _CANONICAL.fullmatch(url) is None:
        url = _serialise(url)
        if _REDIRECTABLE.fullmatch(url) is None:  # what is canonical at sight is redirectable, too
            raise BadDestination("characters")
    if len(url) > MAX_DESTINATION_BYTES:
        raise BadDestination("too long")
    return url[:-1] if url[-1] == "/" and url.count("/") == 3 else url


def _serialise(url: str) -> str:
    try:
        serialised: str = ada_url.normalize_url(url)
    except ValueError:
        # `from None`: the parser's message quotes the URL.
        raise BadDestination("not a URL") from None
    if not serialised.startswith(("http://", "https://")):
        raise BadDestination("scheme")
    if "@" in serialised.split("/", 3)[2]:
        raise BadDestination("userinfo")
    return serialised
