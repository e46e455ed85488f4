"""The take-back: a signed rule that a link which was already sent now leads elsewhere, or nowhere.

Promise: a rule is read in one spelling, and verifies if and only if a key of the ring that is not revoked signed it,
exactly as it stands, for links of the same tenant. docs/take-backs.md is the format, docs/take-back-vectors.json its
vectors. Whoever only passes rules on needs `parse_take_back` and no key.
"""

import hmac
import re
import secrets
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from linkrouter.errors import BadLink, BadRule, KeyringError
from linkrouter.link.codec import MAX_PATH_CHARS, MAX_TENANT, encode_base64url
from linkrouter.link.destination import canonical_url
from linkrouter.link.keyfile import MAX_KEYS
from linkrouter.link.keyring import Keyring

__all__ = [
    "LIFT",
    "MATCH_PURPOSE",
    "MAX_MADE_AT",
    "REPLACE",
    "STOP",
    "TakeBack",
    "is_signed",
    "match_destination",
    "match_link",
    "match_message",
    "match_origin",
    "open_replacement",
    "origin_of",
    "parse_take_back",
    "sign_take_back",
    "time_to_win",
    "verify_tag",
    "verify_take_back",
]

STOP, REPLACE, LIFT = "stop", "replace", "lift"
MAX_MADE_AT = 2**53 - 1  # seconds; the largest whole number that every reader of JSON agrees on
MATCH_PURPOSE = b"linkrouter take-back match v1"
_PURPOSE = b"linkrouter take-back v1"

# One spelling of base64url each: the last character has no unused bit set.
_CODE = r"[A-Za-z0-9_-]{21}[AQgw]"  # 16 bytes
_IS_CODE = re.compile(_CODE).fullmatch
_IS_MATCH = re.compile(
    r"link:(?=.{2,22}\Z)(?:[A-Za-z0-9_-]{4})*+(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
    r"|message:[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]"
    rf"|(?:destination|origin):{_CODE}"
).fullmatch
_IS_TRACKED_PATH = re.compile(rf"(?=.{{1,{MAX_PATH_CHARS}}}\Z)/2s?/[!->@-~]+").fullmatch
_ORIGIN = re.compile(r"https?://[^/?#]*")


class TakeBack(NamedTuple):
    """A rule, field by field as docs/take-backs.md has them; `at` is in seconds since the epoch, UTC.

    A tuple and not a dataclass: a router reads a quarter of a million of them at once.
    """

    id: str
    tenant: int
    match: str
    action: str
    to: str
    at: int
    key: int
    tag: str

    def __repr__(self) -> str:
        """Name nothing of a link: a repr ends up in logs and tracebacks."""
        return f"<TakeBack {self.action} tenant={self.tenant} at={self.at} key={self.key}>"


_FIELDS = frozenset(TakeBack._fields)
_values: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter(*TakeBack._fields)
_new_take_back: Callable[[tuple[Any, ...]], TakeBack] = partial(tuple.__new__, TakeBack)


def parse_take_back(fields: Any) -> TakeBack:
    """Read a rule from the object that JSON gave; its shape alone, not whether it is genuine.

    Raises:
        BadRule: a field too many or too few, a wrong type, a second spelling, an unknown match or action, or a `to`
            where there must be none.
    """
    if type(fields) is not dict or fields.keys() != _FIELDS:
        raise BadRule("take-back must be an object of id, tenant, match, action, to, at, key and tag, and nothing else")
    values = _values(fields)
    identity, tenant, match, action, to, made_at, key, tag = values
    if type(tenant) is not int or not 0 <= tenant <= MAX_TENANT:
        raise BadRule(f"tenant must be a number from 0 to {MAX_TENANT}")
    if type(made_at) is not int or not 0 <= made_at <= MAX_MADE_AT:
        raise BadRule("at must be a whole number of seconds since 1970")
    if type(key) is not int or not 1 <= key <= MAX_KEYS:
        raise BadRule(f"key must be a number from 1 to {MAX_KEYS}")
    if not (isinstance(identity, str) and isinstance(tag, str) and _IS_CODE(identity) and _IS_CODE(tag)):
        raise BadRule("id and tag must each be 16 bytes in base64url")
    if not isinstance(match, str) or _IS_MATCH(match) is None:
        raise BadRule("match must be link:, message:, destination: or origin:, and its value in base64url")
    if action not in (STOP, REPLACE, LIFT):
        raise BadRule("action must be stop, replace or lift")
    if not isinstance(to, str) or (action != REPLACE and to):
        raise BadRule("to must be empty unless the action is replace")
    if action == REPLACE and _IS_TRACKED_PATH(to) is None:
        raise BadRule("to must be the path of a tracked link when the action is replace")
    return _new_take_back(values)


