"""Charsets and content transfer encodings: bytes to text and, for the places that changed, back again.

Promise: only what was replaced changes. Text outside a link is copied from the bytes that came in, never encoded again:
an 8bit body is spliced, a quoted-printable one is spliced in its encoded form, and only base64, where every byte
moves those behind it, is written anew, in lines of the length it had. What does not read back as intended is refused.
"""

import codecs
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, a2b_qp, b2a_base64
from typing import NamedTuple

__all__ = [
    "Splice",
    "decode_charset",
    "decode_transfer",
    "overlong",
    "splice",
    "splice_text",
    "splice_transfer",
    "to_octets",
]

MAX_LINE_OCTETS = 998  # RFC 5322 §2.1.1, without the line end
MAX_QP_COLUMNS = 76  # RFC 2045 §6.7
BASE64_COLUMNS = 76  # RFC 2045 §6.8

_PLAIN_ENCODINGS = ("", "7bit", "8bit", "binary")
_UTF8 = ("", "utf-8", "utf8", "us-ascii", "ascii")  # an undeclared 8-bit body is UTF-8 if it is anything
# Charsets in which every ASCII byte of markup stands for itself: not UTF-16, UTF-7, ISO-2022-*, HZ or EBCDIC.
_HOLDS_ASCII = re.compile(
    r"utf-8|ascii|iso8859-\d+|cp(?:125\d|437|85\d|86\d|874|932|949|950)|koi8-[rut]|gb2312|gbk|gb18030|big5|big5hkscs"
    r"|shift_jis|euc_(?:jp|kr)|mac-roman|tis-620"
)
_HIDDEN_SOFT_BREAK = re.compile(rb"=[ \t]+\r?\n")  # legal, but Python's decoder does not know it
_QP_TOKEN = re.compile(rb"=[0-9A-Fa-f]{2}|[\0\1]")
_CRLF_BREAK, _LF_BREAK = b"\0", b"\1"  # stand for soft line breaks while lines are counted
_BREAKS = (_CRLF_BREAK, _LF_BREAK, b"\n")
_BREAK = re.compile(rb"[\0\1\n]")
_WHITE_SPACE = b" \t\r\n"


class Splice(NamedTuple):
    """Replace `[start:end]` by `new`, which is ASCII."""

    start: int
    end: int
    new: str


def decode_charset(body: bytes, charset: str) -> str | None:
    """Read *body* in *charset* so that each character knows its bytes, or give None when that cannot be done."""
    if body.isascii() and charset in _UTF8:
        return body.decode("ascii")
    codec = _codec(charset)
    if codec is None:
        return None
    try:
        text = body.decode(codec, "surrogateescape")
        same = codec == "utf-8" or text.encode(codec, "surrogateescape") == body
    except UnicodeError:
        return None
    return text if same else None


def _codec(charset: str) -> str | None:
    if charset in _UTF8:
        return "utf-8"
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    return name if _HOLDS_ASCII.fullmatch(name) else None


def to_octets(text: str, charset: str, splices: list[Splice]) -> list[Splice]:
    """Move *splices* from offsets in *text* to offsets in its bytes."""
    if text.isascii():
        return splices
    codec = _codec(charset) or "utf-8"
    moved, at, octets = [], 0, 0
    for start, end, new in splices:
        first = octets + len(text[at:start].encode(codec, "surrogateescape"))
        octets = first + len(text[start:end].encode(codec, "surrogateescape"))
        moved.append(Splice(first, octets, new))
        at = end
    return moved


def splice(body: bytes, splices: list[Splice]) -> bytes:
    """Make the replacements in *body*; everything else is a slice of it."""
    pieces: list[bytes] = []
    at = 0
    for start, end, new in splices:
        pieces += (body[at:start], new.encode("ascii"))
        at = end
    pieces.append(body[at:])
    return b"".join(pieces)


