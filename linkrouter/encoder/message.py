"""The structure of a mail: where its text parts lie in the raw bytes, and how to read them.

Promise: headers, boundaries, preambles and every part that is not plain text or HTML are never looked into, let alone
changed. The `email` package reads mail too, but what it writes differs from what it read for half of all real messages.

Parts are found by their boundary lines (RFC 2046 §5.1.1). What a reader could take in two ways is left alone.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from linkrouter.encoder.report import SkipReason
from linkrouter.link import LinkPart

__all__ = ["Leaf", "Mail", "read_mail"]

_MAX_DEPTH = 20
_MAX_PARTS = 1000

_FIRST_HEADER = re.compile(rb"(?:From [^\n]*\n)?[!-9;-~]+[ \t]*:")
_BLANK_LINE = re.compile(rb"\n\r?\n")
_HEADER = re.compile(
    rb"\n((?i:content-(?:type|transfer-encoding|disposition)|dkim-signature))[ \t]*:"
    rb"((?:[^\r\n]++|\r?\n[ \t]|\r(?!\n))*+)"
)
_MEDIA_TYPE = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;|\(|\Z)")
_PARAMETER = re.compile(r";\s*+([^\s=;\"]++)\s*+=\s*+(?:\"((?:[^\"\\]++|\\.)*+)\"|([^\s;\"]*+))", re.DOTALL)
_AFTER_BOUNDARY = re.compile(rb"(--)?[ \t]*(?:\r?\n|\Z)")
_PGP = b"-----BEGIN PGP "

_PARTS: dict[str, LinkPart] = {"text/html": "html", "text/plain": "text"}
_SEALED = ("multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")


class Leaf(NamedTuple):
    """A text part: its body is `raw[start:end]`."""

    start: int
    end: int
    part: LinkPart
    charset: str  # in lower case, "" when not given
    encoding: str  # the transfer encoding, in lower case, "" when not given
    joined_lines: bool  # format=flowed with delsp=yes
    reason: SkipReason | None  # why its links must stay, one of `REASONS`


class Mail(NamedTuple):
    """The text parts of a mail in order, and why none of it can be changed, if so."""

    leaves: list[Leaf]
    reason: SkipReason | None


class _Headers(NamedTuple):
    media_type: str
    parameters: dict[str, str]
    encoding: str
    attached: bool
    ambiguous: bool
    dkim: bool
    body: int | None  # where the body starts


def read_mail(raw: bytes, *, allow_dkim: bool = False) -> Mail:
    """Find the text parts of *raw*, an RFC 5322 message with CRLF or LF line ends.

    Args:
        raw: The whole message.
        allow_dkim: Take a message with a `DKIM-Signature` for one that may be changed.
    """
    if _FIRST_HEADER.match(raw) is None:
        return Mail([], "not a mail")
    headers = _read_headers(raw, 0, len(raw), "text/plain")
    if headers.body is None:
        return Mail([], "no body")
    walk = _Walk()
    leaves = list(walk.part(raw, headers, headers.body, len(raw), 0, None))
    reason: SkipReason | None = walk.reason or ("DKIM signature" if headers.dkim and not allow_dkim else None)
    return Mail(leaves, reason or (None if leaves else walk.hidden or "no text part"))


def _read_headers(raw: bytes, start: int, end: int, default_type: str) -> _Headers:
    if raw.startswith((b"\n", b"\r\n"), start, end):  # no header at all
        return _Headers(default_type, {}, "", False, False, False, raw.index(b"\n", start) + 1)
    blank = _BLANK_LINE.search(raw, start, end)
    block = b"\n" + raw[start : end if blank is None else blank.start()]
    fields: dict[str, str] = {}
    dkim = ambiguous = False
    for match in _HEADER.finditer(block):
        name, value = match[1].lower().decode("ascii"), match[2].decode("latin-1").strip()
        dkim = dkim or name == "dkim-signature"
        ambiguous = ambiguous or (name in fields and name != "dkim-signature")
        fields[name] = value
    media_type, parameters = _read_content_type(fields.get("content-type", default_type))
    encoding = fields.get("content-transfer-encoding", "").partition("(")[0].strip().lower()
    attached = _is_attached(fields.get("content-disposition", "inline"), parameters)
    return _Headers(
        media_type,
        parameters,
        encoding,
        attached,
        ambiguous or not media_type,
        dkim,
        None if blank is None else blank.end(),
    )


def _read_content_type(value: str) -> tuple[str, dict[str, str]]:
    match = _MEDIA_TYPE.match(value)
    if match is None:
        return "", {}
    parameters: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(value):
        # The first of two counts for some readers and the last for others: then neither is known.
        known = name.lower() in parameters
        parameters[name.lower()] = "?" if known else re.sub(r"\\(.)", r"\1", quoted) or bare
    return match[1].lower(), parameters


def _is_attached(disposition: str, parameters: dict[str, str]) -> bool:
    """Whether a part is a file; one with a name is, even if it is shown inline."""
    shown, _, rest = disposition.partition(";")
    return shown.strip().lower() != "inline" or "filename" in rest.lower() or "name" in parameters


class _Walk:
    """One pass over a mail; remembers what it met that speaks against changing it."""

    def __init__(self) -> None:
        self.reason: SkipReason | None = None  # of the whole mail
        self.hidden: SkipReason | None = None  # why a part was not even looked into
        self._parts = 0

    def part(
        self, raw: bytes, headers: _Headers, start: int, end: int, depth: int, reason: SkipReason | None
    ) -> Iterator[Leaf]:
        """Give the text parts in the body `raw[start:end]` that belongs to *headers*."""
        if headers.ambiguous:
            reason = self.hidden = "ambiguous headers"
        elif headers.media_type in _SEALED:
            reason = self.hidden = "signed or encrypted"
        if headers.attached:
            return
        if headers.media_type.startswith("multipart/"):
            yield from self._children(raw, headers, start, end, depth, reason)
        elif headers.media_type in _PARTS:
            yield _leaf(raw, headers, start, end, reason)

    def _children(
        self, raw: bytes, headers: _Headers, start: int, end: int, depth: int, reason: SkipReason | None
    ) -> Iterator[Leaf]:
        boundary = headers.parameters.get("boundary", "").encode("latin-1")
        if not boundary:  # a transfer encoding is ignored, as every reader does: RFC 2045 §6.4 allows none here
            self.reason = self.reason or "ambiguous headers"
            return
        default_type = "message/rfc822" if headers.media_type == "multipart/digest" else "text/plain"
        spans, closed = _split(raw, b"--" + boundary, start, end)
        if not closed:
            self.reason = self.reason or "truncated"
        self._parts += len(spans)
        if depth == _MAX_DEPTH or self._parts > _MAX_PARTS:
            self.reason = "too complex"
            return
        for part_start, part_end in spans:
            part_headers = _read_headers(raw, part_start, part_end, default_type)
            if part_headers.body is not None:
                yield from self.part(raw, part_headers, part_headers.body, part_end, depth + 1, reason)


def _split(raw: bytes, delimiter: bytes, start: int, end: int) -> tuple[list[tuple[int, int]], bool]:
    """Give the spans between the lines that are *delimiter*, and whether the closing one came."""
    spans: list[tuple[int, int]] = []
    part: int | None = None
    position = start
    while (at := raw.find(delimiter, position, end)) >= 0:
        position = at + len(delimiter)
        line_end = _AFTER_BOUNDARY.match(raw, position, end)
        if line_end is None or (at > start and raw[at - 1] != 0x0A):
            continue
        if part is not None:
            # The line end before a delimiter belongs to it.
            spans.append((part, max(part, at - (2 if raw[at - 2 : at] == b"\r\n" else 1))))
        if line_end[1]:
            return spans, True
        part = position = line_end.end()
    if part is not None:
        spans.append((part, end))
    return spans, False


def _leaf(raw: bytes, headers: _Headers, start: int, end: int, reason: SkipReason | None) -> Leaf:
    part, parameters = _PARTS[headers.media_type], headers.parameters
    if part == "text" and raw.find(_PGP, start, end) >= 0:
        reason = reason or "signed or encrypted"
    joined = parameters.get("format", "").lower() == "flowed" and parameters.get("delsp", "").lower() == "yes"
    return Leaf(start, end, part, parameters.get("charset", "").lower(), headers.encoding, joined, reason)
