"""Own domains of this machine: added, removed, and given renewed certificates.

Promise: everything is judged and prepared before anything is changed; what was changed is put back when HAProxy or a
router does not take it over; and a domain is called served when it is, as a recipient sees it. A call that was cut off
is finished by the same call again.
"""

import contextlib
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asking import served_certificate
from canary import ask_canaries, with_forgery
from certificates import first_certificate, judge_certificate
from domainfile import APP_FILES, DomainFile
from files import Changes
from haproxy_socket import LOOK_S, Stopped
from in_use import domains_in_use
from keyfile import KeyFile
from reloading import Routers
from telling import say

SHOWN_S = 5.0  # for HAProxy to show a certificate that it has taken


@dataclass(frozen=True, slots=True)
class Region:
    """What serves domains on this machine."""

    routers: Routers
    keys: KeyFile
    file: DomainFile
    front: tuple[str, int]  # where HAProxy takes recipients' requests
    trust: ssl.SSLContext

    @property
    def folder(self) -> Path:
        """Where HAProxy's certificates and names are: beside its colour map."""
        return self.routers.proxy.map.parent

    def certificate(self, name: str) -> Path:
        """Give the file that HAProxy reads for *name*."""
        return self.folder / f"{name}.pem"

    def app_files(self, name: str) -> dict[str, Path]:
        """Give where the app files of *name* are kept, beside the file of domains."""
        return {key: self.file.path.with_name(f"{name}.{key}.json") for key in APP_FILES}


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain that is to be: whose links it serves, and its app files, by their names in the file of domains."""

    name: str
    tenant: int
    files: Mapping[str, Path]


def add_domain(
    region: Region, domain: Domain, common: Collection[str], obtain: Callable[[], tuple[Path, Path]]
) -> None:
    """Serve *domain* with the certificate and key that *obtain* gives; *common* are hosts of all tenants.

    Raises:
        Stopped: it was refused, or did not succeed, and nothing is changed.
    """
    _refuse(region, domain, common)
    put_domain(region, domain, *obtain())


def judge_domain(region: Region, domain: Domain) -> None:
    """Have the routers' program look at what the file of domains would be with *domain*.

    Raises:
        Stopped: no router would take it.
    """
    region.file.judge(region.file.with_domain(domain.name, domain.tenant, domain.files))


def put_domain(region: Region, domain: Domain, chain: Path, key: Path) -> None:
    """Serve *domain* with the certificate in *chain* and its *key*, whatever is known of that name now.

    Raises:
        Stopped: as above.
    """
    judge_certificate(chain, key, domain.name, region.trust)
    if domain.tenant not in {entry["tenant"] for entry in region.file.entries().values()}:
        say(f"links of tenant {domain.tenant} that were sent under other names are 404 from now on: this is its first")
    changes, kept = Changes(), region.app_files(domain.name)
    with _undone_on_failure(region, changes) as back:
        pem = _put_certificate(region, changes, back, chain, key, domain.name, [domain.name])
        _wait_until_shown(region, domain.name, pem)
        for name, path in domain.files.items():
            changes.write(kept[name], path.read_bytes())
        files = {name: Path(kept[name].name) for name in domain.files}  # beside the file of domains
        changes.write(region.file.path, region.file.with_domain(domain.name, domain.tenant, files).encode())
        _reload_routers(region)
        link = region.keys.link(domain.name, tenant=domain.tenant).split()
        ask_canaries(with_forgery("a link of its tenant", *link), domain.name, region.front, region.trust)


def remove_domain(region: Region, name: str, forget: Callable[[], None]) -> None:
    """Serve *name* no more, and have *forget* end its renewal.

    The renewal ends first: a call that is cut off leaves the name in the file of domains, to be removed again.

    Raises:
        Stopped: it is none, or it did not succeed; then it is served as before.
    """
    if name not in region.file.entries():
        raise Stopped(f"{name} is no own domain here; 'linkrouter-deploy domain list' names them")
    pem, text = region.certificate(name), region.file.without_domain(name)
    lines = (region.folder / "crt-list.txt").read_text().splitlines()
    left = [line for line in lines if line.split()[:1] != [str(pem)]]
    if lines and lines[0] not in left:
        raise Stopped(f"the certificate of {name} is the first of crt-list.txt, which all others fall back to; move it")
    forget()
    changes, proxy = Changes(), region.routers.proxy
    with _undone_on_failure(region, changes, "but certbot renews its certificate no more; remove it again") as back:
        changes.write(region.folder / "crt-list.txt", _text(left))
        names = (region.folder / "names.txt").read_text().splitlines()
        changes.write(region.folder / "names.txt", _text([one for one in names if one != name]))
        if pem.exists():
            back.callback(proxy.serve_certificate, pem, pem.read_bytes())
        proxy.drop_certificate(pem)
        back.callback(proxy.send_to_https, name)
        proxy.send_to_https(name, wanted=False)
        changes.write(region.file.path, text.encode())
        _reload_routers(region)
    for path in (pem, *region.app_files(name).values()):
        path.unlink(missing_ok=True)


def renew_certificate(region: Region, chain: Path, key: Path, name: str, names: Sequence[str]) -> None:
    """Give HAProxy a certificate and its key as those of *name*; they must do for all *names*.

    Raises:
        Stopped: they do not, or HAProxy did not take them over, and the ones of before stay.
    """
    for one in names:
        judge_certificate(chain, key, one.replace("*", "any"))
    changes, shown = Changes(), names[0].replace("*", "any")
    with _undone_on_failure(region, changes) as back:
        pem = _put_certificate(region, changes, back, chain, key, name, names)
        changes.remove(region.folder / "self-signed.crt")  # what linkrouter-deploy trusted until now
        if served_certificate(region.front, shown) is None:  # no reason to serve an old one until it ends
            say(f"{region.front[0]}:{region.front[1]} does not answer, so nobody looked; give --front")
        else:
            _wait_until_shown(region, shown, pem)


def check_routers(region: Region) -> list[str]:
    """Say of each running router that uses other domains than the file, a line each; the file must be usable."""
    return _late(region, region.file.fingerprint())


def _late(region: Region, wanted: str) -> list[str]:
    found = []
    for server in region.routers.running():
        used = domains_in_use(server, region.routers.settings)
        if used is None:
            found.append(f"{server.name} shows no own domains; restart it: 'linkrouter-deploy switch COLOUR'")
        elif used != wanted:
            found.append(f"{server.name} uses other own domains than the file; run 'linkrouter-deploy reload'")
    return found


def _refuse(region: Region, domain: Domain, common: Collection[str]) -> None:
    entries = region.file.entries()
    if domain.name in entries:
        raise Stopped(
            f"{domain.name} stands in {str(region.file.path)!r} already, with tenant {entries[domain.name]['tenant']}; "
            "remove it first, or edit that file and run 'linkrouter-deploy reload'"
        )
    if domain.name in common:
        raise Stopped(f"{domain.name} serves the canaries, and so all tenants; an own domain serves one alone")
    judge_domain(region, domain)
    if unready := check_routers(region):
        raise Stopped(unready[0])


def _put_certificate(
    region: Region,
    changes: Changes,
    back: contextlib.ExitStack,
    chain: Path,
    key: Path,
    name: str,
    names: Sequence[str],
) -> bytes:
    """Have HAProxy show a certificate as that of *name*, now and after a reload, and send *names* to HTTPS."""
    path, crt_list, redirected = region.certificate(name), region.folder / "crt-list.txt", region.folder / "names.txt"
    pem, before = b"".join(part.read_bytes() for part in dict.fromkeys((chain, key))), _read(path)
    changes.write(path, pem, 0o600)
    lines = crt_list.read_text().splitlines()
    if all(line.split()[:1] != [str(path)] for line in lines):
        changes.write(crt_list, _text([*lines, str(path)]))
    known, proxy = redirected.read_text().splitlines(), region.routers.proxy
    if missing := [one for one in names if one not in known]:
        changes.write(redirected, _text([*known, *missing]))
    back.callback(*((proxy.serve_certificate, path, before) if before else (proxy.drop_certificate, path)))
    proxy.serve_certificate(path, pem)
    for one in names:
        back.callback(proxy.send_to_https, one, one in known)
        proxy.send_to_https(one)
    return pem


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _wait_until_shown(region: Region, name: str, pem: bytes) -> None:
    until = time.monotonic() + SHOWN_S
    while served_certificate(region.front, name) != first_certificate(pem):
        if time.monotonic() > until:
            where = f"{region.front[0]}:{region.front[1]}"
            raise Stopped(
                f"{where} does not show the certificate of {name}; run 'systemctl status haproxy', or give --front"
            )
        time.sleep(LOOK_S)


def _reload_routers(region: Region) -> None:
    """Have every running router read the file of domains, and wait until each says that it uses it."""
    wanted = region.file.fingerprint()
    if units := [server.unit for server in region.routers.running()]:
        region.routers.services.run("reload", *units)
    until = time.monotonic() + region.routers.within_s
    while late := _late(region, wanted):
        if time.monotonic() > until:
            raise Stopped(late[0])
        time.sleep(LOOK_S)


@contextlib.contextmanager
def _undone_on_failure(region: Region, changes: Changes, but: str = "") -> Iterator[contextlib.ExitStack]:
    """Put back files, what HAProxy was told (by what is called back), and what routers read, when something fails."""
    back = contextlib.ExitStack()
    try:
        yield back
    except (Stopped, OSError, KeyboardInterrupt) as exc:
        changes.undo()
        for put_back in (back.close, lambda: _reload_routers(region)):
            with contextlib.suppress(Stopped):
                put_back()
        why = f"{exc.filename}: {exc.strerror}" if isinstance(exc, OSError) else str(exc) or "interrupted"
        raise Stopped(", ".join(filter(None, (f"{why}; everything is as it was", but)))) from exc
