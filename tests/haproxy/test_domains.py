"""Own domains from nothing to nothing: certificates of a real ACME authority, under load, and all that can go wrong."""

import asyncio
import json
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from haproxy.authority import World, why_no_authority
from haproxy.load import HOST, Load
from haproxy.machine import edit_top, make_certificate
from haproxy.networks import run_inside
from processes import HANG_S, wait_until

OWN, OTHER = "links.customer.example", "go.other.example"
APP_FILES = ("/.well-known/apple-app-site-association", ASSETLINKS := "/.well-known/assetlinks.json")
MAKE = "from haproxy.machine import Path, make_certificate; make_certificate(Path({folder!r}), {name!r})"
STUBBORN = """
import os, sys
if sys.argv[1] == "reload":
    sys.exit(1)
os.execv(sys.executable, [sys.executable, os.path.join(os.path.dirname(sys.argv[0]), "starter.py"), *sys.argv[1:]])
"""
AASA, LINKS = b'{"applinks": {"details": []}}', b"[ ]\n"
RATE = 100.0


@pytest.fixture(scope="module")
def world(make_machine, tmp_path_factory):
    if why := why_no_authority():
        pytest.skip(why)
    world = World(tmp_path_factory.mktemp("world"))
    try:
        try:
            world.make_network()
        except subprocess.CalledProcessError as exc:
            pytest.skip(f"this machine makes no network namespaces: {exc.stderr.decode().strip()}")
        world.begin(make_machine)
        (world.home / "aasa.json").write_bytes(AASA)
        (world.home / "links.json").write_bytes(LINKS)
        yield world
    finally:
        world.end()


class Recipients:
    """People who follow links of all tenants all the time; `outcomes` is what became of each request."""

    def __init__(self, world):
        machine = world.machine
        self._load = Load((machine.address, 443), machine.home / f"{HOST}.crt", RATE, machine.link)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: run_inside(world.namespace, lambda: asyncio.run(self._run())))
        self.outcomes = self._load.outcomes

    def __enter__(self):
        self._thread.start()
        wait_until(lambda: self.outcomes)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    async def _run(self):
        stop = asyncio.Event()
        running = asyncio.create_task(self._load.run(stop, 300))
        while not self._stop.is_set():
            await asyncio.sleep(0.05)
        stop.set()
        await running


def talk(world, host, path, port=443):
    """Ask for *path* of *host* as a browser that trusts the authority; give head and body."""

    def ask():
        with socket.create_connection(("127.0.0.1", port), timeout=HANG_S) as raw:
            tls = ssl.create_default_context(cafile=world.ca)
            with raw if port == 80 else tls.wrap_socket(raw, server_hostname=host) as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                said = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = said.partition(b"\r\n\r\n")
        return head.decode(), body

    return run_inside(world.namespace, ask)


def status(world, host, path, **more):
    return int(talk(world, host, path, **more)[0].split()[1])


def serial(world, host):
    """Give the serial number of the certificate that is shown for *host*."""

    def look():
        raw = socket.create_connection(("127.0.0.1", 443), timeout=HANG_S)
        with raw, ssl.create_default_context(cafile=world.ca).wrap_socket(raw, server_hostname=host) as connection:
            return connection.getpeercert()["serialNumber"]

    return run_inside(world.namespace, look)


def what_stands(world):
    """Give every file that serving domains depends on."""
    folders = (world.machine.home, world.home)
    files = [
        path for folder in folders for path in folder.iterdir() if path.suffix in {".txt", ".pem", ".toml", ".json"}
    ]
    return {path: path.read_bytes() for path in files}


