"""The encoder: a mail goes in, the same mail with tracked links comes out.

Promise: nothing but the addresses of links changes, byte for byte. A link that cannot be judged stays and the report
says why; a mail that cannot be understood comes back as the very object that came in. No clock, no disk, no network.

Every rewrite has the same four steps: find all links, judge each, ask the gate once, then sign and splice.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar, overload

from linkrouter.encoder.message import read_mail
from linkrouter.encoder.parts import (
    Part,
    judge_parts,
    overlong_links,
    read_document,
    read_parts,
    write_body,
    write_document,
)
from linkrouter.encoder.policy import Policy, checked_domains, checked_origin
from linkrouter.encoder.report import Rewritten, SkippedLink, TrackedLink
from linkrouter.encoder.transfer import Splice
from linkrouter.errors import BadDestination
from linkrouter.link import Keyring, canonical

if TYPE_CHECKING:
    from email.message import EmailMessage

__all__ = ["Encoder"]

LINK_ID_BYTES = 8
MODES: dict[str, tuple[str, ...]] = {
    "html-and-text": ("html", "text"),
    "html-only": ("html",),
    "text-only": ("text",),
    "none": (),
}

Text = TypeVar("Text", str, bytes)


class _Signed(NamedTuple):
    """What became of the links of one part."""

    splices: list[Splice]
    links: list[TrackedLink]
    skipped: list[SkippedLink]


def random_link_ids(count: int) -> list[bytes]:
    """Draw *count* link ids at once: a system call for each link would show."""
    drawn = os.urandom(LINK_ID_BYTES * count)
    return [drawn[at : at + LINK_ID_BYTES] for at in range(0, len(drawn), LINK_ID_BYTES)]


class Encoder:
    """Rewrites mail so that its links lead through *base_url*.

    Args:
        base_url: The origin recipients click on, such as `https://click.example.com`; http only on the loopback.
        keyring: Signs the links.
        mode: Which parts are rewritten: "html-and-text", "html-only", "text-only" or "none".
        tenant: The tenant whose links these are; 0 is the installation's own.
        count_only: Make links whose clicks are recorded without address and user agent.
        visible_urls: "track" a link whose visible text is a URL, or "skip" it: mail clients warn when the two differ.
        excluded_domains: Domains, with their subdomains, that are never tracked; links that open an app need this.
        opt_out_attribute: One more attribute that leaves its link alone, whatever its value.
        track_unsubscribe: Track links that look like leaving or changing preferences, too.
        max_links: Track at most so many links of one mail.
        rewrite_dkim_signed: Rewrite mail that has a `DKIM-Signature`, because it will be signed again.
        gate: Called once per rewrite with the canonical destinations that would be tracked; what it raises
            (`HeldMail`) passes through, and nothing is rewritten.
        link_ids: Gives as many link ids of 1-16 bytes as it is asked for; random ones by default.

    Raises:
        ValueError: an argument is out of its range.
        KeyringError: the keyring holds no key that may sign.
    """

    def __init__(
        self,
        base_url: str,
        keyring: Keyring,
        *,
        mode: str = "html-and-text",
        tenant: int = 0,
        count_only: bool = False,
        visible_urls: str = "track",
        excluded_domains: Iterable[str] = (),
        opt_out_attribute: str | None = None,
        track_unsubscribe: bool = False,
        max_links: int | None = None,
        rewrite_dkim_signed: bool = False,
        gate: Callable[[tuple[str, ...]], object] | None = None,
        link_ids: Callable[[int], list[bytes]] = random_link_ids,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        if visible_urls not in ("track", "skip"):
            raise ValueError(f"visible_urls must be 'track' or 'skip', not {visible_urls!r}")
        self._origin = checked_origin(base_url)
        self._policy = Policy(
            tracking_host=self._origin.partition("://")[2],
            excluded_domains=checked_domains(excluded_domains),
            opt_out_attribute=opt_out_attribute.lower() if opt_out_attribute else None,
            skip_visible_urls=visible_urls == "skip",
            track_unsubscribe=track_unsubscribe,
        )
        self._max_links = max_links
        self._rewrite_dkim_signed = rewrite_dkim_signed
        self._gate = gate
        self._link_ids = link_ids
        # A key or tenant that will not do is found now, not in the middle of a mail.
        self._sign = {kind: keyring.signer(part=kind, count_only=count_only, tenant=tenant) for kind in MODES[mode]}

    def __repr__(self) -> str:
        return f"<Encoder {self._origin} {'+'.join(self._sign) or 'none'}>"

    def rewrite_html(self, html: Text) -> Rewritten[Text]:
        """Rewrite an HTML document; bytes are read as UTF-8.

        Raises:
            TypeError: *html* is neither str nor bytes.
        """
        return self._rewrite_document(html, "html", ())

    def rewrite_text(self, text: Text, *, opted_out: Collection[str] = ()) -> Rewritten[Text]:
        """Rewrite a plain text; bytes are read as UTF-8.

        Args:
            text: The text.
            opted_out: URLs that stay: those that the HTML of the same mail opts out.

        Raises:
            TypeError: *text* is neither str nor bytes.
        """
        return self._rewrite_document(text, "text", opted_out)

    @overload
    def rewrite_message(self, message: bytes) -> Rewritten[bytes]: ...

    @overload
    def rewrite_message(self, message: "EmailMessage") -> "Rewritten[EmailMessage]": ...

    def rewrite_message(self, message: "bytes | EmailMessage") -> "Rewritten[bytes] | Rewritten[EmailMessage]":
        """Rewrite the HTML and text parts of a whole RFC 5322 message, before it is signed.

        An `EmailMessage` is written as bytes and read again, so a new one comes back if anything changed.

        Raises:
            TypeError: *message* is neither bytes nor an `EmailMessage`.
        """
        if isinstance(message, bytes):
            return self._rewrite_bytes(message)
        return self._rewrite_email(message)

    def _rewrite_document(self, content: Text, kind: str, opted_out: Collection[str]) -> Rewritten[Text]:
        parts, reason = read_document(content, kind)
        self._judge(parts, {_canonical_if_any(url) for url in opted_out})
        if not parts:
            return Rewritten(content, reason=reason)
        signed = next(self._signed(parts))
        if signed.splices:
            added = sum(len(new) - _octets(parts[0].document[start:end]) for start, end, new in signed.splices)
            content = write_document(content, parts[0], signed.splices)
            return Rewritten(content, tuple(signed.links), tuple(signed.skipped), added)
        return Rewritten(content, (), tuple(signed.skipped))

    def _rewrite_bytes(self, raw: bytes) -> Rewritten[bytes]:
        parts, reason = read_parts(raw, read_mail(raw, allow_dkim=self._rewrite_dkim_signed))
        self._judge(parts, ())
        pieces: list[bytes] = []
        at = 0
        links: list[TrackedLink] = []
        skipped: list[SkippedLink] = []
        for part, signed in zip(parts, self._signed(parts), strict=True):
            assert part.leaf is not None
            body = write_body(raw, part, signed.splices) if signed.splices else None
            if body is not None:
                pieces += (raw[at : part.leaf.start], body)
                at = part.leaf.end
            lost = set(range(len(signed.splices))) if body is None else set()
            kept = _refuse(part, signed, lost, "transfer encoding")
            links += kept.links
            skipped += kept.skipped
        content = b"".join((*pieces, raw[at:])) if pieces else raw
        unread = tuple(str(part.reason) for part in parts if part.unread)
        return Rewritten(content, tuple(links), tuple(skipped), len(content) - len(raw), reason, unread)

    def _rewrite_email(self, message: "EmailMessage") -> "Rewritten[EmailMessage]":
        from email import message_from_bytes  # here, since most callers have bytes and the import is slow
        from email.message import EmailMessage

        if not isinstance(message, EmailMessage):
            raise TypeError(f"message must be bytes or an EmailMessage, not {type(message).__name__}")
        try:
            raw = message.as_bytes()
        except (ValueError, LookupError, TypeError, AttributeError):  # all that its generator is known to raise
            return Rewritten(message, reason="not serialisable")
        done = self._rewrite_bytes(raw)
        again = message if done.content is raw else message_from_bytes(done.content, policy=message.policy)
        return Rewritten(again, done.links, done.skipped, done.bytes_added, done.reason, done.unread)

    def _judge(self, parts: list[Part], opted_out: Collection[str]) -> None:
        for part in parts:
            if part.kind not in self._sign:
                part.reason = part.reason or "mode"
        judge_parts(self._policy, parts, opted_out)
        if self._max_links is not None:
            _limit(parts, self._max_links)
        if self._gate is not None:
            self._gate(tuple(one.destination for part in parts for one in part.judged if one.reason is None))

    def _signed(self, parts: list[Part]) -> Iterator[_Signed]:
        """Sign what was judged trackable, part by part; a link that turns out not to fit is refused here."""
        wanted = sum(one.reason is None for part in parts for one in part.judged)
        link_ids = iter(self._link_ids(wanted) if wanted else ())
        for part in parts:
            signed = self._sign_part(part, link_ids)
            yield _refuse(part, signed, overlong_links(part, signed.splices), "line too long")

    def _sign_part(self, part: Part, link_ids: Iterator[bytes]) -> _Signed:
        signed = _Signed([], [], [])
        for position, (link, (destination, reason, visible)) in enumerate(
            zip(part.seen, part.judged, strict=True), part.first_position
        ):
            if reason is not None:
                signed.skipped.append(SkippedLink(link.url, part.kind, position, reason))
                continue
            try:
                path = self._sign[part.kind](destination, next(link_ids))
            except BadDestination as exc:
                signed.skipped.append(SkippedLink(link.url, part.kind, position, exc.reason))
                continue
            tracked_url = self._origin + path
            link_id = path.rsplit("/", 2)[1]
            signed.splices.append((link.start, link.end, tracked_url))
            signed.links.append(TrackedLink(link_id, destination, part.kind, position, tracked_url, visible))
        return signed


def _refuse(part: Part, signed: _Signed, numbers: set[int], reason: str) -> _Signed:
    """Take the links with these *numbers* back."""
    if not numbers:
        return signed
    refused = [signed.links[number].position for number in sorted(numbers)]
    skipped = [
        SkippedLink(part.seen[position - part.first_position].url, part.kind, position, reason) for position in refused
    ]
    return _Signed(
        [one for number, one in enumerate(signed.splices) if number not in numbers],
        [one for number, one in enumerate(signed.links) if number not in numbers],
        sorted([*signed.skipped, *skipped], key=lambda link: link.position),
    )


def _limit(parts: list[Part], most: int) -> None:
    for part in parts:
        for number, one in enumerate(part.judged):
            if one.reason is None:
                most -= 1
                if most < 0:
                    part.judged[number] = one._replace(reason="too many links")


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _canonical_if_any(url: str) -> str:
    try:
        return canonical(url)
    except BadDestination:
        return ""
