"""What a request gets, and what is kept of it.

Promise: pure functions of the request and the keyring; no clock, no store, no network. Both ways through the server
(the direct answer and the ordinary handler) come here, so they cannot differ.
"""

import re
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, NamedTuple

from multidict import CIMultiDictProxy, istr

from linkrouter.clicks.click import MAX_USER_AGENT_BYTES, Click
from linkrouter.errors import BadLink, UnknownKey
from linkrouter.link.keyring import OpenedLink

__all__ = ["Outcome", "Peer", "RequestPolicy", "describe", "find_link", "is_trusted"]

# Names that need no folding at each look-up.
_DNT, _PURPOSE, _SEC_GPC, _SEC_PURPOSE, _USER_AGENT, _X_FORWARDED_FOR, _X_REQUEST_ID = (
    istr(name) for name in ("DNT", "Purpose", "Sec-GPC", "Sec-Purpose", "User-Agent", "X-Forwarded-For", "X-Request-Id")
)
# The same as `Click(…)` without the Python frame that a NamedTuple's own constructor costs.
_new_click: Callable[[tuple[Any, ...]], Click] = partial(tuple.__new__, Click)
_ABSOLUTE_FORM = re.compile(r"\Ahttps?://[^/]*", re.IGNORECASE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")


class Outcome:
    """What a request got: the label values of `linkrouter_requests`."""

    REDIRECT = "redirect"
    REPLACED = "replaced"  # a take-back led elsewhere
    STOPPED = "stopped"  # a take-back led nowhere
    NOT_FOUND = "not_found"
    UNKNOWN_KEY = "unknown_key"  # not found, either: a link of a key that this router does not have
    APP_FILE = "app_file"  # of an own domain
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MALFORMED = "malformed"
    READY = "ready"
    NOT_READY = "not_ready"
    ROBOTS = "robots"
    FAILED = "failed"  # a fault of ours


class RequestPolicy(NamedTuple):
    """Whom to believe about a client, and whether to heed a browser that asks not to be tracked."""

    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    respect_opt_out: bool = True


class Peer(NamedTuple):
    """Who is at the other end of a connection, and whether it may speak for others."""

    ip: str | None
    trusted: bool


def find_link(target: str, open_link: Callable[[str], OpenedLink]) -> OpenedLink | None:
    """Give the genuine link at the raw request *target*, or None for every other target.

    A query string is not part of a link: mail clients and social networks append their own. A target in absolute form
    (RFC 9112, section 3.2.2) is its path, and a fragment that a client should have kept to itself is no part of it.

    Raises:
        UnknownKey: it has the shape of a link, of a key that is not known here.
    """
    path, _, _ = target.partition("?")
    try:
        return open_link(path)
    except BadLink as exc:
        if isinstance(exc, UnknownKey) and path.startswith(("/2s/", "/2/")):
            raise
        plain = _ABSOLUTE_FORM.sub("", path.partition("#")[0])
        return find_link(plain, open_link) if plain != path else None


def describe(
    link: OpenedLink,
    method: str,
    headers: CIMultiDictProxy[str],
    peer: Peer,
    policy: RequestPolicy,
    now_us: int,
    mint_id: Callable[[int], str],
    takeback: str | None = None,
) -> Click:
    """Give the click to record for a request for *link*; *takeback* is the id of the rule that applied to it.

    Its identity is minted unless a trusted proxy sent an `X-Request-Id` of 8-64 letters, digits, dots, hyphens and
    underscores, so that a request which the proxy sends twice is one click. A count-only link, or a recipient who
    opted out (`Sec-GPC: 1`, `DNT: 1`), leaves no address and no agent.
    """
    _, link_id, (part, count_only, tenant, _) = link
    click_id = headers.get(_X_REQUEST_ID) if peer.trusted else None
    if click_id is None or _REQUEST_ID.fullmatch(click_id) is None:
        click_id = mint_id(now_us)
    ip = agent = None
    opted_out = policy.respect_opt_out and (headers.get(_SEC_GPC) == "1" or headers.get(_DNT) == "1")
    if not (count_only or opted_out):
        ip = _client_ip(headers, peer, policy)
        agent = headers.get(_USER_AGENT)
        if agent is not None and (len(agent) > MAX_USER_AGENT_BYTES or not agent.isascii()):
            agent = _cut(agent)
    # Of a browser or proxy that fetches ahead of its user (Nav Speculation: `Sec-Purpose`; older: `Purpose`).
    purpose = headers.get(_SEC_PURPOSE) or headers.get(_PURPOSE)
    is_ahead = purpose is not None and purpose.lower().startswith(("prefetch", "prerender"))
    kind = "head" if method == "HEAD" else "prefetch" if is_ahead else "click"
    return _new_click((click_id, link_id, tenant, part, now_us, ip, agent, kind, takeback))


def is_trusted(ip: str | None, trusted_proxies: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether *ip* is in one of *trusted_proxies*; no address at all is not."""
    try:
        address = ip_address(ip or "")
    except ValueError:
        return False
    return any(address in network for network in trusted_proxies)


def _client_ip(headers: CIMultiDictProxy[str], peer: Peer, policy: RequestPolicy) -> str | None:
    """Give the rightmost address of `X-Forwarded-For` that is no proxy of ours; the peer's when it is none itself.

    Several lines of that header are one list, in their order (RFC 9110, section 5.3): a proxy may add a line of its own
    behind one that the client sent.
    """
    if not peer.trusted or _X_FORWARDED_FOR not in headers:
        return peer.ip
    forwarded = ",".join(headers.getall(_X_FORWARDED_FOR))
    if _is_ip(forwarded):  # what our own HAProxy sends: one address
        return forwarded
    for part in reversed(forwarded.split(",")):
        candidate = part.strip()
        if not _is_ip(candidate):
            return peer.ip
        if not is_trusted(candidate, policy.trusted_proxies):
            return candidate
    return peer.ip


def _is_ip(text: str) -> bool:
    for family in (AF_INET, AF_INET6):
        try:
            inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def _cut(agent: str) -> str:
    """Cut *agent* to 512 bytes of UTF-8; bytes that are none of it (aiohttp hands them on as surrogates) go."""
    raw = agent.encode("utf-8", "surrogateescape")[:MAX_USER_AGENT_BYTES]
    return raw.decode("utf-8", "ignore")
