#!/usr/bin/env python3
"""Serves tracked links with Python's standard library alone: this file, keys.json and take-backs.json beside it.

    python3 redirect.py --listen 127.0.0.1:8080       or any WSGI server, with redirect:application

Promise: a genuine link gets the answer that linkrouter's router gives, headers included; no click is recorded and
nothing of a request is logged. Formats: docs/wire-format.md and docs/take-backs.md of linkrouter. Python 3.11 or newer.
"""

import base64
import contextlib
import hmac
import itertools
import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

__all__ = ["SentLinks", "application", "serve"]

MAX_PATH_CHARS, MAX_DESTINATION_CHARS, MAX_LINE_BYTES = 8000, 4096, 8190
IDLE_S = 60  # for a connection without a request
LINGER_S, LINGER_READS = 1, 16  # for one that ends while its client still talks

_LINK = re.compile(r"/(2s?)/([A-Za-z0-9\-._~:@/%]+)/([A-Za-z0-9_-]+)/([A-Za-z0-9_-]+)/([A-Za-z0-9_-]{15})")
_ABSOLUTE_FORM = re.compile(r"\Ahttps?://[^/]*", re.IGNORECASE)
_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:@/"
_UNESCAPE = {f"{byte:02X}": chr(byte) for byte in range(128) if chr(byte) not in _PLAIN or chr(byte) == "/"}
_REDIRECTABLE = re.compile(
    r"https?://(?:\[[0-9a-fA-F:.]+\]|[!\"$-.0-9;->A-Z^-~]+)(?::[0-9]{1,5})?(?:[/?#][!-\[\]-~]*)?"
)
_ORIGIN_END = re.compile(r"(?<=[^:/])[/?#]|\Z")
_FIELDS = {"id": str, "tenant": int, "match": str, "action": str, "to": str, "at": int, "key": int, "tag": str}
# From the most exact to the least: how many bytes may stand behind it.
_MATCH_BYTES = {"link": range(1, 17), "message": (8,), "destination": (16,), "origin": (16,)}

_Answer = tuple[str, list[tuple[str, str]], bytes]  # status, headers, body

_COMMON = [
    ("Cache-Control", "private, no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Robots-Tag", "noindex, nofollow"),
]
_PAGE = (
    '<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n'
    "<title>{0}</title>\n"
    "<style>body{{font:1.1em/1.5 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em}}</style>\n"
    "<h1>{0}</h1>\n<p>{1}</p>\n</html>\n"
)


def _page(status: str, text: str, *headers: tuple[str, str]) -> _Answer:
    kind = ("Content-Type", f"text/{'html' if text[0] == '<' else 'plain'}; charset=utf-8")
    size = ("Content-Length", str(len(text)))
    return status, [*_COMMON, *headers, kind, ("X-Content-Type-Options", "nosniff"), size], text.encode("ascii")


_CUT_OFF = (
    "It may have been cut off on its way to you. Try opening it from the original message, or ask whoever sent it"
)
_PAGES = {
    "not_found": _page("404 Not Found", _PAGE.format("This link does not work", _CUT_OFF + ".")),
    "stopped": _page("410 Gone", _PAGE.format("This link was withdrawn", "This link was withdrawn by its sender.")),
    "method": _page(
        "405 Method Not Allowed",
        _PAGE.format("Links can only be followed", "This address answers to GET and HEAD."),
        ("Allow", "GET, HEAD"),
    ),
    "malformed": _page(
        "400 Bad Request", _PAGE.format("This was not understood", "The request was not well-formed HTTP.")
    ),
    "/-/ready": _page("200 OK", "ready\n"),
    "/robots.txt": _page("200 OK", "User-agent: *\nDisallow: /\n"),
}


class _Link(NamedTuple):
    destination: str
    link_id: bytes
    tenant: int


_Entry = tuple[int, str, str, str]  # time, id, action, destination: the newer is the greater


