"""The doctor: silent where all is well; each test breaks one thing first, and reads its finding."""

import contextlib
import json
import os
import resource
import shutil
import sqlite3
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from faults.disk import small_disk
from haproxy.machine import make_certificate
from processes import free_port, make_home

from linkrouter.central.store.sqlite.schema import MIGRATIONS
from linkrouter.doctor.machine import InstalledPlaces, examine_machine

pytestmark = pytest.mark.slow
HUGE = "900T"


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """A centre and a router that run, and a machine's folders as install.sh would make them."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    home = make_home(tmp_path_factory.mktemp("doctor"))
    try:
        yield _install(home)
    finally:
        home.end()


def _install(home) -> SimpleNamespace:
    admin, port = free_port(), free_port()
    central = home.start_central("--admin-listen", f"127.0.0.1:{admin}")
    router = home.start_router(port, "--spool-max-bytes", "64M")
    os.chmod(home.path, 0o700)
    os.chmod(home.path / "central.db", 0o600)
    etc, proxy, backups = (home.path / name for name in ("etc", "haproxy", "backups"))
    for folder in (etc, proxy, backups):
        folder.mkdir()
    for name, source in (("keys.json", "keys.json"), ("ingest-tokens", "ingest-token"), ("api-tokens", "api-token")):
        shutil.copy2(home.path / source, etc / name)
    url = f"http://127.0.0.1:{home.central_port}"
    (etc / "router.env").write_text(f"# shared\nLINKROUTER_INGEST_URL={url}\nLINKROUTER_SPOOL_MAX_BYTES=64M\n")
    for name, listen, shown in (("blue-1", port, router.admin_port), ("green-1", free_port(), free_port())):
        text = f"LINKROUTER_LISTEN=127.0.0.1:{listen}\nLINKROUTER_ADMIN_LISTEN=127.0.0.1:{shown}\n"
        (etc / f"{name}.env").write_text(text)
    (etc / "central.env").write_text(
        f"LINKROUTER_LISTEN=127.0.0.1:{home.central_port}\nLINKROUTER_ADMIN_LISTEN=127.0.0.1:{admin}\n"
        f"LINKROUTER_DATABASE=sqlite:///{home.path}/central.db\n"
    )
    (proxy / "names.txt").write_text("localhost\n")
    (proxy / "crt-list.txt").write_text(f"{make_certificate(proxy, 'localhost')}\n")
    (backups / "central-20261121T000000Z.db").touch()
    return SimpleNamespace(
        home=home, central=central, router=router, etc=etc, haproxy=proxy, backups=backups, port=port
    )


class Machine:
    """A copy of the folders, to be broken; the processes are shared."""

    def __init__(self, running, folder: Path) -> None:
        self.running, self.folder = running, folder
        for name in ("etc", "haproxy", "backups"):
            shutil.copytree(getattr(running, name), folder / name)
        self.etc, self.haproxy, self.backups = folder / "etc", folder / "haproxy", folder / "backups"
        self.spool = running.home.path / "spool"

    def set(self, file: str, name: str, value: str) -> None:
        with open(self.etc / file, "a") as lines:
            lines.write(f"LINKROUTER_{name}={value}\n")

    def examine(self) -> list[str]:
        places = InstalledPlaces(self.etc, self.haproxy, self.spool, self.backups)
        return [str(found) for found in examine_machine(places)]


@pytest.fixture
def machine(running, tmp_path) -> Machine:
    return Machine(running, tmp_path)


@pytest.mark.parametrize("what", ["machine", "router", "central"])
def test_nothing_is_wrong_where_all_is_well(running, what):
    home = running.home
    options = {
        "machine": ("--settings", "etc", "--haproxy", "haproxy", "--spool", "spool", "--backups", "backups"),
        "router": (
            *("--keys", "keys.json", "--listen", f"127.0.0.1:{running.port}", "--ingest-token-file", "ingest-token"),
            *("--admin-listen", f"127.0.0.1:{running.router.admin_port}", "--spool-max-bytes", "64M"),
            *("--ingest-url", f"http://127.0.0.1:{home.central_port}"),
        ),
        "central": ("--config", "central.toml"),
    }[what]
    env = dict(line.split("=", 1) for line in (running.etc / "central.env").read_text().splitlines())
    (home.path / "central.toml").write_text(
        "".join(f'{name.removeprefix("LINKROUTER_").lower()} = "{value}"\n' for name, value in env.items())
        + 'ingest_token_file = "ingest-token"\napi_token_file = "api-token"\n'
    )

    done = home.run("doctor", what, "--json", *options, check=False)

    assert json.loads(done.stdout) == {"examined": what, "findings": []}
    assert done.returncode == 0


def test_findings_are_lines_with_a_cure_and_exit_1(running, tmp_path):
    done = running.home.run("doctor", "router", "--keys", "none.json", "--listen", "127.0.0.1:1", check=False)
    usage = running.home.run("doctor", "router", "--no-such-thing", check=False)

    assert done.returncode == 1
    lines = done.stdout.decode().splitlines()
    assert any(line.startswith("keys: ") and "none.json" in line for line in lines)
    assert any("nobody listens at 127.0.0.1:1" in line and "systemctl start" in line for line in lines)
    assert all("; " in line for line in lines)
    assert usage.returncode == 2


def _rotate(machine):
    machine.running.home.run("keys", "rotate", str(machine.etc / "keys.json"))


def _full_spool(machine):
    machine.spool = machine.folder / "spool"
    machine.spool.mkdir(mode=0o700)
    (machine.spool / "much").write_bytes(bytes(8192))
    machine.set("router.env", "SPOOL_MAX_BYTES", "4K")


def _open_spool(machine):
    machine.spool = machine.folder / "spool"
    machine.spool.mkdir()
    os.chmod(machine.spool, 0o705)


def _spool_is_a_file(machine):
    machine.spool = machine.folder / "spool"
    machine.spool.touch()


def _certificate_of_days(machine, days):
    made = make_certificate(machine.haproxy, "late", "-days", str(days))
    (machine.haproxy / "crt-list.txt").write_text(f"{made} [alpn h2] late\n")


def _database(machine, sql):
    path = machine.folder / "central.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(sql)
    os.chmod(path, 0o600)
    machine.set("central.env", "DATABASE", f"sqlite:///{path}")


OURS = "PRAGMA application_id = 1818977073;"
BREAK = {
    "keys for all": (lambda m: os.chmod(m.etc / "keys.json", 0o644), "can be read by others; run 'chmod 600"),
    "no keys": (lambda m: (m.etc / "keys.json").unlink(), "keys: "),
    "keys not reloaded": (_rotate, "blue-1 uses other keys than"),
    "no token": (lambda m: (m.etc / "ingest-tokens").unlink(), "tokens: INGEST_TOKEN_FILE"),
    "another token": (
        lambda m: (m.etc / "ingest-tokens").write_text("x" * 30),
        "centre: it does not take this router's token (status 401)",
    ),
    "token file of nonsense": (lambda m: (m.etc / "api-tokens").write_text("short"), "tokens: API_TOKEN_FILE"),
    "misspelt": (lambda m: m.set("router.env", "SPOOL_MAX_BYTE", "4G"), "did you mean LINKROUTER_SPOOL_MAX_BYTES?"),
    "malformed": (lambda m: m.set("central.env", "LISTEN", "here"), "settings: LISTEN must be HOST:PORT"),
    "no router.env": (lambda m: (m.etc / "router.env").unlink(), "router.env' cannot be read"),
    "centre away": (lambda m: m.set("router.env", "INGEST_URL", "http://127.0.0.1:1"), "centre: it cannot be reached"),
    "no centre": (lambda m: m.set("router.env", "INGEST_URL", ""), "centre: INGEST_URL is not set"),
    "something else": (
        lambda m: m.set("router.env", "INGEST_URL", f"http://127.0.0.1:{m.running.router.admin_port}"),
        "centre: it answers with status 404",
    ),
    "bad domains": (
        lambda m: [(m.etc / "d").write_text("domains = 1"), m.set("router.env", "DOMAINS", str(m.etc / "d"))],
        "domains: ",
    ),
    "reserve": (lambda m: m.set("router.env", "SPOOL_RESERVE_BYTES", HUGE), "disk: no click can be kept"),
    "promise": (lambda m: m.set("router.env", "SPOOL_MAX_BYTES", HUGE), "SPOOL_MAX_BYTES says more"),
    "full spool": (_full_spool, "disk: the spool is at its 4,096 bytes"),
    "open spool": (_open_spool, "can be read by others; run 'chmod 700"),
    "spool is a file": (_spool_is_a_file, "is no directory"),
    "a router is down": (
        lambda m: (m.etc / "blue-2.env").write_text("LINKROUTER_ADMIN_LISTEN=127.0.0.1:1\n"),
        "router: blue-2 does not answer at its admin port; see journalctl -u linkrouter-blue@2",
    ),
    "certificate ends": (lambda m: _certificate_of_days(m, 5), "late.pem' ends in 4 days; renew it"),
    "no certificate": (lambda m: (m.haproxy / "localhost.pem").unlink() or _relist(m), "cannot be read"),
    "self-signed": (lambda m: (m.haproxy / "self-signed.crt").touch(), "certificate: it is self-signed"),
    "no address": (lambda m: (m.haproxy / "names.txt").write_text("no.such.invalid\n"), "dns: no.such.invalid has"),
    "no backup": (lambda m: shutil.rmtree(m.backups) or m.backups.mkdir(), "backup: there is none"),
    "old backup": (
        lambda m: os.utime(next(m.backups.iterdir()), (0, time.time() - 3 * 86400 - 60)),
        "backup: the newest is 3 days old",
    ),
    "central is down": (
        lambda m: m.set("central.env", "LISTEN", "127.0.0.1:1"),
        "port: nobody listens at 127.0.0.1:1 (LISTEN); start it: systemctl start linkrouter-central",
    ),
    "another program": (
        lambda m: m.set("central.env", "LISTEN", f"127.0.0.1:{m.running.router.admin_port}"),
        "port: another program listens at",
    ),
    "no metrics": (lambda m: m.set("central.env", "ADMIN_LISTEN", "127.0.0.1:1"), "port: nobody shows metrics at"),
    "metrics of another": (
        lambda m: m.set("central.env", "ADMIN_LISTEN", f"127.0.0.1:{m.running.home.central_port}"),
        "another program listens at 127.0.0.1",
    ),
    "newer database": (
        lambda m: _database(m, f"{OURS} PRAGMA user_version = {len(MIGRATIONS) + 1};"),
        f"has version {len(MIGRATIONS) + 1}, and this linkrouter knows {len(MIGRATIONS)}; run the newer linkrouter",
    ),
    "their database": (lambda m: _database(m, "CREATE TABLE a (b)"), "database: ", "is of another program"),
    "database for all": (
        lambda m: [_database(m, OURS), os.chmod(m.folder / "central.db", 0o644)],
        "central.db' can be read by others; run 'chmod 600",
    ),
}


def _relist(machine):
    (machine.haproxy / "crt-list.txt").write_text(f"{machine.haproxy / 'localhost.pem'}\n")


@pytest.mark.parametrize("how", BREAK)
def test_what_was_broken_is_found_with_its_cure(machine, how):
    assert machine.examine() == []
    break_it, *expected = BREAK[how]

    break_it(machine)
    findings = machine.examine()

    assert any(all(text in line for text in expected) for line in findings), findings
    assert all("; " in line and "\n" not in line for line in findings)


def test_a_router_with_few_files_is_found(machine):
    pid = machine.running.router.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (1000, before[1]))
    try:
        assert any("limits: blue-1 may open 1000 files" in line for line in machine.examine())
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_a_disk_without_room_for_a_copy_of_the_database_is_found(machine):
    with small_disk(machine.folder / "small", "size=1m") as disk:
        machine.set("central.env", "DATABASE", f"sqlite:///{disk}/central.db")

        assert any("less than a copy of the database needs" in line for line in machine.examine())


def test_an_empty_folder_is_no_machine(tmp_path):
    [found] = examine_machine(InstalledPlaces(settings=tmp_path), datetime.now(UTC))

    assert found.check == "settings"


class Elsewhere(BaseHTTPRequestHandler):
    """A centre of another version, an hour behind; and a router's metrics of another version."""

    def do_GET(self) -> None:
        said = {
            "/openapi.json": json.dumps({"info": {"version": "9.9.9"}}),
            "/metrics": 'linkrouter_build_info{process="router",python="3.11",version="9.9.9"} 1.0\n',
        }.get(self.path, "{}")
        self.send_response_only(200)
        self.send_header("Date", formatdate(time.time() - 3600, usegmt=True))
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def elsewhere(certificate: Path | None = None) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.handle_error = lambda *_: None
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_centre_on_another_clock_and_of_another_version_is_found(machine):
    with elsewhere() as port:
        machine.set("router.env", "INGEST_URL", f"http://127.0.0.1:{port}")
        findings = machine.examine()

    assert any("clock: this machine and the centre are +36" in line for line in findings)
    assert any("version: the centre is 9.9.9" in line for line in findings)


def test_a_centre_whose_certificate_nobody_signed_is_found(machine):
    with elsewhere(machine.haproxy / "localhost.pem") as port:
        machine.set("router.env", "INGEST_URL", f"https://localhost:{port}")

        assert any("centre: its certificate is not trusted" in line for line in machine.examine())


def test_routers_of_different_versions_are_found(machine):
    with elsewhere() as port:
        machine.set("green-1.env", "ADMIN_LISTEN", f"127.0.0.1:{port}")
        findings = machine.examine()

    assert any("version: routers are of different versions (blue-1 " in line for line in findings)
