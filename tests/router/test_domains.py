"""Own domains: what their file may hold, and whose links each host serves, over real sockets."""

import json
import re

import pytest

from linkrouter.errors import SettingsError
from linkrouter.router.domains import Domains, load_domains, reload_domains

OWN, OTHER, COMMON = "links.seven.example", "go.eight.example", "click.example.com"
AASA = json.dumps({"applinks": {"details": []}}).encode()
LINKS = json.dumps([{"relation": ["delegate_permission/common.handle_all_urls"]}]).encode()
DOMAINS = Domains(
    {OWN: 7, "second.seven.example": 7, OTHER: 8},
    {(OWN, "/.well-known/apple-app-site-association"): AASA, (OWN, "/.well-known/assetlinks.json"): LINKS},
)


def request(path, host, method="GET"):
    line = f"Host: {host}\r\n" if host is not None else ""
    return f"{method} {path} HTTP/1.1\r\n{line}Connection: close\r\n\r\n".encode()


async def status(router, path, host, **more):
    return int((await router.talk(request(path, host, **more))).split()[1])


@pytest.mark.parametrize("direct_answers", [True, False])
@pytest.mark.parametrize(
    ("host", "served"),
    [
        (OWN, {7}),
        (OWN.upper() + ":443", {7}),
        (OWN + ".", {7}),
        ("second.seven.example", {7}),
        (OTHER, {8}),
        (COMMON, {0, 9}),
        ("127.0.0.1:8080", {0, 9}),
        ("[::1]:8080", {0, 9}),
        ("", {0, 9}),
    ],
)
async def test_a_host_serves_its_tenants_links_and_a_tenant_its_hosts(start_router, host, served, direct_answers):
    router = await start_router(direct_answers=direct_answers)
    router.responder.domains = DOMAINS

    found = {
        tenant
        for tenant in (0, 7, 8, 9)
        if await status(router, router.ring.sign("https://example.com/", tenant=tenant), host) == 302
    }

    assert found == served
    assert {click.tenant for click in router.clicks} == served
    assert router.metrics.counter("linkrouter_requests")["not_found"] == 4 - len(served)


async def test_a_link_at_the_wrong_host_gets_the_page_of_any_other_404(start_router):
    router = await start_router()
    router.responder.domains = DOMAINS
    path = router.ring.sign("https://example.com/", tenant=8)

    wrong, forged = [
        (await router.talk(request(one, OWN))).partition(b"\r\n\r\n")[2] for one in (path, path[:-2] + "AA")
    ]

    assert wrong == forged


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/.well-known/apple-app-site-association", AASA),
        ("/.well-known/apple-app-site-association?a=b", AASA),
        ("/.well-known/assetlinks.json", LINKS),
    ],
)
async def test_app_files_are_served_as_they_are_and_without_a_redirect(start_router, path, content, method):
    router = await start_router()
    router.responder.domains = DOMAINS

    head, _, body = (await router.talk(request(path, OWN, method))).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert f"\r\nContent-Length: {len(content)}\r\n".encode() in head
    assert body == (content if method == "GET" else b"")
    assert router.clicks == []
    assert router.metrics.counter("linkrouter_requests")["app_file"] == 1


@pytest.mark.parametrize("host", [OTHER, COMMON, ""])
async def test_app_files_are_those_of_their_domain_alone(start_router, host):
    router = await start_router()
    router.responder.domains = DOMAINS

    assert await status(router, "/.well-known/assetlinks.json", host) == 404


async def test_the_routers_own_paths_are_the_same_everywhere(start_router):
    router = await start_router()
    router.responder.domains = DOMAINS

    assert [await status(router, path, OWN) for path in ("/-/ready", "/robots.txt", "/x")] == [200, 200, 404]


@pytest.fixture
def write(tmp_path):
    def write(text, /, **files):
        for name, content in files.items():
            (tmp_path / f"{name}.json").write_bytes(content)
        (tmp_path / "domains.toml").write_text(text)
        return tmp_path / "domains.toml"

    return write


def test_reads_domains_and_the_files_beside_them(write):
    text = f'[domains."{OWN}"]\ntenant = 7\napple_app_site_association = "aasa.json"\nassetlinks = "links.json"\n'
    path = write(text + '[domains."GO.eight.example"]\ntenant = 8\n', aasa=AASA, links=LINKS)

    domains = load_domains(path)

    assert domains is not None
    assert domains.tenants == {OWN: 7, OTHER: 8}
    assert domains.files == DOMAINS.files
    assert AASA.decode() not in repr(domains)
    assert OWN not in repr(domains)


def test_domains_that_say_the_same_have_one_fingerprint_and_no_others(write):
    entries = [TABLE, f'[domains."{OTHER}"]\ntenant = 8\nassetlinks = "links.json"\n']
    same = load_domains(write("# another way to write it\n" + "".join(reversed(entries)), links=LINKS))
    before = load_domains(write("".join(entries), links=LINKS))
    moved = load_domains(write("".join(entries).replace("8", "9"), links=LINKS))
    edited = load_domains(write("".join(entries), links=b"[]"))

    assert before.fingerprint == same.fingerprint
    assert len({before.fingerprint, moved.fingerprint, edited.fingerprint}) == 3