def verify_take_back(rule: TakeBack, keyring: Keyring) -> str:
    """Give the destination that *rule* leads to, or "" when it leads nowhere. *rule* is as `parse_take_back` gives it.

    Raises:
        BadRule: the key is not in the ring or revoked, the tag does not fit, or `to` is no genuine link of the tenant.
    """
    verify_tag(rule, keyring)
    return open_replacement(rule.to, rule.tenant, keyring) if rule.action == REPLACE else ""


def verify_tag(rule: TakeBack, keyring: Keyring) -> None:
    """Do the first half of `verify_take_back`: the tag alone.

    Raises:
        BadRule: the key is not in the ring or revoked, or the tag does not fit.
    """
    if not hmac.compare_digest(_tag_of(rule, keyring), rule.tag):
        raise BadRule("tag does not fit the take-back")


def is_signed(rule: TakeBack, keyring: Keyring) -> bool:
    """Whether `verify_tag` lets *rule* through."""
    try:
        verify_tag(rule, keyring)
    except BadRule:
        return False
    return True


def open_replacement(to: str, tenant: int, keyring: Keyring) -> str:
    """Do the other half of `verify_take_back`: give the destination of *to*, a path that replaces links of *tenant*.

    Raises:
        BadRule: *to* is not a genuine link, or is another tenant's.
    """
    try:
        destination, _, meta = keyring.open(to)
    except BadLink:
        raise BadRule("to is not a genuine link of this keyring") from None
    if meta.tenant != tenant:
        raise BadRule("to is another tenant's link")
    return destination


def sign_take_back(
    keyring: Keyring,
    *,
    match: str,
    action: str,
    made_at: int,
    to: str = "",
    tenant: int = 0,
    rule_id: bytes | None = None,
    key_id: int | None = None,
) -> TakeBack:
    """Make a rule: *match* is what a `match_…` of this module gave, for the same *tenant* and *key_id*.

    *to* is the path of a tracked link; *made_at* is in seconds since the epoch; *rule_id* is 16 bytes, random if None.

    Raises:
        BadRule: the rule would be refused by its readers.
        KeyringError: no key may sign, or *key_id* is not in the ring or revoked.
    """
    identity = encode_base64url(secrets.token_bytes(16) if rule_id is None else rule_id)
    key = keyring.key_that_signs(key_id)
    unsigned = TakeBack(identity, tenant, match, action, to, made_at, key, "A" * 22)
    parse_take_back(unsigned._asdict())
    rule = unsigned._replace(tag=_tag_of(unsigned, keyring))
    verify_take_back(rule, keyring)
    return rule


def time_to_win(newest: TakeBack | None, keyring: Keyring, now_s: int) -> int:
    """Give *now_s*, or a second after *newest*, the rule made last for a match, where that is later.

    Of two rules in one second chance would decide. A rule that nobody of *keyring* signed counts for nothing.
    """
    return max(now_s, newest.at + 1) if newest is not None and is_signed(newest, keyring) else now_s


def match_link(link_id: bytes) -> str:
    """Give the match of one link: every link that bears the id *link_id*, of 1-16 bytes."""
    return "link:" + encode_base64url(link_id)


def match_message(message_key: bytes) -> str:
    """Give the match of one message: every link id longer than 8 bytes that begins with *message_key*, 8 bytes."""
    return "message:" + encode_base64url(message_key)


def match_destination(keyring: Keyring, url: str, *, tenant: int = 0, key_id: int | None = None) -> str:
    """Give the match of every link to *url*, as a hash that tells nothing of it.

    Raises:
        BadDestination: *url* cannot be a link's destination.
        KeyringError: no key may sign, or *key_id* is not in the ring or revoked.
    """
    return _keyed_match(keyring, "destination:", canonical_url(url), tenant, key_id)


def match_origin(keyring: Keyring, url: str, *, tenant: int = 0, key_id: int | None = None) -> str:
    """Give the match of every link to the scheme, host and port of *url*. It raises as `match_destination` does."""
    return _keyed_match(keyring, "origin:", origin_of(canonical_url(url)), tenant, key_id)


def origin_of(destination: str) -> str:
    """Give what stands before the path of *destination*, a canonical URL: its scheme, host and port."""
    found = _ORIGIN.match(destination)
    assert found is not None, "a destination begins with its scheme"
    return found[0]


def _keyed_match(keyring: Keyring, kind: str, value: str, tenant: int, key_id: int | None) -> str:
    code = keyring.code_for(MATCH_PURPOSE, key_id=keyring.key_that_signs(key_id), tenant=tenant)
    return kind + code((kind + value).encode("ascii"))


def _tag_of(rule: TakeBack, keyring: Keyring) -> str:
    identity, tenant, match, action, to, made_at, key, _ = rule
    try:
        code = keyring.code_for(_PURPOSE, key_id=key, tenant=tenant)
    except KeyringError:
        raise BadRule("key of the take-back is not in the keyring, or is revoked") from None
    signed = f"linkrouter take-back v1\n{identity}\n{tenant}\n{match}\n{action}\n{to}\n{made_at}"
    return code(signed.encode("ascii"))
