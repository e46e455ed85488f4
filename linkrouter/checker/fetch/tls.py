"""TLS as browsers do it, over a dialler's connections.

Promise: a certificate is believed only where its chain ends at an authority that was trusted before, for the name that
was asked for. What browsers do beyond OpenSSL is done: a name with an underscore under a wildcard, servers that know
nothing of RFC 5746 or of forward secrecy, and an intermediate certificate that the server forgot, which is looked for
where the certificate says (its AIA address), over the same dialler. Nothing of the environment counts: no other
authorities, no file of session keys.
"""

import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache

import certifi

from linkrouter.checker.fetch.certificates import as_der, issuer_url, matches_wildcard, verified_root
from linkrouter.checker.fetch.faults import BadCertificate
from linkrouter.dial.dialer import Connection

__all__ = ["MAX_CONTEXTS", "MAX_INTERMEDIATES", "MAX_MENDED", "FetchIssuer", "Tls", "browser_context"]

MAX_CONTEXTS = 16
MAX_INTERMEDIATES = 3  # that a server may have forgotten
MAX_MENDED = 64  # hosts whose chain was completed; the oldest is forgotten
_UNSAFE_LEGACY_CONNECT = 0x4  # OpenSSL's; Python has a name for it from 3.12 on. The client never renegotiates.
_NO_ISSUER = (2, 20, 21)  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, …_LOCALLY, …_UNABLE_TO_VERIFY_LEAF_SIGNATURE

FetchIssuer = Callable[[str], Awaitable[bytes | None]]  # from an http URL to what it answers
Connect = Callable[[], Awaitable[Connection]]


def browser_context(ca_file: str, *, http2: bool = True, named: bool = True) -> ssl.SSLContext:
    """Give a client's context that trusts *ca_file*; *named*: OpenSSL holds the certificate against the name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= _UNSAFE_LEGACY_CONNECT
    # As browsers, with RSA key exchange and CBC at the end; the system's security level keeps weak keys out.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!PSK:!SHA256:!SHA384")
    context.check_hostname = named
    context.hostname_checks_common_name = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca_file)
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


class Tls:
    """Starts TLS; *fetch_issuer* gets a certificate from its address."""

    def __init__(self, fetch_issuer: FetchIssuer, ca_file: str | None = None) -> None:
        self._fetch_issuer = fetch_issuer
        self._ca_file = ca_file or certifi.where()
        self._context = lru_cache(MAX_CONTEXTS)(self._make_context)  # each takes milliseconds to make
        self._found: dict[str, tuple[bytes, ...]] = {}  # host → the intermediates that it forgets to send

    async def connect(self, connect: Connect, host: str, *, http2: bool) -> Connection:
        """Give a connection of *connect* on which TLS is spoken with *host*.

        Raises:
            BadCertificate, ssl.SSLError, OSError: it cannot be spoken, or the certificate does not hold.
        """
        host = host.strip("[]").rstrip(".")
        found = self._found.get(host, ())
        while True:
            try:
                return await self._handshake(await connect(), host, found, http2=http2)
            except ssl.SSLCertVerificationError as exc:
                if exc.verify_code not in _NO_ISSUER or len(found) >= MAX_INTERMEDIATES:
                    raise
                found = (*found, await self._issuer(connect, host, found, exc))
                self._remember(host, found)

    async def _handshake(
        self, connection: Connection, host: str, found: tuple[bytes, ...], *, http2: bool
    ) -> Connection:
        context = self._context(found, http2, "_" not in host)
        await connection.start_tls(context, host)
        try:
            if found and verified_root(connection.ssl_object) not in self._authorities():
                raise BadCertificate("certificate issuer unknown")
            if "_" in host and not matches_wildcard(connection.ssl_object, host):
                raise BadCertificate("certificate for another host")
        except BadCertificate:
            connection.close()
            raise
        return connection

    async def _issuer(self, connect: Connect, host: str, found: tuple[bytes, ...], exc: ssl.SSLError) -> bytes:
        """Give the certificate that is missing above what *host* sends and what was *found*."""
        below = found[-1] if found else await self._leaf(await connect(), host)
        url = issuer_url(below)
        if url is None:
            raise BadCertificate("certificate issuer unknown") from exc
        answer = await self._fetch_issuer(url)
        issuer = as_der(answer) if answer is not None else None
        if issuer is None:
            raise BadCertificate("certificate chain incomplete") from exc
        if issuer in found:
            raise BadCertificate("certificate issuer unknown") from exc
        return issuer

    async def _leaf(self, connection: Connection, host: str) -> bytes:
        """Give the certificate that *host* shows, which nobody has verified."""
        await connection.start_tls(self._context((), False, False, verified=False), host)
        try:
            assert connection.ssl_object is not None
            return connection.ssl_object.getpeercert(binary_form=True) or b""
        finally:
            connection.close()

    def _make_context(
        self, found: tuple[bytes, ...], http2: bool, named: bool, *, verified: bool = True
    ) -> ssl.SSLContext:
        context = browser_context(self._ca_file, http2=http2, named=named)
        if found:
            context.load_verify_locations(cadata=b"".join(found))
        if not verified:
            context.verify_mode = ssl.CERT_NONE
        return context

    def _authorities(self) -> list[bytes]:
        """Give whom TLS trusts without what was found."""
        return self._context((), True, True).get_ca_certs(binary_form=True)

    def _remember(self, host: str, found: tuple[bytes, ...]) -> None:
        self._found[host] = found
        if len(self._found) > MAX_MENDED:
            with suppress(StopIteration):
                del self._found[next(iter(self._found))]
