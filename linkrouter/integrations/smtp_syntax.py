"""What a sender says to the relay, read: the arguments of MAIL and RCPT, and the mail behind DATA.

Promise: addresses stay as they are written. A mail in which two servers could read two mails, since it has a bare CR
or LF, is told from others (RFC 5321, section 2.3.8).
"""

import asyncio
import re
from collections.abc import Callable

from linkrouter.integrations.next_hop import Envelope
from linkrouter.integrations.smtp_reply import Reply

__all__ = ["BAD_PATH", "MAIL_TOO_LARGE", "has_bare_line_ends", "parse_mail", "parse_recipient", "read_data"]

DATA_READ_BYTES = 256 * 1024
END = b"\r\n.\r\n"
MAX_ADDRESS_CHARS = 1000

_PATH = re.compile(r'(FROM|TO):[ \t]*<((?:"(?:[^"\\\r\n]|\\.)*"|[^<>"\s])*)>(?:[ \t]+(.*))?', re.IGNORECASE)
_PARAMETER = re.compile(r"SIZE=[0-9]{1,20}|BODY=(?:7BIT|8BITMIME)|SMTPUTF8|AUTH=\S+", re.IGNORECASE)
_UNCLEAN = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # aiosmtpd gives bytes that are not UTF-8 as surrogates

MAIL_TOO_LARGE = Reply(552, "5.3.4 the message is too large")
BAD_PATH = Reply(501, "5.5.4 give MAIL FROM:<address> and RCPT TO:<address>, and parameters behind")
BAD_PARAMETER = Reply(555, "5.5.4 a parameter is not known")
NOT_UTF8 = Reply(553, "5.6.7 an address that is not ASCII needs SMTPUTF8")


def parse_mail(arg: str, max_bytes: int) -> Envelope | Reply:
    """Read the argument of MAIL, or give what is to be said of it."""
    path = _PATH.fullmatch(arg)
    if path is None or path[1].upper() != "FROM" or not _is_clean(path[2]):
        return BAD_PATH
    said: dict[str, str] = {}
    for word in (path[3] or "").split():
        if not _PARAMETER.fullmatch(word):
            return BAD_PARAMETER
        name, _, value = word.upper().partition("=")
        said[name] = value
    if int(said.get("SIZE", "0")) > max_bytes:
        return MAIL_TOO_LARGE
    if not path[2].isascii() and "SMTPUTF8" not in said:
        return NOT_UTF8
    return Envelope(path[2], "SMTPUTF8" in said, said.get("BODY") == "8BITMIME")


def parse_recipient(arg: str, *, utf8: bool) -> str | Reply:
    """Read the argument of RCPT, or give what is to be said of it."""
    path = _PATH.fullmatch(arg)
    if path is None or path[1].upper() != "TO" or not path[2] or not _is_clean(path[2]):
        return BAD_PATH
    if path[3]:
        return BAD_PARAMETER
    return path[2] if utf8 or path[2].isascii() else NOT_UTF8


def _is_clean(address: str) -> bool:
    return len(address) <= MAX_ADDRESS_CHARS and not _UNCLEAN.search(address)


def has_bare_line_ends(content: bytes) -> bool:
    """Whether a CR or LF of *content* stands alone."""
    return not content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")


async def read_data(reader: asyncio.StreamReader, max_bytes: int, heard: Callable[[], None]) -> bytes | None:
    """Read a mail up to the line with one dot, None when it is too large; what comes behind that line stays.

    *heard* is called whenever something came.

    Raises:
        ConnectionResetError: the client has gone.
    """
    data = bytearray(b"\r\n")  # the end may come at once
    too_large = False
    while True:
        chunk = await reader.read(DATA_READ_BYTES)
        if not chunk:
            raise ConnectionResetError
        heard()
        searched = max(0, len(data) - len(END) + 1)
        data += chunk
        end = data.find(END, searched)
        if end >= 0:
            reader._buffer[:0] = data[end + len(END) :]  # type: ignore[attr-defined]
            del data[end + 2 :]
            break
        if len(data) > max_bytes + len(END):
            too_large = True
            del data[: -len(END)]
    if too_large or len(data) > max_bytes + 2:
        return None
    return bytes(data.replace(b"\r\n.", b"\r\n")[2:])  # RFC 5321, section 4.5.2
