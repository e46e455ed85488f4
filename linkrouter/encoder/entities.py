"""Character references in attribute values, by the tokeniser of the HTML standard (§13.2.5.73).

Promise: an `href` means here what it means to a browser. `html.unescape` follows the rules for text, and turns
`?a=1&section=2` into `?a=1§ion=2`: in an attribute a name without its semicolon stays before `=` or a letter.
"""

import re
from html.entities import html5

__all__ = ["decode_attribute"]

_REFERENCE = re.compile(
    r"&(?:\#[xX](?P<hex>[0-9a-fA-F]+);?|\#(?P<decimal>[0-9]+);?|(?P<name>[A-Za-z][A-Za-z0-9]*)(?P<end>;|(?==))?)"
)
_NOT_A_CHARACTER = "\ufffd"
# What windows-1252 has at 0x80-0x9F, where the standard reads numbers as that charset.
_WINDOWS_1252 = {
    byte: bytes([byte]).decode("cp1252")
    for byte in range(0x80, 0xA0)
    if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}  # fmt: skip


def decode_attribute(value: str) -> str:
    """Resolve the character references of *value*, an attribute value as it stands in the document."""
    if "&" not in value:
        return value
    if value.count("&") == value.count("&amp;"):
        return value.replace("&amp;", "&")
    return _REFERENCE.sub(_resolve, value)


def _resolve(match: re.Match[str]) -> str:
    name = match["name"]
    if name is None:
        return _character(match["hex"], 16) if match["hex"] else _character(match["decimal"], 10)
    if match["end"] == ";":
        return html5.get(name + ";", match[0])
    # `end` is "" before "=": the name of the next query parameter, not a reference.
    return match[0] if match["end"] == "" else html5.get(name, match[0])


def _character(digits: str, base: int) -> str:
    number = int(digits.lstrip("0")[:8] or "0", base)  # eight digits are beyond Unicode already
    if number in _WINDOWS_1252:
        return _WINDOWS_1252[number]
    if number == 0 or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return _NOT_A_CHARACTER
    return chr(number)