def splice_text(text: str, splices: list[Splice]) -> str:
    """Make the replacements in *text*."""
    pieces: list[str] = []
    at = 0
    for start, end, new in splices:
        pieces += (text[at:start], new)
        at = end
    pieces.append(text[at:])
    return "".join(pieces)


def overlong(body: bytes, splices: list[Splice]) -> set[int]:
    """Give the numbers of those *splices* that would leave a line of *body* over 998 octets, those before them made."""
    refused: set[int] = set()
    line_start, line_end, growth = 0, -1, 0
    for number, (start, end, new) in enumerate(splices):
        if start > line_end:
            line_start, growth = body.rfind(b"\n", max(line_end, 0), start) + 1, 0
        if end > line_end:
            line_end = body.find(b"\n", end)
            line_end = len(body) if line_end < 0 else line_end
        longer = growth + len(new) - (end - start)
        if line_end - line_start + longer > MAX_LINE_OCTETS:
            refused.add(number)
        else:
            growth = longer
    return refused


def decode_transfer(body: bytes, encoding: str) -> bytes | None:
    """Undo the transfer *encoding* (in lower case), or give None when it is unknown or would not come back the same."""
    if encoding in _PLAIN_ENCODINGS:
        return body
    if encoding == "quoted-printable":
        return _decode_quoted_printable(body)
    if encoding == "base64":
        return _decode_base64(body)
    return None


def splice_transfer(body: bytes, encoding: str, decoded: bytes, splices: list[Splice]) -> bytes | None:
    """Make *splices*, whose offsets are in *decoded*, in the encoded *body*.

    Returns:
        The new body, or None when it would not decode to *decoded* with the replacements.
    """
    if encoding == "quoted-printable":
        return _splice_quoted_printable(body, decoded, splices)
    if encoding == "base64":
        return _encode_base64_like(body, splice(decoded, splices))
    return splice(body, splices)


def _decode_base64(body: bytes) -> bytes | None:
    digits = body.translate(None, _WHITE_SPACE)
    try:
        decoded = a2b_base64(digits)
    except Base64Error:
        return None
    return decoded if b2a_base64(decoded, newline=False) == digits else None


def _encode_base64_like(body: bytes, decoded: bytes) -> bytes:
    """Write *decoded* in lines of the length, with the line ends and the blank lines around it that *body* has."""
    core = body.strip(_WHITE_SPACE)
    first_line, newline, _ = core.partition(b"\n")
    eol = b"\r\n" if first_line.endswith(b"\r") or not newline else b"\n"
    columns = len(first_line.rstrip(b"\r"))
    digits = b2a_base64(decoded, newline=False)
    if (not newline and len(digits) > MAX_LINE_OCTETS) or columns > MAX_LINE_OCTETS:
        columns = BASE64_COLUMNS
        eol = b"\n" if b"\n" in body and b"\r\n" not in body else b"\r\n"
    elif not newline:
        columns = len(digits)
    lines = re.findall(rb".{1,%d}" % columns, digits) if digits else []
    head = body[: len(body) - len(body.lstrip(_WHITE_SPACE))]
    tail = body[len(head) + len(core) :]
    return head + eol.join(lines) + tail


def _decode_quoted_printable(body: bytes) -> bytes | None:
    if _CRLF_BREAK in body or _LF_BREAK in body or body.count(b"\r") != body.count(b"\r\n"):
        return None
    if _HIDDEN_SOFT_BREAK.search(body):
        return None
    return a2b_qp(body)


