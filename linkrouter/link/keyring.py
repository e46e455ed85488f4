"""The keyring: signs links, verifies them, and can be rotated without a link dying.

Promise: a link verifies if and only if a key of this ring that is not revoked made it, and exactly as it stands. The
key id in a link picks the one key to try. Each tenant signs with its own derived key, so that a tenant who holds
its key cannot mint another's links. No secret leaves this module but through `Keyring.save`.
"""

import hashlib
import hmac
import os
import re
import secrets
from binascii import b2a_base64
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, Self

from linkrouter.errors import BadDestination, BadLink, KeyringError, UnknownKey
from linkrouter.link.codec import (
    MAX_PATH_CHARS,
    TAG_CHARS,
    Link,
    LinkPart,
    Meta,
    decode_base64url,
    encode_base64url,
    is_target_alphabet,
    read_meta,
    read_target,
    varint,
    write_meta,
    write_target,
)
from linkrouter.link.destination import canonical_url, is_redirectable
from linkrouter.link.keyfile import MIN_SECRET_BYTES, Key, checked_keys, read_keyring_file, write_keyring_file
from linkrouter.link.rotation import add_key, sign_with

__all__ = ["Keyring", "OpenedLink"]

MAX_CACHED_MACS = 4096  # one per key, tenant and kind of link that verified; cleared when full

CODE_CHARS = 22  # 16 bytes

_LINK_ID = re.compile(r"(?=.{2,22}\Z)(?:[A-Za-z0-9_-]{4})*+(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?")
_TAG_ALPHABET = bytes.maketrans(b"+/", b"-_")
_PREFIX = {"https": "/2s/", "http": "/2/"}


class OpenedLink(NamedTuple):
    """A verified link as a router wants it: the id still in its text form, nothing decoded in vain."""

    destination: str
    link_id: str
    meta: Meta

    def __repr__(self) -> str:
        return f"<OpenedLink {self.meta}>"


# The same as `OpenedLink(…)` without the Python frame that a NamedTuple's own constructor costs.
_new_opened_link: Callable[[tuple[str, str, Meta]], OpenedLink] = partial(tuple.__new__, OpenedLink)