def test_without_a_file_there_are_no_domains():
    assert load_domains(None) is None


TABLE = f'[domains."{OWN}"]\ntenant = 7\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must hold"),
        ("domains = 1", "must hold"),
        (TABLE + "[more]\na = 1", "must hold"),
        ("[domains", "is not TOML"),
        (TABLE + TABLE, "names a domain twice"),
        (TABLE + TABLE.replace(OWN, OWN.upper()), "stands there twice"),
        (TABLE.replace(OWN, "https://a.example"), "is not a host name"),
        (TABLE.replace(OWN, "a.example:443"), "is not a host name"),
        (TABLE.replace(OWN, "bücher.example"), "is not a host name"),
        (TABLE.replace(OWN, "*.example.com"), "is not a host name"),
        (TABLE.replace(OWN, "localhost"), "is not a host name"),
        (TABLE.replace(OWN, "127.0.0.1"), "is not a host name"),
        (TABLE.replace("7", '"7"'), "must have a tenant"),
        (TABLE.replace("7", "-1"), "must have a tenant"),
        (TABLE.replace("7", "true"), "must have a tenant"),
        (f'[domains."{OWN}"]\n', "must have a tenant"),
        (TABLE + "tenants = 1", "and nothing else"),
        (f'[domains]\n"{OWN}" = 7', "and nothing else"),
        (TABLE + "assetlinks = 1", "must have the name of a file"),
        (TABLE + 'assetlinks = "nothing.json"', "cannot be read"),
        (TABLE + 'assetlinks = "a\\u0000b"', "cannot be read"),
        (TABLE + 'assetlinks = "object.json"', "is not a JSON array"),
        (TABLE + 'apple_app_site_association = "array.json"', "is not a JSON object"),
        (TABLE + 'apple_app_site_association = "text.json"', "is not a JSON object"),
        (TABLE + 'apple_app_site_association = "latin.json"', "is not a JSON object"),
        (TABLE + 'apple_app_site_association = "large.json"', "larger than 128 KB"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_one_line_that_says_why(write, text, words):
    files = {"object": b"{}", "array": b"[]", "text": b"<html>", "latin": b'{"a": "\xe4"}', "large": b" " * 200_000}
    path = write(text, **files)

    with pytest.raises(SettingsError) as caught:
        load_domains(path)

    assert str(caught.value).startswith("DOMAINS: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert reload_domains(path, DOMAINS) is DOMAINS


def test_a_reload_takes_a_file_that_is_well(write):
    domains = reload_domains(write(TABLE), DOMAINS)

    assert domains is not None
    assert domains.tenants == {OWN: 7}


def test_the_file_is_read_again_at_sighup_and_a_bad_one_keeps_the_old(home):
    from signal import SIGHUP

    from processes import fetch, free_port, wait_until

    from linkrouter.link import Keyring

    path, port = Keyring.load(home.path / "keys.json").sign("https://example.com/", tenant=7), free_port()
    admin = free_port()
    file = home.path / "domains.toml"
    file.write_text(TABLE)
    router = home.start_router(port, "--domains", "domains.toml", "--admin-listen", f"127.0.0.1:{admin}")

    def in_use():
        said = fetch(f"http://127.0.0.1:{admin}/metrics")[2].decode()
        return re.findall(r'linkrouter_domains_info\{fingerprint="(\w+)"\} 1\.0', said)

    def listed():
        return json.loads(home.run("domains", "list", "domains.toml", "--json").stdout)

    def answers():
        return [fetch(f"http://127.0.0.1:{port}{path}", headers={"Host": host})[0] for host in (OWN, OTHER)]

    assert answers() == [302, 404]
    assert in_use() == [listed()["fingerprint"]]
    file.write_text("[domains")
    router.send_signal(SIGHUP)
    wait_until(lambda: '"domains.kept"' in home.log())
    assert answers() == [302, 404]
    file.write_text(TABLE.replace(OWN, OTHER))
    router.send_signal(SIGHUP)
    wait_until(lambda: answers() == [404, 302])
    assert in_use() == [listed()["fingerprint"]]
    assert listed()["domains"] == [{"name": OTHER, "tenant": 7, "files": []}]
    assert home.run("domains", "list", "domains.toml").stdout == f"{OTHER}  tenant 7\n".encode()
    file.write_text("")
    refused = home.run("router", "--keys", "keys.json", "--domains", "domains.toml", "--workers", "2", check=False)
    assert (refused.returncode, refused.stderr.count(b"\n")) == (3, 1)
    assert refused.stderr.startswith(b"linkrouter: DOMAINS: ")
