"""What own domains cost HAProxy: its start, a reload, and memory, by the number of certificates.

    PYTHONPATH=tests python tests/bench/bench_domains.py [--counts 10,1000,10000] [--folder FOLDER]

Every certificate has a P-256 key of its own and an issuer behind it, as certbot gives them; HAProxy runs the shipped
haproxy.cfg. A start ends, and a reload, when the last name's (new) certificate is shown over TLS; memory is resident,
of master and worker, and at a reload of both workers together. Making 10,000 certificates takes minutes, before
anything is measured; --folder keeps them for the next run. Wanted: haproxy, openssl.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import load
from haproxy.machine import ROOT, Machine, make_certificate
from processes import children, wait_until

COLUMNS = (
    *("certificates", "start", "CPU of it", "resident", "one more", "port 80", "reload", "resident at it"),
    *("domains file", "held of it"),
)
REQUESTS = 3000  # on one connection
P256 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="10,1000,10000", help="numbers of certificates")
    parser.add_argument("--folder", type=Path, help="where certificates are kept")
    parser.add_argument("--only-certificates", action="store_true", help="make them, and measure nothing")
    options = parser.parse_args()
    counts = [int(number) for number in options.counts.split(",")]
    if load.find_missing("haproxy", "openssl"):
        sys.exit(3)
    with tempfile.TemporaryDirectory(prefix="bench-domains-") as scratch:
        folder = options.folder or Path(scratch) / "certificates"
        make_certificates(folder, max(counts) + 1)
        if options.only_certificates:
            return
        print(f"| {' | '.join(COLUMNS)} |\n|{'---:|' * len(COLUMNS)}")
        for count in counts:
            home = Path(scratch) / f"{count}"
            print(
                f"| {' | '.join((f'{count:,}', *measure(home, folder, count), *measure_router(home, count)))} |",
                flush=True,
            )


def name_of(number: int) -> str:
    return f"links.customer-{number}.example"


def make_certificates(folder: Path, count: int) -> None:
    """Make those that are missing in *folder*, with an authority of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    root, issuer = folder / "root", folder / "issuer"
    if not issuer.with_suffix(".crt").exists():
        _sign(root, "Root", "basicConstraints=critical,CA:TRUE", None)
        _sign(issuer, "Issuer", "basicConstraints=critical,CA:TRUE", root)

    def make(number: int) -> None:
        name = name_of(number)
        _sign(folder / name, name, f"subjectAltName=DNS:{name}", issuer)
        parts = [folder / f"{name}.crt", issuer.with_suffix(".crt"), folder / f"{name}.key"]
        (folder / f"{name}.pem").write_bytes(b"".join(part.read_bytes() for part in parts))
        for part in (parts[0], parts[2]):
            part.unlink()

    missing = [number for number in range(count) if not (folder / f"{name_of(number)}.pem").exists()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(make, missing))


def _sign(path: Path, name: str, extension: str, issuer: Path | None) -> None:
    signed = ("-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key") if issuer else ()
    out = ("-keyout", f"{path}.key", "-out", f"{path}.crt")
    subject = ("-days", "90", "-subj", f"/CN={name}", "-addext", extension)
    subprocess.run(["openssl", "req", "-x509", *P256, *subject, *signed, *out], check=True, capture_output=True)


