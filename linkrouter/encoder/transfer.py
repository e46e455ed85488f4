"""Content transfer encodings: the bytes of a body, decoded and, for the places that changed, encoded again.

Promise: only what was replaced changes. Text outside a link is copied from the bytes that came in, never encoded again:
an 8bit body is spliced, a quoted-printable one is spliced in its encoded form, and only base64, where every byte
moves those behind it, is written anew, in lines of the length it had. What does not read back as intended is refused.
"""

import struct
from binascii import Error as Base64Error
from binascii import a2b_base64, a2b_qp, b2a_base64

from linkrouter.encoder.charsets import Splice

__all__ = ["MAX_LINE_OCTETS", "decode_transfer", "overlong", "splice", "splice_text", "splice_transfer"]

MAX_LINE_OCTETS = 998  # RFC 5322 §2.1.1, without the line end
_QP_COLUMNS = 76  # RFC 2045 §6.7
_BASE64_COLUMNS = 76  # RFC 2045 §6.8

_PLAIN_ENCODINGS = ("", "7bit", "8bit", "binary")
_BASE64_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_WHITE_SPACE = b" \t\r\n"


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
    """Give the numbers of those *splices* that would make a line of *body* longer than 998 octets, those before made.

    A line that is longer already may grow: the next server cuts it whatever stands in it.
    """
    refused: set[int] = set()
    line_start, line_end, growth = 0, -1, 0
    for number, (start, end, new) in enumerate(splices):
        if start > line_end:
            line_start, growth = body.rfind(b"\n", max(line_end, 0), start) + 1, 0
        if end > line_end:
            line_end = body.find(b"\n", end)
            line_end = len(body) if line_end < 0 else line_end
        longer = growth + len(new) - (end - start)
        if line_end - line_start <= MAX_LINE_OCTETS < line_end - line_start + longer:
            refused.add(number)
        else:
            growth = longer
    return refused


def decode_transfer(body: bytes, encoding: str) -> bytes | None:
    """Undo the transfer *encoding* (in lower case), or give None when it is unknown or would not come back the same."""
    if encoding in _PLAIN_ENCODINGS:
        return body
    if encoding == "quoted-printable":
        return a2b_qp(body)
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
    # Python's decoder skips junk; what is neither digit nor white space must be the padding at the end.
    padding = body.translate(None, _BASE64_DIGITS + _WHITE_SPACE)
    if padding not in (b"", b"=", b"==") or not body.rstrip(_WHITE_SPACE).endswith(padding):
        return None
    try:
        return a2b_base64(body)
    except Base64Error:
        return None


def _encode_base64_like(body: bytes, decoded: bytes) -> bytes:
    """Write *decoded* in lines of the length, with the line ends and the blank lines around it that *body* has."""
    core = body.strip(_WHITE_SPACE)
    first_line, newline, _ = core.partition(b"\n")
    columns = len(first_line.rstrip(b"\r"))
    digits = b2a_base64(decoded, newline=False)
    if not newline:
        columns = len(digits)
    if columns > MAX_LINE_OCTETS:
        columns = _BASE64_COLUMNS
    eol = b"\n" if b"\n" in body and b"\r\n" not in body else b"\r\n"
    head = body[: len(body) - len(body.lstrip(_WHITE_SPACE))]
    tail = body[len(head) + len(core) :]
    whole = len(digits) // columns  # lines; unpacking cuts them in half the time of slices
    lines = struct.unpack(f"{columns}s" * whole, digits[: whole * columns])
    rest = digits[whole * columns :]
    return head + eol.join((*lines, rest) if rest else lines) + tail


def _splice_quoted_printable(body: bytes, decoded: bytes, splices: list[Splice]) -> bytes | None:
    """Splice the encoded *body* itself: a tracked link needs at most its `=` encoded, and soft line breaks."""
    soft_break = b"=\r\n" if b"\r\n" in body or b"\n" not in body else b"=\n"
    spans = _encoded_spans(body, splices)
    pieces: list[bytes] = []
    at = column = 0
    for number, (start, end) in enumerate(spans):
        if a2b_qp(body[start:end]) != decoded[splices[number][0] : splices[number][1]]:
            return None  # some `=` before it was not an escape
        gap = body[at:start]
        line_start = gap.rfind(b"\n") + 1
        column = len(gap) - line_start + (0 if line_start else column)
        lines, column = _wrapped(splices[number][2].encode("ascii").replace(b"=", b"=3D"), column, soft_break)
        pieces += (gap, lines)
        following = spans[number + 1][0] if number + 1 < len(spans) else len(body)
        if column + _columns_to_break(body, end, following) > _QP_COLUMNS:
            pieces.append(soft_break)
            column = 0
        at = end
    pieces.append(body[at:])
    return b"".join(pieces)


def _encoded_spans(body: bytes, splices: list[Splice]) -> list[tuple[int, int]]:
    """Move *splices* from offsets in the decoded text to spans of *body*, inside the soft line breaks around them.

    Between two places the encoded text is longer by two octets for each `=`, be it an escape or a soft break, and by
    one more where CR LF follows. What is added may hold a `=` again, so the sum is taken until it stays.
    """
    spans: list[tuple[int, int]] = []
    at = offset = 0
    for start, end, _ in splices:
        at = _encoded_offset(body, at, start - offset)
        while body.startswith((b"=\r\n", b"=\n"), at):
            at = body.index(b"\n", at) + 1
        first, at = at, _encoded_offset(body, at, end - start)
        spans.append((first, at))
        offset = end
    return spans


def _encoded_offset(body: bytes, at: int, octets: int) -> int:
    """Give the offset in *body* that is as many decoded *octets* behind *at*, which is between two characters."""
    end = at + octets
    while at < end:
        escapes = body.count(b"=", at, end)
        longer = 2 * escapes + (body.count(b"=\r\n", at, end + 2) if escapes else 0)
        at, end = end, end + longer
    return end


def _wrapped(encoded: bytes, column: int, soft_break: bytes) -> tuple[bytes, int]:
    """Break *encoded*, which begins in *column*, into quoted-printable lines; give also the column it ends in."""
    most = _QP_COLUMNS - 1  # one for the `=` of the soft break
    room = max(most - column, 0)
    if len(encoded) <= room:
        return encoded, column + len(encoded)
    if b"=" in encoded:
        lines = _lines_with_escapes(encoded, room, most)
    else:
        lines = [encoded[:room], *(encoded[first : first + most] for first in range(room, len(encoded), most))]
    return soft_break.join(lines), len(lines[-1])


def _lines_with_escapes(encoded: bytes, room: int, most: int) -> list[bytes]:
    """Cut *encoded* into one line of *room* columns and others of *most*, but never within a `=3D`."""
    lines: list[bytes] = []
    at = 0
    while len(encoded) - at > room:
        escape = encoded.find(b"=", max(at + room - 2, at), at + room)
        end = at + room if escape < 0 else escape
        lines.append(encoded[at:end])
        at, room = end, most
    return [*lines, encoded[at:]]


def _columns_to_break(body: bytes, start: int, end: int) -> int:
    """Give the columns from *start* to the next line end, or to *end* with one for a soft break there."""
    newline = body.find(b"\n", start, end)
    if newline < 0:
        return end - start + (end < len(body))
    return newline - start - (body[newline - 1] == 0x0D and newline > start)