class SentLinks:
    """Every link that *keys* signed, under *rules*; both are the lists that JSON gave.

    `refused` is the number of rules that do not verify.
    """

    def __init__(self, keys: Iterable[dict[str, Any]], rules: Iterable[Any] = ()) -> None:
        self._secrets = {key["id"]: _secret(key["secret"]) for key in keys if key["state"] != "revoked"}
        self._derive = lru_cache(4096)(self._derive_key)
        self._rules: dict[tuple[int, str, Any], _Entry] = {}
        self._hashing: dict[tuple[int, str], set[int]] = {}  # tenant and kind: the keys of its rules
        self.refused = sum(not self._add_rule(rule) for rule in rules)

    def respond(self, method: str, target: str) -> _Answer:
        """Give the answer to a request; the caller leaves out the body where the method is HEAD."""
        if method not in ("GET", "HEAD"):
            return _PAGES["method"]
        link = self._open(_ABSOLUTE_FORM.sub("", re.split("[?#]", target, maxsplit=1)[0]))
        if link is None:
            return _PAGES[target if target in ("/-/ready", "/robots.txt") else "not_found"]
        action, destination = self._find_rule(link)
        if action == "stop":
            return _PAGES["stopped"]
        location = destination if action == "replace" else link.destination
        return "302 Found", [*_COMMON, ("Content-Length", "0"), ("Location", location)], b""

    def _open(self, path: str) -> _Link | None:
        found = _LINK.fullmatch(path) if len(path) <= MAX_PATH_CHARS else None
        if found is None:
            return None
        version, target, meta_text, id_text, tag = found.groups()
        meta, link_id, rest = _read_meta(meta_text), _unb64(id_text), _read_target(target)
        if meta is None or rest is None or link_id is None or len(link_id) > 16 or meta[0] not in self._secrets:
            return None
        key_id, tenant = meta
        if not hmac.compare_digest(self._code(b"linkrouter link v2", key_id, tenant, path[: -len(tag) - 1], 11), tag):
            return None
        destination = ("https://" if version == "2s" else "http://") + rest
        if len(destination) > MAX_DESTINATION_CHARS or _REDIRECTABLE.fullmatch(destination) is None:
            return None
        return _Link(destination, link_id, tenant)

    def _add_rule(self, rule: Any) -> bool:
        if not _is_rule(rule) or rule["key"] not in self._secrets:
            return False
        tenant, key, action = rule["tenant"], rule["key"], rule["action"]
        signed = "\n".join(str(rule[name]) for name in ("id", "tenant", "match", "action", "to", "at"))
        signed = "linkrouter take-back v1\n" + signed
        tag = self._code(b"linkrouter take-back v1", key, tenant, signed, 16) if signed.isascii() else ""
        if not hmac.compare_digest(tag, rule["tag"]):
            return False
        to = self._open(rule["to"]) if action == "replace" else None
        if action == "replace" and (to is None or to.tenant != tenant):
            return False
        kind, _, value = rule["match"].partition(":")
        place: Any = _unb64(value)
        if kind in ("destination", "origin"):
            place = (key, value)
            self._hashing.setdefault((tenant, kind), set()).add(key)
        place = (tenant, kind, place)
        entry = (rule["at"], rule["id"], action, to.destination if to else "")
        self._rules[place] = max(entry, self._rules.get(place, entry))
        return True

    def _find_rule(self, link: _Link) -> tuple[str, str]:
        """Give action and destination of the newest rule of the most exact match that has one."""
        destination, link_id, tenant = link
        origin = destination[: _ORIGIN_END.search(destination).start()]  # type: ignore[union-attr]  # \Z is always there
        message = link_id[:8] if len(link_id) > 8 else b""
        values: tuple[str | bytes, ...] = (link_id, message, destination, origin)
        for kind, value in zip(_MATCH_BYTES, values, strict=True):
            newest = max(self._candidates(tenant, kind, value), default=None)
            if newest is not None and newest[2] != "lift":
                return newest[2], newest[3]
        return "", ""

    def _candidates(self, tenant: int, kind: str, value: str | bytes) -> list[_Entry]:
        places: list[Any] = [value]
        if isinstance(value, str):
            purpose, signed = b"linkrouter take-back match v1", f"{kind}:{value}"
            keys = self._hashing.get((tenant, kind), ())
            places = [(key, self._code(purpose, key, tenant, signed, 16)) for key in keys]
        return [self._rules[tenant, kind, place] for place in places if (tenant, kind, place) in self._rules]

    def _code(self, purpose: bytes, key_id: int, tenant: int, signed: str, size: int) -> str:
        return _b64(hmac.digest(self._derive(purpose, key_id, tenant), signed.encode("ascii"), "sha256")[:size])

    def _derive_key(self, purpose: bytes, key_id: int, tenant: int) -> bytes:
        """HKDF-SHA-256 (RFC 5869) with an empty salt and one output block."""
        pseudo_random_key = hmac.digest(b"\0" * 32, self._secrets[key_id], "sha256")
        return hmac.digest(pseudo_random_key, purpose + _varint(tenant) + b"\x01", "sha256")