def complaint(done):
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def find_parts(done):
    return {finding["part"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_a_domain_is_added_renewed_and_removed_without_a_lost_request(world):
    paths = {tenant: world.machine.keyring.sign("https://example.com/", tenant=tenant) for tenant in (0, 7)}
    before, files = what_stands(world), ("--apple-app-site-association", world.home / "aasa.json")

    with Recipients(world) as recipients:
        added = world.deploy("domain", "add", OWN, "--tenant", "7", *files, "--assetlinks", world.home / "links.json")
        statuses = {(host, tenant): status(world, host, paths[tenant]) for host in (OWN, HOST) for tenant in paths}
        app_files = [talk(world, OWN, name) for name in APP_FILES]
        plain = status(world, OWN, "/", port=80)
        listed = json.loads(world.deploy("domain", "list", "--json").stdout)
        first = serial(world, OWN)
        renewed = world.renew(OWN)
        second = serial(world, OWN)
        checked = world.deploy("domain", "check", OWN)
        removed = world.deploy("domain", "remove", OWN)

    assert (added.returncode, added.stdout) == (0, ""), added.stderr
    assert "links of tenant 7 that were sent under other names are 404 from now on" in added.stderr
    assert statuses == {(OWN, 7): 302, (OWN, 0): 404, (HOST, 7): 404, (HOST, 0): 302}
    assert [body for _, body in app_files] == [AASA, LINKS]
    assert all("content-type: application/json" in head.lower() for head, _ in app_files)
    assert plain == 308
    assert listed["domains"][0] | {"fault": None} == listed["domains"][0]
    assert (listed["domains"][0]["name"], listed["domains"][0]["tenant"]) == (OWN, 7)
    assert listed["domains"][0]["certificate_days"] in (89, 90)
    assert renewed.returncode == 0, renewed.stderr
    assert first != second
    assert (checked.returncode, checked.stdout) == (0, f"{OWN} is well\n")
    assert removed.returncode == 0, removed.stderr
    assert what_stands(world) == before
    assert not (world.home / "letsencrypt" / "renewal" / f"{OWN}.conf").exists()
    assert status(world, HOST, paths[7]) == 302
    assert len(recipients.outcomes) > RATE
    assert [outcome for outcome in recipients.outcomes if not outcome.is_good] == []


@pytest.fixture(scope="module")
def domain(world):
    """A domain of tenant 8 with app files and a certificate of the operator's own; it can be broken, and is mended."""
    pem = make_certificate(world.home, OTHER)
    pem.write_bytes(b"# bought for it\n\n" + pem.read_bytes().replace(b"-----\n-----", b"-----\n\n-----"))
    world.trust(world.home / f"{OTHER}.crt")
    files = ("--apple-app-site-association", world.home / "aasa.json", "--assetlinks", world.home / "links.json")
    # As a call leaves it that was killed before the last step:
    for name, line in (("names.txt", OTHER), ("crt-list.txt", world.machine.home / f"{OTHER}.pem")):
        path = world.machine.home / name
        path.write_text(f"{path.read_text()}{line}\n")
    added = world.deploy("domain", "add", OTHER.upper() + ".", "--tenant", "8", "--certificate", pem, *files)
    assert added.returncode == 0, added.stderr
    assert (world.machine.home / "names.txt").read_text().count(OTHER) == 1
    assert (world.machine.home / "crt-list.txt").read_text().count(OTHER) == 1
    return OTHER


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", OTHER, "--tenant", "9"), "already, with tenant 8"),
        (("add", HOST, "--tenant", "9"), "serves the canaries, and so all tenants"),
        (("add", "new example", "--tenant", "9"), "'new example' is not a host name"),
        (("add", "new.example", "--tenant", "-1"), "must have a tenant"),
        (("add", "new.example", "--tenant", "9", "--assetlinks", "aasa.json"), "is not a JSON array in UTF-8"),
        (("add", "new.example", "--tenant", "9", "--assetlinks", "nowhere.json"), "cannot be read"),
        (("add", "new.example", "--tenant", "9", "--certificate", "mixed.pem"), "has another key"),
        (("add", "new.example", "--tenant", "9", "--certificate", "aasa.json"), "holds no certificate with its key"),
        (("add", "new.example", "--tenant", "9", "--certificate", "nowhere.pem"), "cannot be read"),
        (("add", "new.example", "--tenant", "9", "--certificate", f"{OTHER}.pem"), "not valid for 'new.example'"),
        (("add", "new.example", "--tenant", "9", "--certificate", "new.pem"), "self-signed certificate"),
        (("add", "nowhere.example", "--tenant", "9"), "could not resolve URL"),
        (("remove", "new.example"), "is no own domain here"),
        (("check", "new.example"), "is no own domain here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_refused_is_one_line_and_changes_nothing(world, domain, arguments, words):
    make_certificate(world.home, "new.example").rename(world.home / "new.pem")
    foreign = (world.home / "new.example.key").read_bytes()
    (world.home / "mixed.pem").write_bytes((world.home / f"{OTHER}.crt").read_bytes() + foreign)
    world.lead("nowhere.example")
    before = what_stands(world)

    given = [world.home / one if one.endswith((".json", ".pem")) else one for one in arguments]
    done = world.deploy("domain", *given)

    assert done.returncode == 3, done.stderr
    assert words in complaint(done)
    assert done.stderr.count("\n") == 1
    assert what_stands(world) == before


def test_without_certbot_its_cure_is_said(world, domain):
    before = what_stands(world)

    done = world.deploy("--certbot", "no-such-certbot", "domain", "add", "new.example", "--tenant", "9")

    assert done.returncode == 3
    assert "run 'apt-get install certbot'" in complaint(done)
    assert what_stands(world) == before


@pytest.mark.parametrize("action", ["add", "remove"])
def test_what_a_router_does_not_take_over_is_put_back(world, domain, action):
    (world.machine.home / "stubborn.py").write_text(STUBBORN)
    pem = make_certificate(world.home, "new.example").rename(world.home / "new.pem")
    world.trust(world.home / "new.example.crt")
    before = what_stands(world)
    more = ("new.example", "--tenant", "9", "--certificate", str(pem)) if action == "add" else (domain,)

    done = world.deploy(
        "--service-manager", f"{sys.executable} {world.machine.home}/stubborn.py", "domain", action, *more
    )
    wait_until(lambda: world.deploy("domain", "check", domain).returncode == 0)

    assert done.returncode == 3
    assert "reload linkrouter-blue@1.service" in complaint(done)
    assert "everything is as it was" in complaint(done)
    assert what_stands(world) == before
    assert "new.example" not in world.machine.ask_haproxy(f"show ssl cert {world.machine.home}/new.example.pem")
    assert "match=no" in world.machine.ask_haproxy(f"get acl {world.machine.home}/names.txt new.example")


def test_a_check_names_all_that_is_wrong_with_its_cures(world, domain):
    machine, config = world.machine, world.machine.config.read_text()
    assert world.deploy("domain", "check", domain).returncode == 0
    before = what_stands(world)

    world.lead(domain, "127.0.0.2")
    wrong = (world.home / "new.example.crt").read_bytes() + (world.home / "new.example.key").read_bytes()
    (machine.home / f"{domain}.pem").write_bytes(wrong)
    (machine.home / "names.txt").write_text(f"{HOST}\n")
    machine.config.write_text(edit_top(config, {"HSTS": "max-age=60"}))
    machine.reload_haproxy()
    (world.home / f"{domain}.assetlinks.json").write_text("[1]")
    world.domains.write_text(world.domains.read_text().replace("tenant = 8", "tenant = 9"))
    found = find_parts(world.deploy("domain", "check", domain, "--json"))
    told = world.deploy("domain", "check", domain)
    world.lead(domain)
    lost = find_parts(world.deploy("domain", "check", domain, "--json"))

    assert set(found) == {"dns", "redirect to HTTPS", "certificate", "routers", "links", "HSTS", "app files"}
    assert "leads to 127.0.0.2" in found["dns"]["what"]
    assert found["dns"]["cure"] == f"let its owner make it a CNAME of {HOST}"
    assert "mismatch" in found["certificate"]["what"]
    assert "uses other own domains than the file" in found["routers"]["what"]
    assert found["routers"]["cure"] == "run 'linkrouter-deploy reload'"
    assert f"{domain}.assetlinks.json" in found["app files"]["what"]
    assert told.returncode == 1
    assert "HSTS: browsers are not told" in told.stdout
    assert "has no address" in lost["dns"]["what"]

    for path, content in before.items():
        path.write_bytes(content)
    machine.config.write_text(config)
    machine.reload_haproxy()
    world.lead(domain, "127.0.0.1")
    assert world.deploy("domain", "check", domain).returncode == 0


def test_a_certificate_that_ends_soon_is_a_finding_and_a_renewal_that_fits_nothing_is_refused(world, domain):
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed; run: apt-get install faketime")
    lineage = world.home / "lineages" / domain
    lineage.mkdir(parents=True)
    subprocess.run(
        ["faketime", "-80 days", sys.executable, "-c", MAKE.format(folder=str(lineage), name=domain)],
        check=True,
        env={**world.environment, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    (lineage / f"{domain}.crt").rename(lineage / "fullchain.pem")
    (lineage / f"{domain}.key").rename(lineage / "privkey.pem")
    world.trust(lineage / "fullchain.pem")

    taken = world.deploy("certificate", str(lineage))
    found = find_parts(world.deploy("domain", "check", domain, "--json"))
    refused = world.deploy("certificate", str(lineage.rename(lineage.with_name("else.example"))))

    assert taken.returncode == 0, taken.stderr
    assert set(found) == {"certificate"}
    assert found["certificate"]["what"] in ("it ends in 9 days", "it ends in 10 days")
    assert found["certificate"]["cure"] == f"run 'certbot renew --cert-name {domain}', and see what it says"
    assert refused.returncode == 3
    assert "not valid for 'else.example'" in complaint(refused)


def test_what_one_machine_serves_the_others_serve_too(world, domain, make_machine):
    (world.home / "second").mkdir()
    other = world.add_machine(make_machine, world.home / "second" / "domains.toml", keyring=world.machine.keyring)
    (world.home / "reach.py").write_text("import os, sys\nos.execv(sys.argv[1], sys.argv[1:])\n")
    reach = f"{sys.executable} {world.home}/reach.py {shlex.join(world.deploy_command(machine=other))}"
    machines, port = world.machine.home / "machines", other.ports["https"]
    pem = make_certificate(world.home, "two.example").rename(world.home / "two.pem")
    world.trust(world.home / "two.example.crt")
    path = world.machine.keyring.sign("https://example.com/", tenant=8)

    def deploy(*arguments):
        return world.deploy("--reach", reach, "domain", *arguments)

    machines.write_text("local\nother\n")
    added = deploy(
        "add", "two.example", "--tenant", "8", "--certificate", str(pem), "--assetlinks", world.home / "links.json"
    )
    served = (status(world, "two.example", path, port=port), talk(world, "two.example", ASSETLINKS, port=port)[1])
    again = deploy("push", "two.example")
    machines.write_text("local\nother\nnowhere\n")
    removed = world.deploy("--reach", f"{reach} --socket /nowhere/{{machine}}", "domain", "remove", "two.example")
    late = world.domains.with_name("second").joinpath("domains.toml").read_text()
    machines.write_text("local\nother\n")
    pushed = deploy("push", "two.example")
    machines.unlink()

    assert added.returncode == again.returncode == pushed.returncode == 0, added.stderr + again.stderr + pushed.stderr
    assert served == (302, LINKS)
    assert removed.returncode == 3
    assert "other: haproxy does not answer" in complaint(removed)
    assert complaint(removed).endswith("run 'linkrouter-deploy domain push two.example'")
    assert "two.example" in late
    assert "two.example" not in (world.home / "second" / "domains.toml").read_text()
    assert not (other.home / "two.example.pem").exists()


def test_without_the_setting_it_is_named(world, domain):
    settings = world.machine.home / "router.env"
    kept = settings.read_text()
    settings.write_text("")

    done = world.deploy("domain", "list")
    settings.write_text(kept)

    assert done.returncode == 3
    assert "LINKROUTER_DOMAINS is not set" in complaint(done)
