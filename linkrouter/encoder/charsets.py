"""Charsets: the bytes of a document to text, and places in the text back to places in the bytes.

Promise: each character knows its bytes, so nothing outside a link is ever encoded again. A label means here what it
means to a browser (WHATWG Encoding Standard, §4.2): `iso-8859-1` is windows-1252, `gb2312` is GBK. Python's `codecs`
lacks some sixty of these labels and reads others more narrowly. A charset in which the bytes of markup may be
something else (UTF-16, UTF-7, HZ, EBCDIC) is not read, save ISO-2022-JP, whose escape sequences tell which bytes are.
"""

import codecs
import re
from typing import NamedTuple

__all__ = ["AsciiRun", "Decoded", "Splice", "decode_charset", "find_run", "to_octets"]

Splice = tuple[int, int, str]  # (start, end, new): replace what stands at [start:end] by *new*, which is ASCII

# The labels of the Encoding Standard that Python lacks, by the codec they name.
_LABELS = {
    label: codec
    for codec, labels in {
        "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
        "iso8859-2": "iso88592",
        "iso8859-3": "iso88593",
        "iso8859-4": "iso88594",
        "iso8859-5": "iso88595",
        "iso8859-6": "csiso88596e csiso88596i iso-8859-6-e iso-8859-6-i iso88596",
        "iso8859-7": "iso88597 sun_eu_greek",
        "iso8859-8": "csiso88598e csiso88598i iso-8859-8-e iso-8859-8-i iso88598 logical visual",
        "iso8859-10": "iso885910",
        "iso8859-13": "iso885913",
        "iso8859-14": "iso885914",
        "iso8859-15": "csisolatin9 iso885915",
        "koi8-r": "koi koi8",
        "koi8-u": "koi8-ru",
        "mac-roman": "csmacintosh mac x-mac-roman",
        "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
        "cp874": "dos-874 iso885911 windows-874",
        "cp1250": "x-cp1250",
        "cp1251": "x-cp1251",
        "cp1252": "iso88591 x-cp1252",
        "cp1253": "x-cp1253",
        "cp1254": "iso88599 x-cp1254",
        "cp1255": "x-cp1255",
        "cp1256": "x-cp1256",
        "cp1257": "x-cp1257",
        "cp1258": "x-cp1258",
        "gbk": "csgb2312 gb_2312 gb_2312-80 x-gbk",
        "big5": "cn-big5 x-x-big5",
        "euc_jp": "cseucpkdfmtjapanese x-euc-jp",
        "shift_jis": "windows-31j x-sjis",
        "euc_kr": "cseuckr csksc56011987 iso-ir-149 ks_c_5601-1989 ksc_5601 windows-949",
    }.items()
    for label in labels.split()
}
# What the standard reads instead of a codec, and what is tried after that: Python's wide codecs have characters of two
# spellings, and one that would not come back as it was is no map from text to bytes.
_CODECS = {
    "ascii": ("cp1252",),
    "iso8859-1": ("cp1252",),
    "iso8859-9": ("cp1254",),
    "iso8859-11": ("cp874",),
    "tis-620": ("cp874",),
    "gb2312": ("gb18030", "gbk"),
    "gbk": ("gb18030", "gbk"),
    "big5": ("big5hkscs", "cp950", "big5"),
    "big5hkscs": ("big5hkscs", "cp950", "big5"),
    "shift_jis": ("cp932", "shift_jis"),
    "cp932": ("cp932", "shift_jis"),
    "euc_kr": ("cp949", "euc_kr"),
}
_HOLDS_ASCII = re.compile(
    r"utf-8|ascii|iso8859-\d+|cp(?:125\d|437|85\d|86\d|874|932|949|950)|koi8-[rut]|gb2312|gbk|gb18030|big5|big5hkscs"
    r"|shift_jis|euc_(?:jp|kr)|mac-(?:roman|cyrillic)|tis-620"
)
_ISO_2022_JP = "iso2022_jp"
_UTF8_OR_NONE = ("", "utf-8", "utf8", "us-ascii", "ascii")
_UNDECLARED = ("", "us-ascii", "ascii")

_META_OCTETS = 1024  # how far the standard looks for a meta element (HTML standard, §13.2.3.2)
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"""<meta[\t\n\f\r /][^>]*?charset[\t\n\f\r ]*=[\t\n\f\r ]*["']?[\t\n\f\r ]*([^\s"'/>;]+)""", re.I)

_ESCAPE = re.compile(rb"\x1b(\([BJI]|\$[@B])")
_NOT_ISO_2022_JP = re.compile(rb"[\x80-\xff\x0e\x0f]|\x1b(?!\([BJI]|\$[@B])")
_ROMAN = {ord("\\"): "¥", ord("~"): "‾"}  # where JIS X 0201 differs from ASCII


class AsciiRun(NamedTuple):
    """A stretch of ISO-2022-JP in which one byte is one character."""

    start: int  # in the text
    end: int
    octet: int  # where it starts in the bytes


