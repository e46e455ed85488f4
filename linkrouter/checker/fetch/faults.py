"""Why there is no answer: what a connection, TLS or a protocol raises, and the reason that it stands for.

Promise: whatever a server provokes has one reason, and what happens after a good connection is broken only where the
server hangs up on every way of asking.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

from linkrouter.dial.dialer import ForbiddenAddress

__all__ = [
    "BadCertificate",
    "CertificateWanted",
    "Failure",
    "HungUp",
    "NotHttp",
    "NotProcessed",
    "ProtocolFault",
    "RequestFault",
    "failure_of",
    "fault_of",
]

# OpenSSL's X509_V_ERR_… codes; the rest is "certificate invalid".
_CERTIFICATE_FAULTS = {
    2: "certificate issuer unknown",
    9: "certificate not valid yet",
    10: "certificate expired",
    18: "certificate self-signed",
    19: "certificate issuer unknown",
    20: "certificate issuer unknown",
    21: "certificate issuer unknown",
    62: "certificate for another host",
    64: "certificate for another host",
}


class Failure(NamedTuple):
    """Why there is no answer: one of `CHECK_REASONS`, and whether there was a connection to ask over."""

    reason: str
    connected: bool = False


class RequestFault(Exception):
    """A request that got no answer over a good connection."""

    reason = "protocol error"


class HungUp(RequestFault):
    """The server closed the connection before it answered."""

    reason = "connection reset"


class NotHttp(RequestFault):
    """What came is no HTTP."""

    reason = "not HTTP"


class ProtocolFault(RequestFault):
    """HTTP was broken in the middle of it."""


class NotProcessed(RequestFault):
    """The server says that it did not look at the request (RFC 9113 §8.7), which may be asked again."""


class CertificateWanted(RequestFault):
    """The server lets in whoever shows a certificate."""

    reason = "needs a login"


class BadCertificate(Exception):
    """A certificate that is not taken; `reason` is one of `CHECK_REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def fault_of(exc: OSError) -> RequestFault:
    """Give what *exc* means while a request is under way."""
    if isinstance(exc, ssl.SSLError):
        return CertificateWanted() if "CERTIFICATE_REQUIRED" in (exc.reason or "") else ProtocolFault()
    return HungUp()


def failure_of(exc: BaseException) -> Failure:
    """Give what *exc*, or what it came from, stands for."""
    if isinstance(exc, RequestFault):
        return Failure(exc.reason, connected=True)
    for cause in _causes(exc):
        if isinstance(cause, ForbiddenAddress | BadCertificate):
            return Failure(cause.reason)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failure(_CERTIFICATE_FAULTS.get(cause.verify_code, "certificate invalid"))
        if isinstance(cause, ssl.SSLError):
            return Failure("TLS failed")
        if isinstance(cause, socket.gaierror):
            absent = cause.errno in (socket.EAI_NONAME, socket.EAI_NODATA)
            return Failure("host does not exist" if absent else "name lookup failed")
    if isinstance(exc, TimeoutError):
        return Failure("timed out")
    if isinstance(exc, ConnectionRefusedError):
        return Failure("connection refused")
    if isinstance(exc, OSError) and exc.errno in _UNREACHABLE:
        return Failure("network unreachable")
    if isinstance(exc, OSError):
        return Failure("connection reset")
    return Failure("protocol error", connected=True)


_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
