"""The tracked link: a `Link` on one side, a request path on the other (wire format, version 2).

Promise: one link has one spelling. What `write_target` and `write_meta` make, their readers read back byte for
byte, and every other spelling of it is refused. Whether the tag is genuine is the keyring's to say; nothing here
knows a secret.

`base64.urlsafe_b64decode` and `urllib.parse.unquote` exist, but both are lenient: they skip junk, ignore unused
trailing bits and pass bad escapes through, so that one value has many spellings.
"""

import itertools
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Literal, NamedTuple

from linkrouter.errors import BadLink

__all__ = [
    "MAX_PATH_CHARS",
    "MAX_TENANT",
    "TAG_CHARS",
    "Link",
    "LinkPart",
    "Meta",
    "decode_base64url",
    "encode_base64url",
    "is_target_alphabet",
    "read_meta",
    "read_target",
    "varint",
    "write_meta",
    "write_target",
]

LinkPart = Literal["html", "text"]  # the part of a mail that a link stands in

MAX_PATH_CHARS = 8000  # a longer link is left alone: proxies and mail clients have limits near 8 KB
MAX_TENANT = 2**32 - 1
TAG_CHARS = 15  # 11 bytes, 88 bits

_KEY_ID, _TEXT, _COUNT_ONLY, _TENANT, _RESERVED = 0x0F, 0x10, 0x20, 0x40, 0x80

_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URLSAFE = bytes.maketrans(b"-_+/", b"+/  ")  # the standard alphabet's own + and / become junk

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:@/")
_TARGET_BYTES = "".join(sorted(_PLAIN | {"%"})).encode()
_ESCAPE = {chr(byte): f"%{byte:02X}" for byte in range(256) if chr(byte) not in _PLAIN}
# Only what the encoder escapes may come escaped; what is not printable ASCII fails the destination rule anyway.
_UNESCAPE = {f"{byte:02X}": chr(byte) for byte in range(128) if chr(byte) not in _PLAIN or chr(byte) == "/"}
_UNSAFE = re.compile(r"[^A-Za-z0-9\-._~:@/]")
_RARELY_UNSAFE = re.compile(r"[^A-Za-z0-9\-._~:@/%]")
_FOLDABLE = ("", ".", "..")  # segments that clients, proxies and caches fold away


class Link(NamedTuple):
    """What a tracked link says.

    A tuple and not a dataclass: a router makes one for every click, and a frozen dataclass takes four times as long.
    """

    destination: str
    link_id: bytes
    part: LinkPart
    count_only: bool
    tenant: int
    key_id: int

    def __repr__(self) -> str:
        """Name everything but the destination and the id: a repr ends up in logs and tracebacks."""
        return f"<Link part={self.part} count_only={self.count_only} tenant={self.tenant} key_id={self.key_id}>"


class Meta(NamedTuple):
    """The middle of a link: everything that is neither target nor id."""

    part: LinkPart
    count_only: bool
    tenant: int
    key_id: int


def encode_base64url(data: bytes) -> str:
    """Write *data* as base64url without padding (RFC 4648 §5)."""
    return b2a_base64(data, newline=False).translate(_TO_URLSAFE, b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """Read canonical base64url without padding (RFC 4648 §5).

    Re-encoding must give back *text*: Python's decoder ignores unused trailing bits, so one value would
    otherwise have many spellings.

    Raises:
        BadLink: *text* is not the one canonical spelling of any byte string.
    """
    try:
        data = a2b_base64(text.encode("ascii").translate(_FROM_URLSAFE) + b"=" * (-len(text) % 4))
    except (Base64Error, UnicodeEncodeError):
        raise BadLink("not base64url") from None
    if encode_base64url(data) != text:
        raise BadLink("a second spelling of base64url")
    return data


def write_target(rest: str) -> str:
    """Percent-encode *rest*, what follows `://` in a canonical destination, into one path."""
    if _UNSAFE.search(rest) is not None:
        # Query strings are made of these; replacing each takes a tenth of a call back from `sub` for every match.
        rest = rest.replace("%", "%25").replace("?", "%3F").replace("=", "%3D").replace("&", "%26")
        rest = _RARELY_UNSAFE.sub(lambda match: _ESCAPE[match[0]], rest)
    if rest[-1] in "/." or "//" in rest or "/." in rest or "./" in rest:
        rest = _escape_foldable_slashes(rest)
    return rest


def _escape_foldable_slashes(rest: str) -> str:
    segments = rest.split("/")
    out = [segments[0]]
    for before, after in itertools.pairwise(segments):
        out.append("%2F" if before in _FOLDABLE or after in _FOLDABLE else "/")
        out.append(after)
    return "".join(out)


def read_target(target: str) -> str:
    """Undo `write_target`: one plain percent-decode.

    Raises:
        BadLink: an escape is cut, in lower case, or stands for a character that is never escaped.
    """
    if "%" in target:
        # What query strings are made of, at once. None of the three can be part of another escape.
        target = target.replace("%3F", "?").replace("%3D", "=").replace("%26", "&")
    if "%" not in target:
        return target
    first, *escaped = target.split("%")
    try:
        return first + "".join([_UNESCAPE[piece[:2]] + piece[2:] for piece in escaped])
    except KeyError:
        raise BadLink("not the spelling of a target") from None


def write_meta(meta: Meta) -> str:
    """Write *meta* as base64url: one byte of flags and key id, then the tenant as LEB128 when there is one.

    Raises:
        ValueError: the part is unknown, or a number is out of its range (key id 1-15, tenant 0-2³²-1).
    """
    if meta.part not in ("html", "text"):
        raise ValueError(f"part must be 'html' or 'text', not {meta.part!r}")
    if not 1 <= meta.key_id <= 15:
        raise ValueError(f"key id must be 1 to 15, not {meta.key_id!r}")
    if not 0 <= meta.tenant <= MAX_TENANT:
        raise ValueError(f"tenant must be 0 to {MAX_TENANT}, not {meta.tenant!r}")
    flags = meta.key_id | (_TEXT if meta.part == "text" else 0) | (_COUNT_ONLY if meta.count_only else 0)
    if meta.tenant == 0:
        return encode_base64url(bytes([flags]))
    return encode_base64url(bytes([flags | _TENANT]) + varint(meta.tenant))


def read_meta(text: str) -> Meta:
    """Undo `write_meta`.

    Raises:
        BadLink: a reserved bit, key id 0, a tenant that is 0, too large or not in its shortest form.
    """
    data = decode_base64url(text)
    if not data or data[0] & _RESERVED or not data[0] & _KEY_ID:
        raise BadLink("not a meta of version 2")
    flags = data[0]
    tenant = _read_tenant(data[1:]) if flags & _TENANT else 0
    if not flags & _TENANT and len(data) > 1:
        raise BadLink("not a meta of version 2")
    return Meta("text" if flags & _TEXT else "html", bool(flags & _COUNT_ONLY), tenant, flags & _KEY_ID)


def varint(number: int) -> bytes:
    """Write *number* as an unsigned LEB128 varint in its shortest form."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_tenant(data: bytes) -> int:
    tenant = 0
    for position, byte in enumerate(data[:5]):
        tenant |= (byte & 0x7F) << 7 * position
    if not 1 <= tenant <= MAX_TENANT or varint(tenant) != data:
        raise BadLink("not a tenant in its shortest form")
    return tenant


def is_target_alphabet(signed: bytes) -> bool:
    """Whether *signed* has only characters that a link is written in."""
    return not signed.translate(None, _TARGET_BYTES)
