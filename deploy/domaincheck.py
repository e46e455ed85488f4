"""What is wrong with an own domain, as its recipients and their systems would find it, and the cure of each.

Promise: it changes nothing, and what is found first hides nothing else: a name that leads elsewhere is asked for at
this machine all the same.
"""

import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asking import Answer, ask, trust_anybody
from canary import Canary, ask_canaries, with_forgery
from certificates import certificate_of, first_certificate, reason_of
from domainfile import APP_FILES
from domains import Region, check_routers
from haproxy_socket import Stopped

MIN_HSTS_S = 31_536_000  # a year; less is taken for an experiment
X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_HOSTNAME_MISMATCH = 10, 62  # of OpenSSL's x509_vfy.h
RELOAD = "run 'linkrouter-deploy reload'"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a part of a domain, and what to do."""

    part: str
    what: str
    cure: str

    def line(self) -> str:
        """Give it as text."""
        return f"{self.part}: {self.what}; {self.cure}"


def check_domain(region: Region, name: str, common: str) -> list[Finding]:
    """Look at everything that *name* needs; *common* is the host that serves all tenants here.

    Raises:
        Stopped: it is no own domain here, or the file of domains cannot be used.
    """
    entry = region.file.entries().get(name)
    if entry is None:
        raise Stopped(f"{name} is no own domain here; 'linkrouter-deploy domain add' makes it one")
    found = [*_dns(name, common), *_certificate(region, name)]
    found += [Finding("routers", *line.split("; ", 1)) for line in check_routers(region)]
    try:
        found += [*_links(region, name, int(str(entry["tenant"]))), *_hsts(region, name)]
        found += [*_app_files(region, name, entry)]
    except (OSError, http.client.HTTPException) as exc:
        where = f"{region.front[0]}:{region.front[1]}"
        found.append(Finding("haproxy", f"{where} does not answer ({exc})", "run 'linkrouter-deploy status'"))
    return found


def _dns(name: str, common: str) -> Iterator[Finding]:
    ours, theirs = _addresses(common), _addresses(name)
    cure = f"let its owner make it a CNAME of {common}"
    if not theirs:
        yield Finding("dns", f"{name} has no address", cure)
    elif not ours:
        yield Finding("dns", f"{common} has no address here", "mend that first: own domains lead to the same machines")
    elif stray := theirs - ours:
        yield Finding("dns", f"{name} leads to {' and '.join(sorted(stray))}, and {common} does not", cure)


def _addresses(name: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()


def _certificate(region: Region, name: str) -> Iterator[Finding]:
    pem = region.certificate(name)
    renew = f"run 'certbot renew --cert-name {name}', and see what it says"
    if name not in (region.folder / "names.txt").read_text().splitlines():
        yield Finding("redirect to HTTPS", "port 80 answers with 404", f"add {name} to names.txt, and reload haproxy")
    try:
        raw = socket.create_connection(region.front, timeout=2)
        with raw, region.trust.wrap_socket(raw, server_hostname=name) as secure:
            certificate, shown = certificate_of(secure.getpeercert()), secure.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as exc:
        cures = {
            X509_V_ERR_CERT_HAS_EXPIRED: renew,
            X509_V_ERR_HOSTNAME_MISMATCH: f"see the line of {str(pem)!r} in crt-list.txt, and what it holds",
        }
        chain = f"put its issuer's certificates behind it in {str(pem)!r}, or give --ca"
        yield Finding("certificate", reason_of(exc), cures.get(exc.verify_code, chain))
        return
    except OSError:
        return  # whoever asks for a link next says so
    if certificate.is_late:
        yield Finding("certificate", f"it ends in {certificate.days_left} days", renew)
    if pem.exists() and shown != first_certificate(pem.read_bytes()):
        yield Finding("certificate", f"haproxy shows another than {str(pem)!r}", "run 'systemctl reload haproxy'")


def _links(region: Region, name: str, tenant: int) -> Iterator[Finding]:
    genuine, forged = with_forgery("a link of its tenant", *region.keys.link(name, tenant=tenant).split())
    path = with_forgery("", *region.keys.link(name, tenant=tenant + 1 if tenant < 2**32 - 1 else 0).split())[0].path
    others = Canary("a link of another tenant", name, path, None)
    for canary in (genuine, forged, others):
        try:
            ask_canaries([canary], name, region.front, trust_anybody())
        except Stopped as exc:
            yield Finding("links", str(exc), f"{RELOAD}; then see 'linkrouter-deploy status'")


def _hsts(region: Region, name: str) -> Iterator[Finding]:
    said = ask(region.front, name, "/robots.txt", trust_anybody()).headers.get("strict-transport-security", "")
    age = re.search(r"(?i)max-age=\"?(\d+)", said)
    if age is None or int(age[1]) < MIN_HSTS_S:
        what = "browsers are not told to stay with HTTPS for a year"
        yield Finding("HSTS", what, "see HSTS at the top of haproxy.cfg, and reload haproxy")


def _app_files(region: Region, name: str, entry: dict[str, object]) -> Iterator[Finding]:
    for key, path in APP_FILES.items():
        if key not in entry:
            continue
        file = region.file.path.parent / str(entry[key])
        answer = ask(region.front, name, path, trust_anybody(), method="GET")
        if wrong := _wrong_with(answer, file):
            yield Finding("app files", f"{path} {wrong}", RELOAD)


def _wrong_with(answer: Answer, file: Path) -> str | None:
    if answer.status != 200:
        return f"is answered with {answer.status} instead of 200"
    if answer.headers.get("content-type") != "application/json":
        return "is not served as application/json"
    if answer.body != file.read_bytes():
        return f"is not what {str(file)!r} says"
    return None
