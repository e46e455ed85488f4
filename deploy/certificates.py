"""Certificates: what one is good for, and how one is obtained.

Promise: a certificate is judged as a recipient's program judges it, by a handshake, here in memory; one that is not
good for its name is never put in place.
"""

import contextlib
import os
import shlex
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haproxy_socket import Stopped

ADDING = "LINKROUTER_ADDS_DOMAIN"  # set for certbot's hook while its certificate is put in place by who asked for it


@dataclass(frozen=True, slots=True)
class Certificate:
    """When a certificate begins and ends, in seconds since 1970."""

    begins_at: float
    ends_at: float

    @property
    def days_left(self) -> int:
        """Give the whole days until its end."""
        return int((self.ends_at - time.time()) // 86400)

    @property
    def is_late(self) -> bool:
        """Whether less than a quarter of its life is left; it should have been renewed at a third."""
        return self.ends_at - time.time() < (self.ends_at - self.begins_at) / 4


def judge_certificate(chain: Path, key: Path, name: str, trust: ssl.SSLContext | None = None) -> Certificate:
    """Tell what the certificate in *chain*, with the *key* in its file, is worth for *name*.

    With *trust* its issuer is judged, too; without, whoever signed it will do.

    Raises:
        Stopped: it cannot be used, is another name's, has ended, or comes from nobody who is trusted.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(chain, key, password="")  # refused when it has one, not asked for
        client = trust or _trust_itself(chain)
        return certificate_of(_shake_hands(server, client, name))
    except ssl.SSLCertVerificationError as exc:
        raise Stopped(f"certificate {str(chain)!r} is not good for {name} ({reason_of(exc)})") from exc
    except ssl.SSLError as exc:
        what = "has another key" if exc.reason == "KEY_VALUES_MISMATCH" else "holds no certificate with its key, in PEM"
        raise Stopped(f"{str(chain)!r} {what}") from exc
    except OSError as exc:
        raise Stopped(f"{str(chain)!r} or its key cannot be read ({exc.strerror})") from exc


def reason_of(exc: ssl.SSLCertVerificationError) -> str:
    """Give OpenSSL's words for why a certificate was refused."""
    return exc.verify_message.removesuffix(".") or str(exc.reason)


def certificate_of(said: dict[str, Any] | None) -> Certificate:
    """Give a certificate from what `ssl` says of one that it has verified."""
    said = said or {}
    return Certificate(*(float(ssl.cert_time_to_seconds(said[name])) for name in ("notBefore", "notAfter")))


def first_certificate(pem: bytes) -> bytes:
    """Give the first certificate of *pem* in DER, the one that is shown."""
    end = b"-----END CERTIFICATE-----"
    text = pem[pem.index(b"-----BEGIN CERTIFICATE-----") : pem.index(end) + len(end)]
    return ssl.PEM_cert_to_DER_cert(text.decode("ascii"))


def _trust_itself(chain: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(chain)
    return context


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> dict[str, Any] | None:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname=name),
        server.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(4):  # each side speaks twice
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0].getpeercert()


@dataclass(frozen=True, slots=True)
class Certbot:
    """certbot by its *command*, with its files in *folder*; HAProxy hands challenges to *address*."""

    command: str
    folder: Path
    address: tuple[str, int]
    hook: str  # what it runs when it has renewed a certificate

    def obtain(self, name: str) -> tuple[Path, Path]:
        """Give the files of a certificate for *name* and of its key; one that is there, and not late, is kept.

        Raises:
            Stopped: certbot cannot be run, or was refused; its own words say why.
        """
        host, port = self.address
        self._run(
            *("certonly", "--non-interactive", "--standalone", "--preferred-challenges", "http"),
            *("--http-01-address", host, "--http-01-port", f"{port}", "--cert-name", name, "-d", name),
            *("--keep-until-expiring", "--deploy-hook", self.hook),
        )
        live = self.folder / "live" / name
        return live / "fullchain.pem", live / "privkey.pem"

    def forget(self, name: str) -> None:
        """Have the certificate for *name*, if it is certbot's, renewed no more.

        Raises:
            Stopped: as above.
        """
        if (self.folder / "renewal" / f"{name}.conf").exists():
            self._run("delete", "--non-interactive", "--cert-name", name)

    def _run(self, verb: str, *arguments: str) -> None:
        command = [*shlex.split(self.command), verb, "--config-dir", str(self.folder), *arguments]
        environment = os.environ | {ADDING: "yes"}
        try:
            done = subprocess.run(  # noqa: S603 - the operator's
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment
            )
        except OSError as exc:
            raise Stopped(
                f"{command[0]!r} cannot be run ({exc.strerror}); run 'apt-get install certbot' and 'certbot register', "
                "or give --certificate"
            ) from exc
        if done.returncode:
            raise Stopped(f"certbot: {_cause(done.stderr + done.stdout)}")


def _cause(said: str) -> str:
    """Give the line of certbot's that says why: what the authority said, else its last that is no advice."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    details = [line.removeprefix("Detail:").strip() for line in lines if line.startswith("Detail:")]
    advice = ("Ask for help", "Saving debug log", "Hint:", "Some challenges", "Requesting a certificate", "Account reg")
    return (details or [line for line in lines if not line.startswith(advice)] or ["it said nothing"])[-1]
