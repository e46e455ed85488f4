"""When the certificate of a server ends.

`ssl` tells it of a certificate that it has verified and of no other, so one handshake is made in memory.
"""

import contextlib
import ssl
from pathlib import Path

__all__ = ["certificate_ends_at"]

NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: one that has ended tells when it did


def certificate_ends_at(server: ssl.SSLContext, chain: Path) -> float | None:
    """Give the end, in seconds since the epoch, of the certificate that *server* shows; None where it cannot be told.

    *chain* is the file that it came from, which the handshake trusts.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client.load_verify_locations(chain)
        near, far = client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)
        for _ in range(2):  # each side speaks twice
            for side in (near, far):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        return float(ssl.cert_time_to_seconds(str((near.getpeercert() or {})["notAfter"])))
    except (OSError, KeyError, ValueError):
        return None