class Decoded(NamedTuple):
    """A document as text, and what leads back to its bytes."""

    text: str
    codec: str = "utf-8"
    runs: tuple[AsciiRun, ...] | None = None  # of ISO-2022-JP; elsewhere `codec` alone leads back


def decode_charset(body: bytes, charset: str, *, is_html: bool = False) -> Decoded | None:
    """Read *body* in *charset* (a label, "" when there is none), or give None when that cannot be done.

    Without a label, or with one that promises ASCII and does not keep it, bytes that are UTF-8 are read as that; else
    the `<meta>` of an HTML document counts.
    """
    label = charset.strip().lower()
    if body.isascii() and label in _UTF8_OR_NONE:
        # One byte is looked for first: in a long body that takes a fiftieth of the time of two.
        is_shifted = b"\x1b" in body and b"\x1b$" in body
        return _decode_iso_2022_jp(body) if is_shifted else Decoded(body.decode("ascii"))
    if label in _UNDECLARED:
        return _decode_undeclared(body, label, is_html)
    return _decode_label(body, label)


def _decode_label(body: bytes, label: str) -> Decoded | None:
    for codec in _codecs(label):
        decoded = _decode_iso_2022_jp(body) if codec == _ISO_2022_JP else _decode(body, codec)
        if decoded is not None:
            return decoded
    return None


def _decode_undeclared(body: bytes, label: str, is_html: bool) -> Decoded | None:
    try:
        return Decoded(body.decode("utf-8"))
    except UnicodeDecodeError:
        declared = label or (_find_meta_charset(body) if is_html else "")
        return (_decode_label(body, declared) if declared else None) or _decode(body, "utf-8")


def _find_meta_charset(body: bytes) -> str:
    match = _META.search(_COMMENT.sub(b"", body[:_META_OCTETS]))
    return match[1].decode("ascii", "replace").lower() if match else ""


def _codecs(label: str) -> tuple[str, ...]:
    """Give the codecs that are to be tried for *label*, the best first; none when it cannot be read."""
    try:
        name = codecs.lookup(_LABELS.get(label, label)).name
    except (LookupError, ValueError):
        return ()
    if name != _ISO_2022_JP and not _HOLDS_ASCII.fullmatch(name):
        return ()
    return _CODECS.get(name, (name,))


def _decode(body: bytes, codec: str) -> Decoded | None:
    try:
        text = body.decode(codec, "surrogateescape")
        same = codec == "utf-8" or text.encode(codec, "surrogateescape") == body
    except UnicodeError:
        return None
    return Decoded(text, codec) if same else None


def _decode_iso_2022_jp(body: bytes) -> Decoded | None:
    """Read ISO-2022-JP (RFC 1468, and the one-byte katakana that the Encoding Standard adds)."""
    if _NOT_ISO_2022_JP.search(body):
        return None
    pieces: list[str] = []
    runs: list[AsciiRun] = []
    mode, octet, length = b"(B", 0, 0
    for number, piece in enumerate(_ESCAPE.split(body)):
        if number % 2:
            mode = piece
            octet += 1 + len(piece)
            continue
        if mode in (b"(B", b"(J"):
            text = piece.decode("ascii")
            runs.append(AsciiRun(length, length + len(text), octet))
            pieces.append(text.translate(_ROMAN) if mode == b"(J" else text)
        elif b"\n" in piece:  # readers differ on whether a line end goes back to ASCII
            return None
        else:
            pieces.append((b"\x1b" + mode + piece + b"\x1b(B").decode("iso2022_jp_ext", "replace"))
        octet += len(piece)
        length += len(pieces[-1])
    return Decoded("".join(pieces), _ISO_2022_JP, tuple(runs))


def find_run(runs: tuple[AsciiRun, ...], start: int, end: int) -> AsciiRun | None:
    """Find the run that holds all of `text[start:end]`; None when an escape sequence lies in it."""
    low, high = 0, len(runs)
    while low < high:
        middle = (low + high) // 2
        if runs[middle].end < end:
            low = middle + 1
        else:
            high = middle
    return runs[low] if low < len(runs) and runs[low].start <= start else None


def to_octets(decoded: Decoded, splices: list[Splice]) -> list[Splice]:
    """Move *splices* from offsets in the text to offsets in its bytes; with runs, each must lie within one."""
    text, codec, runs = decoded
    if runs is not None:
        return [_in_run(runs, splice) for splice in splices]
    if text.isascii():
        return splices
    moved, at, octets = [], 0, 0
    for start, end, new in splices:
        first = octets + len(text[at:start].encode(codec, "surrogateescape"))
        octets = first + len(text[start:end].encode(codec, "surrogateescape"))
        moved.append((first, octets, new))
        at = end
    return moved


def _in_run(runs: tuple[AsciiRun, ...], splice: Splice) -> Splice:
    start, end, new = splice
    run = find_run(runs, start, end)
    assert run is not None
    return run.octet + start - run.start, run.octet + end - run.start, new
