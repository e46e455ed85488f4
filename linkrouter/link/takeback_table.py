"""The rules in force: which take-back, if any, a genuine link has.

Promise: of the rules for a link, the newest of the most exact match applies, in whatever order they came, and a link
without a rule costs a look-up or two. A quarter of a million rules fit in 80 MB: of each only what is needed to apply
it is kept, in one string.
"""

from collections.abc import Callable
from typing import NamedTuple

from linkrouter.link.keyring import Keyring, OpenedLink
from linkrouter.link.takeback import (
    LIFT,
    MATCH_PURPOSE,
    REPLACE,
    STOP,
    TakeBack,
    open_replacement,
    origin_of,
    verify_tag,
)

__all__ = ["RuleInForce", "TakeBacks", "message_of"]

# An entry is the time in 16 digits, the rule's id in 22 characters, a letter for the action, and the destination, so
# that the newer of two is the greater text.
_TIME_DIGITS, _ID_END = 16, 38
_LETTERS = {STOP: "S", REPLACE: "R", LIFT: "L"}
_ACTIONS = {letter: action for action, letter in _LETTERS.items()}

_MESSAGE_CHARS, _MIN_CHARS = 11, 12  # of base64url: 8 bytes, and the shortest that is longer
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST_OF_MESSAGE = {char: _ALPHABET[place & ~3] for place, char in enumerate(_ALPHABET)}  # two bits are the position's

Entries = dict[str, str]  # a match without its kind: an entry


class RuleInForce(NamedTuple):
    """What applies to a link: `action` is "stop" or "replace", and `destination` is "" when it stops."""

    rule_id: str
    action: str
    destination: str

    def __repr__(self) -> str:
        return f"<RuleInForce {self.action}>"


class _Hashed(NamedTuple):
    """The rules of one tenant that match by hash, and what hashes under their key."""

    code: Callable[[bytes], str]
    destinations: Entries
    origins: Entries


class _TenantRules:
    """The rules of one tenant; those by hash stand apart for each key."""

    __slots__ = ("hashed", "links", "messages")

    def __init__(self) -> None:
        self.links: Entries = {}
        self.messages: Entries = {}
        self.hashed: dict[int, _Hashed] = {}


class TakeBacks:
    """A table of rules that *keyring* verifies. After a change of keys, fill a new one: a revoked key's rules are void.

    It may be filled while it is used: each rule is in force as soon as `add` returns.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._tenants: dict[int, _TenantRules] = {}
        self._in_force = 0
        self._opened: tuple[str, int, str] = ("", 0, "")  # `to`, tenant and destination of the last rule that replaces

    def __len__(self) -> int:
        """Give the number of rules in force, one for each match; those that a lift made void are not counted."""
        return self._in_force

    def add(self, rule: TakeBack) -> None:
        """Put *rule*, as `parse_take_back` gives it, in force unless a newer one for its match is.

        Raises:
            BadRule: *rule* does not verify; the table is as it was.
        """
        verify_tag(rule, self._keyring)
        destination = self._replacement(rule) if rule.action == REPLACE else ""
        entry = f"{rule.at:0{_TIME_DIGITS}d}{rule.id}{_LETTERS[rule.action]}{destination}"
        kind, _, value = rule.match.partition(":")
        entries = self._entries(rule, kind)
        before = entries.get(value, "")
        if entry > before:
            entries[value] = entry
            self._in_force += (rule.action != LIFT) - (before != "" and before[_ID_END] != "L")

    def find(self, link: OpenedLink) -> RuleInForce | None:
        """Give the rule that applies to *link*, which the keyring has verified; None when it leads where it says."""
        destination, link_id, meta = link
        rules = self._tenants.get(meta.tenant)
        if rules is None:
            return None
        entry = rules.links.get(link_id)
        if entry is not None and entry[_ID_END] != "L":
            return _in_force(entry)
        if rules.messages and (message := message_of(link_id)) is not None:
            entry = rules.messages.get(message)
            if entry is not None and entry[_ID_END] != "L":
                return _in_force(entry)
        return _find_hashed(rules, destination) if rules.hashed else None

    def _replacement(self, rule: TakeBack) -> str:
        """Give where *rule* leads; many rules in a row lead to one place, which is verified once."""
        to, tenant, destination = self._opened
        if rule.to != to or rule.tenant != tenant:
            destination = open_replacement(rule.to, rule.tenant, self._keyring)
            self._opened = (rule.to, rule.tenant, destination)
        return destination

    def _entries(self, rule: TakeBack, kind: str) -> Entries:
        rules = self._tenants.get(rule.tenant)
        if rules is None:
            rules = self._tenants[rule.tenant] = _TenantRules()
        if kind == "link":
            return rules.links
        if kind == "message":
            return rules.messages
        hashed = rules.hashed.get(rule.key)
        if hashed is None:
            code = self._keyring.code_for(MATCH_PURPOSE, key_id=rule.key, tenant=rule.tenant)
            hashed = rules.hashed[rule.key] = _Hashed(code, {}, {})
        return hashed.destinations if kind == "destination" else hashed.origins


def message_of(link_id: str) -> str | None:
    """Give the message key that *link_id* begins with, both in base64url; None when it is no longer than 8 bytes."""
    if len(link_id) < _MIN_CHARS:
        return None
    return link_id[: _MESSAGE_CHARS - 1] + _LAST_OF_MESSAGE[link_id[_MESSAGE_CHARS - 1]]


def _find_hashed(rules: _TenantRules, destination: str) -> RuleInForce | None:
    """Try the destination under each key, then its origin. A rule voids an older one also when their keys differ."""
    newest, hashed = "", ("destination:" + destination).encode("ascii")
    for code, destinations, _ in rules.hashed.values():
        if destinations:
            entry = destinations.get(code(hashed))
            if entry is not None and entry > newest:
                newest = entry
    if newest and newest[_ID_END] != "L":
        return _in_force(newest)
    newest, hashed = "", b""
    for code, _, origins in rules.hashed.values():
        if origins:
            hashed = hashed or ("origin:" + origin_of(destination)).encode("ascii")
            entry = origins.get(code(hashed))
            if entry is not None and entry > newest:
                newest = entry
    return _in_force(newest) if newest and newest[_ID_END] != "L" else None


def _in_force(entry: str) -> RuleInForce:
    return RuleInForce(entry[_TIME_DIGITS:_ID_END], _ACTIONS[entry[_ID_END]], entry[_ID_END + 1 :])
