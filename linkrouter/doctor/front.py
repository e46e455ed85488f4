"""What recipients meet first: the names in DNS, and the certificates that HAProxy shows."""

import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from linkrouter.doctor.finding import Finding

__all__ = ["look_at_certificates", "look_at_names"]

LEAST_DAYS = 21  # certbot renews at 30


def look_at_names(file: Path) -> list[Finding]:
    """Look whether each name in *file*, one a line, has an address."""
    if not file.exists():
        return []
    findings = []
    for name in (line.split("#")[0].strip() for line in file.read_text().splitlines()):
        try:
            socket.getaddrinfo(name, 443) if name else None
        except OSError:
            cure = "make it a name of this machine (A, AAAA) or of the region, or take it out of names.txt"
            findings.append(Finding("dns", f"{name} has no address", cure))
    return findings


def look_at_certificates(crt_list: Path, now: datetime) -> list[Finding]:
    """Look at the certificates that *crt_list* names: there, and good for some weeks."""
    if not crt_list.exists():
        return []
    findings = []
    for line in crt_list.read_text().splitlines():
        if words := line.partition("#")[0].split():
            findings += _look_at_certificate(Path(words[0]), now)
    if crt_list.with_name("self-signed.crt").exists():
        cure = "get one from an authority: certbot, see 'A certificate' in deploy/README.md"
        findings.append(Finding("certificate", "it is self-signed, which browsers refuse", cure))
    return findings


def _look_at_certificate(pem: Path, now: datetime) -> list[Finding]:
    done = subprocess.run(  # noqa: S603 - the file that HAProxy's own list names
        ["openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", str(pem)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout.strip().removeprefix("notAfter=")
    if done.returncode or not text:
        return [
            Finding("certificate", f"{str(pem)!r} cannot be read", "run this as root, or put the certificate there")
        ]
    days = (datetime.fromisoformat(text.replace(" ", "T", 1)).astimezone(UTC) - now).days
    if days >= LEAST_DAYS:
        return []
    cure = (
        "renew it: certbot renew, then /opt/linkrouter/deploy/certificate-renewed; see systemctl status certbot.timer"
    )
    said = f"ends in {days} days" if days >= 0 else "has ended"
    return [Finding("certificate", f"{str(pem)!r} {said}", cure)]