def _splice_quoted_printable(body: bytes, decoded: bytes, splices: list[Splice]) -> bytes | None:
    """Splice the encoded text itself: a tracked link needs no encoding, so only soft line breaks are put in anew.

    Hard lines of *body* and lines of *decoded* are the same lines, unless a line end is written as =0A.
    """
    soft_break = _CRLF_BREAK if b"\r\n" in body or b"\n" not in body else _LF_BREAK
    marked = body.replace(b"=\r\n", _CRLF_BREAK).replace(b"=\n", _LF_BREAK)
    lines = marked.split(b"\n")
    if len(lines) == decoded.count(b"\n") + 1:
        done = b"\n".join(_splice_lines(lines, decoded, splices, soft_break))
    else:
        done = _splice_line(marked, 0, splices, soft_break)
    done = done.replace(_CRLF_BREAK, b"=\r\n").replace(_LF_BREAK, b"=\n")
    return done if a2b_qp(done) == splice(decoded, splices) else None


def _splice_lines(lines: list[bytes], decoded: bytes, splices: list[Splice], soft_break: bytes) -> list[bytes]:
    out: list[bytes] = []
    line = at = first = 0  # the next line to copy, where it starts in *decoded*, the next splice
    while first < len(splices):
        start = decoded.rfind(b"\n", at, splices[first].start) + 1 or at
        untouched = decoded.count(b"\n", at, start)
        end, last = _line_end(decoded, splices[first].end), first + 1
        while last < len(splices) and splices[last].start < end:
            end, last = _line_end(decoded, max(end, splices[last].end)), last + 1
        touched = decoded.count(b"\n", start, end) + 1  # more than one when a value is folded
        out += lines[line : line + untouched]
        line += untouched + touched
        out.append(_splice_line(b"\n".join(lines[line - touched : line]), start, splices[first:last], soft_break))
        at, first = end + 1, last
    return out + lines[line:]


def _line_end(text: bytes, at: int) -> int:
    end = text.find(b"\n", at)
    return len(text) if end < 0 else end


def _splice_line(line: bytes, offset: int, splices: list[Splice], soft_break: bytes) -> bytes:
    """Splice the encoded *line*, which starts at *offset* of the decoded text, into lines of at most 76 columns."""
    spans = _encoded_spans(line, [(start - offset, end - offset) for start, end, _ in splices])
    pieces: list[bytes] = []
    at = column = 0
    for (start, end), (_, _, new), (following, _) in zip(spans, splices, [*spans[1:], (len(line), 0)], strict=True):
        pieces.append(line[at:start])
        last_break = max(line.rfind(mark, at, start) for mark in _BREAKS)
        column = column + start - at if last_break < 0 else start - last_break - 1
        url = new.encode("ascii")
        while column + len(url) > MAX_QP_COLUMNS - 1:
            room = max(MAX_QP_COLUMNS - 1 - column, 0)
            pieces += (url[:room], soft_break)
            url, column = url[room:], 0
        pieces.append(url)
        column += len(url)
        if column + _columns_to_break(line, end, following) > MAX_QP_COLUMNS:
            pieces.append(soft_break)
            column = 0
        at = end
    pieces.append(line[at:])
    return b"".join(pieces)


def _columns_to_break(line: bytes, start: int, end: int) -> int:
    """Give the columns from *start* to the next line end, or to *end* and one for the `=` of a soft break there."""
    found = _BREAK.search(line, start, end)
    if found is None:
        return end - start + (end < len(line))
    hard = found[0] == b"\n"
    return found.start() - start + (not hard) - (hard and line[found.start() - 1 : found.start()] == b"\r")


def _encoded_spans(line: bytes, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Move *spans*, in order, from the decoded line to the encoded *line*: inside the soft breaks on either side."""
    tokens = _QP_TOKEN.finditer(line)
    token, shift = next(tokens, None), 0

    def encoded(offset: int, past_breaks: bool) -> int:
        nonlocal token, shift
        while token is not None:
            at, columns = token.start() - shift, token.end() - token.start()
            if at > offset or (at == offset and (columns == 3 or not past_breaks)):
                break
            shift += 2 if columns == 3 else 1
            token = next(tokens, None)
        return offset + shift

    return [(encoded(start, True), encoded(end, False)) for start, end in spans]