class _Mac:
    """HMAC-SHA-256 with the key's two blocks hashed once: under half the time of `hmac.digest`."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")  # a key is 32 bytes, so it is never hashed down first
        self._inner: Callable[[], hashlib._Hash] = hashlib.sha256(bytes(b ^ 0x36 for b in block)).copy
        self._outer: Callable[[], hashlib._Hash] = hashlib.sha256(bytes(b ^ 0x5C for b in block)).copy

    def tag(self, signed: bytes) -> bytes:
        """Give the 15 characters of text that stand behind *signed*: 11 bytes, 88 bits."""
        inner = self._inner()
        inner.update(signed)
        outer = self._outer()
        outer.update(inner.digest())
        return b2a_base64(outer.digest()[:11])[:TAG_CHARS].translate(_TAG_ALPHABET)

    def code(self, signed: bytes) -> str:
        """Give 16 bytes of the HMAC of *signed*, as 22 characters of base64url."""
        inner = self._inner()
        inner.update(signed)
        outer = self._outer()
        outer.update(inner.digest())
        return b2a_base64(outer.digest()[:16])[:CODE_CHARS].translate(_TAG_ALPHABET).decode("ascii")


class Keyring:
    """An immutable set of keys, at most one of which signs.

    Raises:
        KeyringError: two keys have one id or may both sign, an id is not 1-15, a state is unknown, or a secret
            is shorter than 32 bytes.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.id: key for key in checked_keys(list(keys))}
        self._signing = next((key for key in self._keys.values() if key.state == "sign"), None)
        self._metas: dict[str, tuple[Meta, _Mac]] = {}
        self._signers: dict[Meta, tuple[str, _Mac]] = {}
        self._codes: dict[tuple[bytes, int, int], Callable[[bytes], str]] = {}

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys by id."""
        return tuple(self._keys[key_id] for key_id in sorted(self._keys))

    @property
    def summary(self) -> str:
        """Every key's id and state, such as "1:verify 2:sign"; for logs, it holds no secret."""
        return " ".join(f"{key.id}:{key.state}" for key in self.keys)

    def __repr__(self) -> str:
        return f"<Keyring {[(key.id, key.state) for key in self.keys]}>"

    # Signing and verifying

    def sign(
        self,
        url: str,
        *,
        link_id: bytes | None = None,
        part: LinkPart = "html",
        count_only: bool = False,
        tenant: int = 0,
        key_id: int | None = None,
    ) -> str:
        """Give the path of a tracked link to *url*, such as `/2s/example.com/AQ/-----w/s9pPdQ161ySR8bc`.

        *link_id* is 1-16 bytes of the sender's choice, by default 8 random ones; *key_id* another key than the
        signing one.

        Raises:
            BadDestination: *url* cannot be redirected to, or its path would be longer than 8,000 characters.
            KeyringError: no key may sign, or *key_id* is not in the ring or revoked.
            ValueError: *part*, *tenant* or *link_id* is out of its range.
        """
        sign = self.signer(part=part, count_only=count_only, tenant=tenant, key_id=key_id)
        return sign(canonical_url(url), secrets.token_bytes(8) if link_id is None else link_id)

    def signer(
        self, *, part: LinkPart = "html", count_only: bool = False, tenant: int = 0, key_id: int | None = None
    ) -> Callable[[str, bytes], str]:
        """Give what signs the links of one part: a function from a canonical destination and a link id to the path.

        It is `sign` without what is the same for all of them. It raises as `sign` does, and so does this.
        """
        meta_text, mac = self._signer(Meta(part, count_only, tenant, self.key_that_signs(key_id)))

        def sign(destination: str, link_id: bytes) -> str:
            if not 1 <= len(link_id) <= 16:
                raise ValueError(f"link id must be 1 to 16 bytes, not {len(link_id)}")
            scheme, _, rest = destination.partition("://")
            target = write_target(rest)
            if target != rest and read_target(target) != rest:
                raise BadDestination("round trip")  # cannot happen; if it ever does, the link is left alone
            signed = f"{_PREFIX[scheme]}{target}/{meta_text}/{encode_base64url(link_id)}"
            if len(signed) + 1 + TAG_CHARS > MAX_PATH_CHARS:
                raise BadDestination("too long")
            return f"{signed}/{mac.tag(signed.encode('ascii')).decode('ascii')}"

        return sign

    def verify(self, path: str) -> Link:
        """Read the tracked link at *path*, the raw request target without its query string.

        Raises:
            BadLink: *path* is not a link that a key of this ring made, in its one spelling.
        """
        destination, link_id, meta = self.open(path)
        return Link(destination, decode_base64url(link_id), meta.part, meta.count_only, meta.tenant, meta.key_id)

    def open(self, path: str) -> OpenedLink:
        """Do what `verify` does, for a router: the tag is compared before the target is decoded."""
        signed_text, _, tag = path.rpartition("/")
        head, _, link_id = signed_text.rpartition("/")
        head, _, meta_text = head.rpartition("/")
        if not path.isascii() or len(path) > MAX_PATH_CHARS:
            raise BadLink("not the shape of a link")
        known = self._metas.get(meta_text)
        meta, mac = known if known is not None else self._meta_and_mac(meta_text)
        signed = signed_text.encode("ascii")
        if not hmac.compare_digest(mac.tag(signed), tag.encode("ascii")):
            raise BadLink("the tag does not fit")
        if known is None:
            _remember(self._metas, meta_text, (meta, mac))
        if head.startswith("/2s/"):
            destination = "https://" + read_target(head[4:])
        elif head.startswith("/2/"):
            destination = "http://" + read_target(head[3:])
        else:
            raise BadLink("an unknown version")
        if _LINK_ID.fullmatch(link_id) is None or not is_target_alphabet(signed):
            raise BadLink("not the spelling of a link")
        if not is_redirectable(destination):
            raise BadLink("the destination may not be redirected to")
        return _new_opened_link((destination, link_id, meta))

    def code_for(self, purpose: bytes, *, key_id: int, tenant: int) -> Callable[[bytes], str]:
        """Give what authenticates texts of another kind than links: from bytes to 16 bytes of HMAC in base64url.

        *purpose* parts the kinds: each has a key of its own, derived as a link's is.

        Raises:
            KeyringError: *key_id* is not in the ring, or is revoked.
        """
        known = self._codes.get((purpose, key_id, tenant))
        if known is None:
            known = self._mac(self.key_that_signs(key_id), tenant, purpose).code
            _remember(self._codes, (purpose, key_id, tenant), known)
        return known

    def key_that_signs(self, key_id: int | None = None) -> int:
        """Give the id of the key to sign with: *key_id* if it may, and the signing key where it is None.

        Raises:
            KeyringError: no key may sign, or *key_id* is not in the ring or revoked.
        """
        if key_id is not None:
            if self._live(key_id) is None:
                raise KeyringError(f"key {key_id} is not in the keyring, or is revoked")
            return key_id
        if self._signing is None:
            raise KeyringError("the keyring holds no key that may sign; add one with 'linkrouter keys rotate'")
        return self._signing.id

    def _signer(self, meta: Meta) -> tuple[str, _Mac]:
        known = self._signers.get(meta)
        if known is None:
            meta_text = write_meta(meta)
            known = (meta_text, self._mac(meta.key_id, meta.tenant))
            _remember(self._signers, meta, known)
        return known

    def _meta_and_mac(self, meta_text: str) -> tuple[Meta, _Mac]:
        meta = read_meta(meta_text)
        if meta.key_id not in self._keys:
            raise UnknownKey("its key is not in the keyring")
        if self._live(meta.key_id) is None:
            raise BadLink("its key is revoked")
        return meta, self._mac(meta.key_id, meta.tenant)

    def _mac(self, key_id: int, tenant: int, purpose: bytes = b"linkrouter link v2") -> _Mac:
        return _Mac(_tenant_key(self._keys[key_id].secret, tenant, purpose))

    def _live(self, key_id: int) -> Key | None:
        key = self._keys.get(key_id)
        return None if key is None or key.state == "revoked" else key

    @classmethod
    def create(cls) -> Self:
        """Make a keyring of one fresh signing key."""
        return cls([Key(1, secrets.token_bytes(MIN_SECRET_BYTES), "sign")])

    def rotate(self) -> Self:
        """Give the ring with a fresh signing key; the one that signed until now goes on verifying.

        Raises:
            KeyringError: all fifteen ids are taken.
        """
        keys, new_id = add_key(self.keys)
        return type(self)(sign_with(keys, new_id))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, check_mode: bool = True, accept_mounted: bool = False) -> Self:
        """Read a keyring file.

        Raises:
            KeyringError: the file is missing, readable by others than its owner and a group of this process (unless
                *check_mode* is off, or *accept_mounted* is on and it is mounted; see `read_secret_file`), or not a
                keyring.
        """
        return cls(read_keyring_file(os.fspath(path), check_mode, accept_mounted))

    def save(self, path: str | os.PathLike[str], *, replace_existing: bool = True) -> None:
        """Write the ring to *path*, mode 0600 when it is new, all of it or nothing.

        Raises:
            KeyringError: the file exists and *replace_existing* is off, or it cannot be written.
        """
        write_keyring_file(os.fspath(path), self.keys, replace_existing)


def _tenant_key(secret: bytes, tenant: int, purpose: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869) with an empty salt and one output block."""
    pseudo_random_key = hmac.digest(b"\0" * 32, secret, "sha256")
    return hmac.digest(pseudo_random_key, purpose + varint(tenant) + b"\x01", "sha256")


def _remember(cache: dict[Any, Any], key: object, value: object) -> None:
    if len(cache) >= MAX_CACHED_MACS:
        cache.clear()
    cache[key] = value
