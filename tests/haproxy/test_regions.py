"""Three regions and a centre, each in a network of its own: cut off from one another, each goes on serving."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from statistics import median

import pytest
from haproxy.load import HOST, Load
from haproxy.machine import CENTRE, ROOT
from haproxy.networks import ip, run_inside, why_no_networks
from haproxy.resolving import resolve, watch
from processes import wait_until

from linkrouter.link.codec import encode_base64url

REGIONS = {"ams": 1, "nyc": 2, "sgp": 3}
PREFIX = f"lr{os.getpid() % 10000}"


def connect_networks():
    """Make a hub with a bridge, and for the centre and each region a network that is plugged into it."""
    ip("netns", "add", f"{PREFIX}-hub")
    ip("-n", f"{PREFIX}-hub", "link", "add", "hub", "type", "bridge")
    ip("-n", f"{PREFIX}-hub", "address", "add", "10.99.0.254/24", "dev", "hub")
    ip("-n", f"{PREFIX}-hub", "link", "set", "hub", "up")
    ip("-n", f"{PREFIX}-hub", "link", "set", "lo", "up")
    for name, number in {"centre": 100, **REGIONS}.items():
        ip("netns", "add", f"{PREFIX}-{name}")
        ip("-n", f"{PREFIX}-hub", "link", "add", name, "type", "veth", "peer", "eth0", "netns", f"{PREFIX}-{name}")
        ip("-n", f"{PREFIX}-hub", "link", "set", name, "master", "hub", "up")
        ip("-n", f"{PREFIX}-{name}", "address", "add", f"10.99.0.{number}/24", "dev", "eth0")
        ip("-n", f"{PREFIX}-{name}", "link", "set", "eth0", "up")
        ip("-n", f"{PREFIX}-{name}", "link", "set", "lo", "up")


def plug(name, state):
    """Plug a network into the hub ("up"), or unplug it ("down"): its packets vanish, nobody is told."""
    ip("-n", f"{PREFIX}-hub", "link", "set", name, state)


def inside(name, function):
    """Run *function* where its sockets are made in the network of *name*."""
    return run_inside(f"{PREFIX}-{name}", function)


@pytest.fixture(scope="module")
def networks():
    """The networks, where this machine lets us make some."""
    if why := why_no_networks():
        pytest.skip(why)
    try:
        connect_networks()
    except subprocess.CalledProcessError as exc:
        pytest.skip(f"this machine makes no network namespaces: {exc.stderr.decode().strip()}")
    finally_remove = [f"{PREFIX}-{name}" for name in ("hub", "centre", *REGIONS)]
    yield
    for name in finally_remove:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("netns", "delete", name)


@pytest.fixture(scope="module")
def world(networks, make_machine):
    """A centre and three regions that share its keys and tokens, as an installation's machines do."""
    centre = make_machine(address="10.99.0.100", namespace=f"{PREFIX}-centre")
    centre.start(CENTRE)
    regions = {}
    for name, number in REGIONS.items():
        regions[name] = make_machine(
            address=f"10.99.0.{number}",
            namespace=f"{PREFIX}-{name}",
            centre_url=f"http://10.99.0.100:{centre.ports['centre']}",
            keyring=centre.keyring,
            ports={"http": 80, "https": 443},
        )
        shutil.copy(centre.home / "ingest-token", regions[name].home / "ingest-token")
        regions[name].sign_number = number * 1_000_000
        regions[name].begin()
    return centre, regions


def click_in(region, count=60, rate=100.0):
    """Follow links of *region* from the hub, where the recipients are; give the outcomes."""

    def run():
        load = Load((region.address, region.ports["https"]), region.home / f"{HOST}.crt", rate, region.link)
        return asyncio.run(load.run(asyncio.Event(), count / rate))

    return inside("hub", run)


