"""The encoder: a mail goes in, the same mail with tracked links comes out.

Promise: nothing but the addresses of links changes, byte for byte. A link that cannot be judged stays and the report
says why; a mail that cannot be understood comes back as the very object that came in. No clock, no disk, no network.

Every rewrite has the same four steps: find all links, judge each, ask the gate once, then sign and splice.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, overload

from linkrouter.encoder.arguments import (
    MODE_PARTS,
    Mode,
    VisibleUrls,
    checked_domains,
    checked_origin,
    checked_word,
)
from linkrouter.encoder.documents import (
    Document,
    Text,
    judge_documents,
    read_content,
    read_documents,
    write_content,
    write_document,
)
from linkrouter.encoder.link_ids import LinkIdScheme, mint_link_ids
from linkrouter.encoder.link_policy import LinkPolicy
from linkrouter.encoder.message import read_mail
from linkrouter.encoder.report import Rewritten, SkippedLink, TrackedLink
from linkrouter.encoder.signing import (
    Signed,
    refuse_all,
    sign_document,
    skipped_links,
    splices_of,
    tracked_links,
)
from linkrouter.encoder.trap import set_trap
from linkrouter.errors import BadDestination
from linkrouter.link import Key, Keyring, LinkPart, canonical_url

if TYPE_CHECKING:
    from linkrouter.encoder.message_objects import AnyMessage

__all__ = ["Encoder"]


class Encoder:
    """Rewrites mail so that its links lead through *base_url*.

    It can be pickled, with its keys, if *gate* and *link_ids* can.

    Args:
        base_url: The origin recipients click on, such as `https://click.example.com`; http only on the loopback.
        keyring: Signs the links.
        mode: Which parts are rewritten.
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
        link_ids: Gives as many link ids of 1-16 bytes as it is asked for; by default a message key and a number.
        trap_link: Put one invisible link into HTML that has a tracked link: only machines follow it.

    Raises:
        ValueError: an argument is out of its range.
        KeyringError: the keyring holds no key that may sign.
    """

    def __init__(
        self,
        base_url: str,
        keyring: Keyring,
        *,
        mode: Mode = "html-and-text",
        tenant: int = 0,
        count_only: bool = False,
        visible_urls: VisibleUrls = "track",
        excluded_domains: Iterable[str] = (),
        opt_out_attribute: str | None = None,
        track_unsubscribe: bool = False,
        max_links: int | None = None,
        rewrite_dkim_signed: bool = False,
        gate: Callable[[tuple[str, ...]], object] | None = None,
        link_ids: LinkIdScheme | None = None,
        trap_link: bool = False,
    ) -> None:
        checked_word("mode", Mode, mode)
        checked_word("visible_urls", VisibleUrls, visible_urls)
        self._origin = checked_origin(base_url)
        self._policy = LinkPolicy(
            tracking_host=self._origin.partition("://")[2],
            excluded_domains=checked_domains(excluded_domains),
            opt_out_attribute=opt_out_attribute.lower() if opt_out_attribute else None,
            skip_visible_urls=visible_urls == "skip",
            track_unsubscribe=track_unsubscribe,
        )
        self._mode, self._tenant, self._count_only = mode, tenant, count_only
        self._max_links = max_links
        self._rewrite_dkim_signed = rewrite_dkim_signed
        self._gate = gate
        self._link_ids = link_ids
        self._trap_link = trap_link
        self._keys = keyring.keys
        # A key or tenant that will not do is found now, not in the middle of a mail.
        self._sign = {
            part: keyring.signer(part=part, count_only=count_only, tenant=tenant) for part in MODE_PARTS[mode]
        }

    def __repr__(self) -> str:
        return f"<Encoder {self._origin} {'+'.join(self._sign) or 'none'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        options = {
            "mode": self._mode,
            "tenant": self._tenant,
            "count_only": self._count_only,
            "visible_urls": "skip" if self._policy.skip_visible_urls else "track",
            "excluded_domains": tuple(self._policy.excluded_domains),
            "opt_out_attribute": self._policy.opt_out_attribute,
            "track_unsubscribe": self._policy.track_unsubscribe,
            "max_links": self._max_links,
            "rewrite_dkim_signed": self._rewrite_dkim_signed,
            "gate": self._gate,
            "link_ids": self._link_ids,
            "trap_link": self._trap_link,
        }
        return _restore, (type(self), self._origin, self._keys, options)

    def rewrite_html(self, html: Text) -> Rewritten[Text]:
        """Rewrite an HTML document; bytes are read as UTF-8, or as their `<meta>` says when they are not.

        A subclass of str, such as `Markup` or `SafeString`, comes back as what it was.

        Raises:
            TypeError: *html* is neither str nor bytes.
        """
        return _only(self.rewrite_parts([("html", html)]))

    def rewrite_text(self, text: Text, *, opted_out: Collection[str] = ()) -> Rewritten[Text]:
        """Rewrite a plain text; bytes are read as UTF-8.

        Args:
            text: The text.
            opted_out: URLs that stay: those that the HTML of the same mail opts out.

        Raises:
            TypeError: *text* is neither str nor bytes.
        """
        return _only(self.rewrite_parts([("text", text)], opted_out=opted_out))

    @overload
    def rewrite_message(self, message: bytes) -> Rewritten[bytes]: ...

    @overload
    def rewrite_message(self, message: "AnyMessage") -> "Rewritten[AnyMessage]": ...

    def rewrite_message(self, message: "bytes | AnyMessage") -> "Rewritten[bytes] | Rewritten[AnyMessage]":
        """Rewrite the HTML and text parts of a whole RFC 5322 message, before it is signed.

        A message object of any kind (`EmailMessage`, `MIMEMultipart`, Django's) gives one of its class: a copy, if
        anything changed, with the attributes and headers that it had.

        Raises:
            TypeError: *message* is neither bytes nor an `email.message.Message`.
        """
        if isinstance(message, bytes):
            return self._rewrite_bytes(message)
        return self._rewrite_object(message)

    def rewrite_parts(
        self, parts: Sequence[tuple[LinkPart, Text]], *, opted_out: Collection[str] = ()
    ) -> Rewritten[tuple[Text, ...]]:
        """Rewrite the HTML and text of one mail that is not put together yet; `content` has them in the same order.

        As in a message there is one gate and one message key, and what the HTML opts out stays in the text, too.
        """
        readings = [read_content(content, part) for part, content in parts]
        documents = [document for reading in readings for document in reading.documents]
        self._judge(documents, {_canonical_if_any(url) for url in opted_out})
        key, signed = self._signed(documents)
        waiting = iter(signed)
        contents: list[Text] = []
        added = 0
        for (_, content), reading in zip(parts, readings, strict=True):
            written = content
            for document in reading.documents:  # one, or none where it cannot be read
                splices = splices_of(next(waiting))
                added += sum(len(new) - _octets(document.text[start:end]) for start, end, new in splices)
                written = write_content(content, document, splices) if splices else content
            contents.append(written)
        outcomes = list(chain.from_iterable(signed))
        links, unread = tuple(tracked_links(outcomes)), tuple(reading.reason for reading in readings if reading.reason)
        reason = None if documents or not unread else unread[0]
        key = key if links else b""
        return Rewritten(tuple(contents), links, tuple(skipped_links(outcomes)), added, reason, unread, key)

    def _rewrite_bytes(self, raw: bytes) -> Rewritten[bytes]:
        documents, reason = read_documents(raw, read_mail(raw, allow_dkim=self._rewrite_dkim_signed))
        self._judge(documents, ())
        key, outcomes_by_document = self._signed(documents)
        pieces: list[bytes] = []
        at = 0
        links: list[TrackedLink] = []
        skipped: list[SkippedLink] = []
        for document, outcomes in zip(documents, outcomes_by_document, strict=True):
            assert document.leaf is not None
            splices = splices_of(outcomes)
            body = write_document(raw, document, splices) if splices else None
            if body is not None:
                pieces += (raw[at : document.leaf.start], body)
                at = document.leaf.end
            kept = outcomes if body is not None or not splices else refuse_all(outcomes, "transfer encoding")
            links += tracked_links(kept)
            skipped += skipped_links(kept)
        content = b"".join((*pieces, raw[at:])) if pieces else raw
        unread = tuple(document.reason for document in documents if document.is_unread and document.reason)
        added = len(content) - len(raw)
        return Rewritten(content, tuple(links), tuple(skipped), added, reason, unread, key if links else b"")

    def _rewrite_object(self, message: "AnyMessage") -> "Rewritten[AnyMessage]":
        from linkrouter.encoder.message_objects import copy_with_bodies, message_to_bytes  # `email` is slow to import

        raw, reason = message_to_bytes(message)
        if reason is not None:
            return Rewritten(message, reason=reason)
        done = self._rewrite_bytes(raw)
        again = message if done.content is raw else copy_with_bodies(message, done.content)
        if again is None:
            return Rewritten(message, reason="not serialisable")
        return Rewritten(again, done.links, done.skipped, done.bytes_added, done.reason, done.unread, done.message_key)

    def _judge(self, documents: list[Document], opted_out: Collection[str]) -> None:
        for document in documents:
            if document.part not in self._sign:
                document.reason = document.reason or "mode"
        judge_documents(self._policy, documents, opted_out)
        if self._max_links is not None:
            _limit(documents, self._max_links)
        if self._gate is not None:
            self._gate(tuple(link.destination for one in documents for link in one.judged if link.reason is None))
        if self._trap_link:
            set_trap(documents)

    def _signed(self, documents: list[Document]) -> tuple[bytes, list[list[Signed | SkippedLink]]]:
        """Return the message key and, for each document, what became of each of its links."""
        numbers = [
            link.number
            for document in documents
            for link in (*document.judged, *((document.trap,) if document.trap else ()))
            if link.reason is None
        ]
        key, drawn = mint_link_ids(numbers, self._link_ids)
        link_ids: Iterator[bytes] = iter(drawn)
        return key, [
            sign_document(document, self._origin, self._sign.get(document.part), link_ids) for document in documents
        ]


def _restore(cls: type[Encoder], origin: str, keys: tuple[Key, ...], options: dict[str, Any]) -> Encoder:
    return cls(origin, Keyring(keys), **options)


def _only(done: Rewritten[tuple[Text, ...]]) -> Rewritten[Text]:
    return Rewritten(done.content[0], done.links, done.skipped, done.bytes_added, done.reason, (), done.message_key)


def _limit(documents: list[Document], most: int) -> None:
    for document in documents:
        for number, link in enumerate(document.judged):
            if link.reason is None:
                most -= 1
                if most < 0:
                    document.judged[number] = link._replace(reason="too many links")


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _canonical_if_any(url: str) -> str:
    try:
        return canonical_url(url)
    except BadDestination:
        return ""