def _secret(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.rstrip("=") + "==")


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _unb64(text: str) -> bytes | None:
    """Read the one canonical spelling of base64url without padding; None for every other."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return data if _b64(data) == text else None


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _read_meta(text: str) -> tuple[int, int] | None:
    """Give key id and tenant."""
    data = _unb64(text)
    if not data or data[0] & 0x80 or not data[0] & 0x0F:
        return None
    if not data[0] & 0x40:
        return (data[0] & 0x0F, 0) if len(data) == 1 else None
    tenant = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data[1:6]))
    return (data[0] & 0x0F, tenant) if 1 <= tenant < 2**32 and _varint(tenant) == data[1:] else None


def _read_target(target: str) -> str | None:
    first, *escaped = target.split("%")
    if any(piece[:2] not in _UNESCAPE for piece in escaped):
        return None
    return first + "".join(_UNESCAPE[piece[:2]] + piece[2:] for piece in escaped)


def _write_target(rest: str) -> str:
    segments = [quote(part, safe="~:@", encoding="latin-1") for part in rest.split("/")]
    out = segments[0]
    for before, after in itertools.pairwise(segments):
        out += ("%2F" if before in ("", ".", "..") or after in ("", ".", "..") else "/") + after
    return out


def _is_rule(rule: Any) -> bool:
    if not isinstance(rule, dict) or rule.keys() != _FIELDS.keys():
        return False
    if any(type(rule[name]) is not kind for name, kind in _FIELDS.items()):
        return False
    kind, _, value = rule["match"].partition(":")
    data, action = _unb64(value), rule["action"]
    return (
        all(len(_unb64(rule[name]) or b"") == 16 for name in ("id", "tag"))
        and 0 <= rule["tenant"] < 2**32
        and 0 <= rule["at"] < 2**53
        and data is not None
        and len(data) in _MATCH_BYTES.get(kind, ())
        and action in ("stop", "replace", "lift")
        and (action == "replace" or not rule["to"])
    )


@lru_cache(1)
def _load() -> SentLinks:
    """Read what lies beside this file."""
    folder = Path(__file__).resolve().parent
    keys, rules = folder / "keys.json", folder / "take-backs.json"
    return SentLinks(json.loads(keys.read_text())["keys"], json.loads(rules.read_text()) if rules.exists() else ())


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as a WSGI application (PEP 3333), mounted at the root of its host."""
    method = environ["REQUEST_METHOD"]
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if not target:
        # The server has undone the escapes; a link has one spelling, which can be made again.
        start, *tail = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).rsplit("/", 3)
        version, _, rest = start[1:].partition("/")
        target = "/".join([f"/{version}/{_write_target(rest)}" if rest else start, *tail])
    status, headers, body = _load().respond(method, target)
    start_response(status, headers)
    return [] if method == "HEAD" else [body]


class _Handler(BaseHTTPRequestHandler):
    """One connection. http.server's own answers quote the request and miss the headers, so none of them is used."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def handle_one_request(self) -> None:
        self.close_connection = True
        self.command, self.request_version = "GET", "HTTP/1.1"
        try:
            self.raw_requestline = self.rfile.readline(MAX_LINE_BYTES + 1)
            if not self.raw_requestline:
                return
            if len(self.raw_requestline) > MAX_LINE_BYTES:
                self.send_error(400)
            elif self.parse_request():
                self._answer()
        except (OSError, ValueError):
            self.close_connection = True  # the client is slow or gone

    def _answer(self) -> None:
        has_body = self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers
        self.close_connection = self.close_connection or has_body or self.request_version != "HTTP/1.1"
        # Not self.path: http.server folds slashes at its start.
        self._write(*_load().respond(self.command, self.requestline.split()[1]))

    def _write(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), f"Date: {date}"]
        lines += ["Connection: close"] if self.close_connection else []
        head = "\r\n".join([*lines, "", ""]).encode("ascii")
        self.wfile.write(head if self.command == "HEAD" else head + body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with the constant page, whatever was wrong."""
        self.close_connection = True
        self._write(*_PAGES["malformed"])

    def finish(self) -> None:
        """Hear the client out: closing upon bytes that nobody read could take back the answer."""
        super().finish()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER_S)
            for _ in range(LINGER_READS):
                if not self.connection.recv(MAX_LINE_BYTES):
                    break

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024

    def handle_error(self, *args: Any) -> None:
        """Log nothing."""


def serve(arguments: list[str]) -> None:
    """Run the command line: `--listen HOST:PORT`."""
    if len(arguments) != 2 or arguments[0] != "--listen" or not re.fullmatch(r".+:[0-9]{1,5}", arguments[1]):
        sys.exit("usage: python3 redirect.py --listen HOST:PORT")
    host, _, port = arguments[1].rpartition(":")
    links = _load()
    sys.stderr.write(f"listening on {arguments[1]}; take-backs refused: {links.refused}\n")
    with _Server((host, int(port)), _Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1:])