def arrived(centre, outcomes):
    """Tell whether the centre has each answered click, and give how often it has each."""
    wanted = {encode_base64url(outcome.number.to_bytes(8, "big")) for outcome in outcomes if outcome.is_good}
    links = [click["link_id"] for click in inside("centre", centre.clicks) if click["link_id"] in wanted]
    return len(links) == len(set(links)) == len(wanted)


def test_every_region_serves_and_the_centre_gets_every_click(world):
    centre, regions = world

    outcomes = [outcome for region in regions.values() for outcome in click_in(region)]

    assert all(outcome.is_good for outcome in outcomes)
    wait_until(lambda: arrived(centre, outcomes))


def test_regions_serve_while_the_centre_is_cut_off_and_send_everything_afterwards(world):
    centre, regions = world

    plug("centre", "down")
    outcomes = [outcome for region in regions.values() for outcome in click_in(region)]
    plug("centre", "up")

    assert all(outcome.is_good for outcome in outcomes)
    wait_until(lambda: arrived(centre, outcomes), timeout_s=60)


def test_a_region_that_is_cut_off_costs_only_itself_and_forgets_nothing(world):
    centre, regions = world
    before = click_in(regions["nyc"], count=90)  # some of these are on their way to the centre still

    plug("nyc", "down")
    others = [outcome for name in ("ams", "sgp") for outcome in click_in(regions[name])]
    black_hole = click_in(regions["nyc"], count=3)
    plug("nyc", "up")
    after = click_in(regions["nyc"])

    assert all(outcome.is_good for outcome in (*before, *others, *after))
    assert [outcome.status for outcome in black_hole] == [0] * len(black_hole)
    wait_until(lambda: arrived(centre, [*before, *others, *after]), timeout_s=60)


@pytest.fixture
def dns(world, tmp_path):
    """The address of a server with the shipped zone, from where the recipients are."""
    if shutil.which("pdns_server") is None:
        pytest.skip("pdns_server is not installed; run: apt-get install pdns-server pdns-backend-bind")
    for path in (ROOT / "deploy" / "regions").iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace("/etc/powerdns", str(tmp_path)))
    options = (f"--config-dir={tmp_path}", f"--socket-dir={tmp_path}", "--guardian=no", "--daemon=no")
    inside_hub = ("ip", "netns", "exec", f"{PREFIX}-hub")
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen([*inside_hub, "pdns_server", *options], stdout=log, stderr=log)
    yield "10.99.0.254"
    server.kill()
    server.wait()


@pytest.mark.faults
def test_dns_leads_away_from_a_region_that_is_lost_and_back_to_it(world, dns):
    """Prints what a recipient waited, which docs quote; the shipped zone and its times are used as they are."""
    _, regions = world
    times = {}

    async def events():
        await asyncio.sleep(5)
        times["lost"] = time.monotonic()
        plug("ams", "down")
        await asyncio.sleep(60)
        times["back"] = time.monotonic()
        plug("ams", "up")

    def run():
        def leads_to(address):
            with contextlib.suppress(OSError):
                return resolve(dns)[0] == [address]

        wait_until(lambda: leads_to("10.99.0.1"), 30)
        ca = make_ca(regions)
        return asyncio.run(watch(dns, ca, 12, resolve(dns)[1], 125, events))

    recipients = inside("hub", run)

    waited = sorted(recipient.waited_s(times["lost"]) for recipient in recipients)
    back = sorted(recipient.moved_s({"10.99.0.1"}, times["back"]) for recipient in recipients)
    for name, values in (("without a region", waited), ("until it serves again", back)):
        print(f"{name}: median {median(values):.0f} s, longest {values[-1]:.0f} s, of {len(values)} recipients")
    assert waited[-1] < 50
    assert back[-1] < 50


def make_ca(regions):
    """Write the certificates of all regions into one file, for whoever trusts them all."""
    path = regions["ams"].home / "all.crt"
    path.write_text("".join((region.home / f"{HOST}.crt").read_text() for region in regions.values()))
    return path
