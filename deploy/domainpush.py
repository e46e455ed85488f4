"""Own domains of all machines: what this one serves is handed to the others.

Promise: keys of certificates go through standard input, never through a command line; what did not succeed on one
machine is said of that machine and keeps no other from it; and handing over may be done again.
"""

import json
import tempfile
from pathlib import Path

from domainfile import APP_FILES
from domains import Domain, Region, judge_domain, put_domain, remove_domain, renew_certificate
from haproxy_socket import Stopped
from machines import Remote
from telling import say


def push_domain(region: Region, machines: list[Remote], name: str) -> None:
    """Have *machines* serve *name* as this one does, or not at all when this one does not.

    Raises:
        Stopped: some did not; which, and why.
    """
    content, failures = json.dumps(_described(region, name)).encode(), []
    for machine in machines:
        try:
            machine.ask("domain", "accept", stdin=content)
            say(f"  {machine.name}: done")
        except Stopped as exc:
            failures.append(str(exc))
    if failures:
        raise Stopped(f"{'; '.join(failures)}; mend that, then run 'linkrouter-deploy domain push {name}'")


def accept_domain(region: Region, content: bytes) -> str:
    """Do what `push_domain` of another machine says in *content*, and give the name of the domain.

    Raises:
        Stopped: it was refused, or did not succeed, and nothing is changed.
    """
    try:
        told = json.loads(content)
        name, tenant = str(told["name"]), told.get("tenant")
        certificate = str(told.get("certificate", ""))
        files = {key: str(text) for key, text in told.get("files", {}).items() if key in APP_FILES}
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise Stopped("standard input holds no domain of another machine's; 'domain push' there hands it over") from exc
    entry = region.file.entries().get(name)
    if tenant is None:
        if entry is not None:
            remove_domain(region, name, lambda: None)
        return name
    with tempfile.TemporaryDirectory(prefix="linkrouter-domain-") as folder:
        pem, *_ = paths = [Path(folder) / key for key in ("pem", *files)]
        for path, text in zip(paths, (certificate, *files.values()), strict=True):
            path.write_text(text)
        if entry is not None and _described(region, name) | {"certificate": certificate} == told:
            renew_certificate(region, pem, pem, name, [name])
            return name
        domain = Domain(name, tenant, {key: Path(folder) / key for key in files})
        judge_domain(region, domain)
        put_domain(region, domain, pem, pem)
    return name


def _described(region: Region, name: str) -> dict[str, object]:
    """Say all that a machine needs to serve *name*; the name alone when it is no own domain here."""
    entry = region.file.entries().get(name)
    if entry is None:
        return {"name": name}
    beside = region.file.path.parent
    files = {key: (beside / str(entry[key])).read_text("utf-8") for key in APP_FILES if key in entry}
    pem = region.certificate(name)
    certificate = pem.read_text("ascii") if pem.exists() else ""
    return {"name": name, "tenant": entry["tenant"], "certificate": certificate, "files": files}