def measure(home: Path, folder: Path, count: int) -> tuple[str, ...]:
    """Measure HAProxy with *count* certificates beside its own first one."""
    machine = Machine(home)
    paths = [home / f"{name_of(number)}.pem" for number in range(count)]
    for path in paths:
        shutil.copy(folder / path.name, path)
    names = [name_of(number) for number in range(count)]
    (home / "crt-list.txt").write_text("".join(f"{path}\n" for path in (machine.certificate, *paths)))
    (home / "names.txt").write_text("".join(f"{name}\n" for name in names))
    last, address = names[-1], (machine.address, machine.ports["https"])
    try:
        began = time.monotonic()
        machine.start_haproxy(within_s=300.0)
        wait_until(lambda: shown(address, last) == first_in(paths[-1]))
        start_s = time.monotonic() - began
        (worker,) = children(machine.haproxy.pid)
        cpu_s, resting_mb = _cpu_s(machine.haproxy.pid), _resident_mb(machine.haproxy.pid, worker)
        one_more_s = _add_one(machine, folder / f"{name_of(count)}.pem", name_of(count))
        plain_us = _plain_us((machine.address, machine.ports["http"]), last, worker)
        make_certificate(home, last)
        began = time.monotonic()
        machine.haproxy.send_signal(signal.SIGUSR2)
        peak_mb = 0.0
        while shown(address, last) != first_in(paths[-1]):
            peak_mb = max(peak_mb, _resident_mb(machine.haproxy.pid, *children(machine.haproxy.pid)))
            time.sleep(0.02)
        reload_s = time.monotonic() - began
        peak_mb = max(peak_mb, _resident_mb(machine.haproxy.pid, *children(machine.haproxy.pid)))
    finally:
        machine.end()
    start = (f"{start_s:.1f} s", f"{cpu_s:.1f} s", f"{resting_mb:.0f} MB")
    return (*start, f"{one_more_s * 1000:.0f} ms", f"{plain_us:.0f} µs", f"{reload_s:.1f} s", f"{peak_mb:.0f} MB")


def _add_one(machine: Machine, pem: Path, name: str) -> float:
    """Give the seconds until a certificate more is shown, given through the socket as linkrouter-deploy does."""
    sys.path.insert(0, str(ROOT / "deploy"))
    from haproxy_socket import HAProxy

    proxy, address = HAProxy(str(machine.home / "admin.sock")), (machine.address, machine.ports["https"])
    began = time.monotonic()
    proxy.serve_certificate(machine.home / pem.name, pem.read_bytes())
    while shown(address, name) != first_in(pem):
        time.sleep(0.005)
    return time.monotonic() - began


def _plain_us(address: tuple[str, int], name: str, worker: int) -> float:
    """Give the CPU that a request for *name* on port 80 takes, which is looked up in names.txt."""
    request = f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()
    began = _cpu_s(worker)
    with socket.create_connection(address, timeout=5) as connection:
        for _ in range(REQUESTS):
            connection.sendall(request)
            if b" 308 " not in connection.recv(4096):
                sys.exit("port 80 does not lead to HTTPS")
    return (_cpu_s(worker) - began) / REQUESTS * 1e6


def measure_router(home: Path, count: int) -> tuple[str, str]:
    """Measure how long a router takes to read a file of *count* domains, and what it holds of them."""
    file = home / "domains.toml"
    tables = (f'[domains."{name_of(number)}"]\ntenant = {number + 1}\n' for number in range(count))
    file.write_text("[domains]\n" + "".join(tables))
    code = (
        "import json, resource, sys, time; from pathlib import Path;"
        "from linkrouter.router.domains import load_domains;"
        "def_mb = lambda: int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() / 1e6;"
        "before, began = def_mb(), time.process_time(); found = load_domains(Path(sys.argv[1]));"
        "print(json.dumps([time.process_time() - began, def_mb() - before]))"
    )
    done = subprocess.run([sys.executable, "-c", code, file], check=True, capture_output=True)
    seconds, megabytes = json.loads(done.stdout)
    return f"{seconds:.3f} s", f"{megabytes:.1f} MB"


def shown(address: tuple[str, int], name: str) -> bytes | None:
    """Give the certificate, in DER, that is shown at *address* for *name*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        raw = socket.create_connection(address, timeout=5)
        with raw, context.wrap_socket(raw, server_hostname=name) as connection:
            return connection.getpeercert(binary_form=True)
    except OSError:
        return None


def first_in(pem: Path) -> bytes:
    text = pem.read_text()
    return ssl.PEM_cert_to_DER_cert(text[: text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")


def _cpu_s(pid: int) -> float:
    """Give the CPU that a process has taken; the master loads everything, and then forks the worker."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(*pids: int) -> float:
    """Give the memory of *pids*, what they share counted once (PSS)."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue  # it has just ended
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1000


if __name__ == "__main__":
    main()
