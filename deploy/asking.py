"""One request, as a recipient's program makes it, to an address that is known; nothing is followed."""

import contextlib
import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

ANSWER_S = 2.0
MAX_BODY = 256 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    address: tuple[str, int], host: str, path: str, tls: ssl.SSLContext | None = None, method: str = "HEAD"
) -> Answer:
    """Ask at *address* for *path* of *host*, over TLS when *tls* is given.

    Raises:
        OSError, http.client.HTTPException: there is no answer, or not from *host*.
    """
    connection = http.client.HTTPConnection(*address, timeout=ANSWER_S)
    with contextlib.closing(connection):
        connection.connect()
        if tls is not None:
            connection.sock = tls.wrap_socket(connection.sock, server_hostname=host)
        connection.request(method, path, headers={"Host": host, "User-Agent": "linkrouter-deploy"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, answer.read(MAX_BODY))


def trust_anybody() -> ssl.SSLContext:
    """Give TLS that takes any certificate: to look at one that is wrong, or past it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def served_certificate(address: tuple[str, int], host: str) -> bytes | None:
    """Give the certificate, in DER, that is shown at *address* to who asks for *host*; None when nobody answers."""
    connection = http.client.HTTPConnection(*address, timeout=ANSWER_S)
    with contextlib.closing(connection):
        try:
            connection.connect()
            connection.sock = secure = trust_anybody().wrap_socket(connection.sock, server_hostname=host)
            return secure.getpeercert(binary_form=True)
        except OSError:
            return None
