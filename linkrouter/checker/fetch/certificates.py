"""What is read from a certificate beyond what Python's `ssl` tells.

Promise: what is found here is a hint where to look, or is held against what OpenSSL has verified; nothing is trusted
because of it.
"""

import re
import ssl
from typing import Any

__all__ = ["MAX_CERTIFICATE_BYTES", "as_der", "issuer_url", "matches_wildcard", "verified_root"]

MAX_CERTIFICATE_BYTES = 64 * 1024

# An AccessDescription of id-ad-caIssuers (RFC 5280 §4.2.2.1) with a short URI, as it stands in DER.
_CA_ISSUERS = re.compile(rb"\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86(?:\x81([\x80-\xff])|([\x01-\x7f]))", re.DOTALL)
_URL = re.compile(rb"http://[!-~]{1,240}", re.IGNORECASE)


def issuer_url(der: bytes) -> str | None:
    """Give the http URL at which the issuer of the certificate *der* is to be had (AIA), or None."""
    for match in _CA_ISSUERS.finditer(der):
        length = (match[1] or match[2])[0]
        url = der[match.end() : match.end() + length]
        if _URL.fullmatch(url):
            return url.decode("ascii")
    return None


def as_der(answer: bytes) -> bytes | None:
    """Give the one certificate of *answer*, DER or PEM, as DER; None where there is none."""
    begin = answer.find(b"-----BEGIN CERTIFICATE-----")
    if begin >= 0:
        try:
            return ssl.PEM_cert_to_DER_cert(answer[begin:].partition(b"-----END CERTIFICATE-----")[0].decode("ascii")
                                            + "-----END CERTIFICATE-----")  # fmt: skip
        except ValueError:
            return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=answer)
    except (ssl.SSLError, ValueError):
        return None
    return answer


def verified_root(tls: Any) -> bytes | None:
    """Give the certificate at which the chain that OpenSSL has verified ends.

    Python has a public name for it from 3.13 on, and the same function under a private one from 3.10 on.
    """
    chain = getattr(tls, "get_verified_chain", None) or getattr(
        getattr(tls, "_sslobj", None), "get_verified_chain", None
    )
    found = chain() if chain is not None else None
    if not found:
        return None
    root = found[-1]
    return root if isinstance(root, bytes) else bytes(root.public_bytes(2))  # _ssl.ENCODING_DER


def matches_wildcard(tls: ssl.SSLObject | None, host: str) -> bool:
    """Whether the verified certificate of *tls* is for *host*, which has an underscore (else as RFC 6125 §6.4.3)."""
    certificate: Any = tls.getpeercert() if tls is not None else None
    names = [name.lower() for kind, name in (certificate or {}).get("subjectAltName", ()) if kind == "DNS"]
    parent = host.partition(".")[2]
    return host in names or ("." in parent and f"*.{parent}" in names)
