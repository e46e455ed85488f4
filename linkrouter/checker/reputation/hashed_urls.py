"""A URL as Google's lists know it: its canonical form, the expressions that may be listed, and their hashes.

Promise: pure, and what Google documents for Web Risk and Safe Browsing (cloud.google.com/web-risk/docs/urls-hashing),
vectors included. It is not what a browser requests: ports, user names and fragments do not count there.
"""

import hashlib
import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

__all__ = ["canonical_form", "expressions", "url_hashes"]

_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*:")
_URL = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?", re.DOTALL)
_ESCAPED = re.compile(rb"%[0-9A-Fa-f]{2}")
_NUMBER = re.compile(rb"0[xX][0-9a-fA-F]*|[0-9]+")
MAX_UNESCAPES = 1024
MAX_HOST_LABELS, MAX_PATH_FOLDERS = 5, 4


def canonical_form(url: str | bytes) -> str | None:
    """Give the canonical form of *url*, with its query; None when it has no host."""
    raw = url.encode("utf-8", "surrogatepass") if isinstance(url, str) else url
    raw = raw.strip(b" ").translate(None, b"\t\r\n").partition(b"#")[0]
    if _SCHEME.match(raw) is None or (b"://" not in raw and _looks_like_port(raw)):
        raw = b"http://" + raw
    match = _URL.match(raw)
    if match is None:
        return None
    scheme, authority, path, query = match.groups()
    host = _canonical_host(authority.rpartition(b"@")[2])
    if not host:
        return None
    text = scheme.lower() + b"://" + _escape(host) + _escape(_canonical_path(path)) + _escape(_unescape(query or b""))
    return text.decode("ascii")


def _looks_like_port(raw: bytes) -> bool:
    return re.match(rb"[^/:]+:[0-9]+(?:/|\Z)", raw) is not None


def _unescape(text: bytes) -> bytes:
    for _ in range(MAX_UNESCAPES):
        if not _ESCAPED.search(text):
            return text
        text = unquote_to_bytes(text)
    return text


def _escape(text: bytes) -> bytes:
    return b"".join(b"%%%02X" % c if c <= 0x20 or c >= 0x7F or c in b"#%" else bytes((c,)) for c in text)


def _canonical_host(authority: bytes) -> bytes:
    host = _unescape(authority)
    if host.startswith(b"["):
        return _ipv6(host.partition(b"]")[0] + b"]")
    host = re.sub(rb":[0-9]*\Z", b"", host)
    host = re.sub(rb"\.{2,}", b".", host).strip(b".").lower()
    if not host.isascii():
        try:
            host = host.decode("utf-8").encode("idna")
        except UnicodeError:
            return host
    return _ipv4(host) or host


def _ipv6(host: bytes) -> bytes:
    try:
        address = ipaddress.IPv6Address(host.strip(b"[]").decode("ascii"))
    except (ValueError, UnicodeError):
        return host.lower()
    inner = address.ipv4_mapped
    if inner is None and address in ipaddress.IPv6Network("64:ff9b::/96"):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return str(inner).encode() if inner is not None else f"[{address.compressed}]".encode()


def _ipv4(host: bytes) -> bytes | None:
    """Read an address of up to four parts, each decimal, octal or hexadecimal; the last fills what is left."""
    parts = host.partition(b" ")[0].split(b".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    numbers = [_number(part) for part in parts]
    if None in numbers:
        return None
    value = 0
    for number in numbers[:-1]:
        value = value << 8 | (number or 0) & 0xFF
    left = 8 * (5 - len(numbers))
    value = value << left | (numbers[-1] or 0) & ((1 << left) - 1)
    return str(ipaddress.IPv4Address(value)).encode()


def _number(part: bytes) -> int | None:
    try:
        if part[:2].lower() == b"0x":
            return int(part[2:] or b"0", 16)
        return int(part, 8 if part.startswith(b"0") and len(part) > 1 else 10)
    except ValueError:
        return None


def _canonical_path(path: bytes) -> bytes:
    kept: list[bytes] = []
    parts = _unescape(path).split(b"/")
    for part in parts:
        if part == b"..":
            kept = kept[:-1]
        elif part not in (b"", b"."):
            kept.append(part)
    is_folder = parts[-1] in (b"", b".", b"..") and kept
    return b"/" + b"/".join(kept) + (b"/" if is_folder else b"")


def expressions(url: str) -> list[str]:
    """Give the host suffixes and path prefixes of *url*, at most thirty, the most specific first."""
    canonical = canonical_form(url)
    if canonical is None:
        return []
    host, slash, rest = canonical.partition("://")[2].partition("/")
    path, mark, query = (slash + rest).partition("?")
    return [f"{name}{way}" for name in _hosts(host) for way in dict.fromkeys(_paths(path, mark + query))]


def _hosts(host: str) -> Iterator[str]:
    yield host
    labels = host.split(".")
    if host.startswith("[") or re.fullmatch(r"[0-9.]+", host):
        return
    for first in range(max(1, len(labels) - MAX_HOST_LABELS), len(labels) - 1):
        yield ".".join(labels[first:])


def _paths(path: str, query: str) -> Iterator[str]:
    if query:
        yield path + query
    yield path
    folders = path.split("/")[1:-1]
    for number in range(min(len(folders) + 1, MAX_PATH_FOLDERS)):
        yield "/" + "".join(f"{folder}/" for folder in folders[:number])


def url_hashes(url: str) -> list[bytes]:
    """Give the SHA-256 of each expression of *url*."""
    return [hashlib.sha256(expression.encode("ascii")).digest() for expression in expressions(url)]
