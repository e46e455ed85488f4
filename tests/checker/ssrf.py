"""Ways to a private address, and a world in which it shows whether one was taken.

`python ssrf.py` runs inside a network namespace of its own (`unshare -n`), in which every address is this machine and
listens. It fetches every way and prints `{"ways": {url: reason}, "reached": [[address, port], …], "control": reason}`.
"""

import asyncio
import ipaddress
import itertools
import json
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, unquote

from linkrouter.checker.fetch.client import HttpClient
from linkrouter.checker.fetch.fetcher import Fetcher
from linkrouter.checker.fetch.limits import HostLimits
from linkrouter.checker.mail.extract import extract
from linkrouter.dial.resolve import resolve

PUBLIC = "11.0.0.1"  # answers, redirects and refreshes
PRIVATE = (
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.9.1"),
    *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1"),
    *("192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *(
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
    ),
    *("64:ff9b:1::7f00:1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1"),
    *("fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1"),
)
SPELLINGS = (
    *(
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "127.000.000.001",
        "0127.0.0.1",
        "0177.0.0.1",
        "0177.1",
        "0x7f.0.0.1",
        "0x7F.1",
    ),
    *(
        "0x7f000001",
        "0X7F000001",
        "2130706433",
        "017700000001",
        "0x7f.0x0.0x0.0x1",
        "127.0.0.0x1",
        "0",
        "0x0",
        "00",
        "0.",
    ),
    *("127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "①②⑦.⓪.⓪.①", "１２７.0.0.1", "%31%32%37.0.0.1", "127%2e0%2e0%2e1"),
    *(
        "127.0.0.1%00",
        "127.0.0.1%09",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::0001]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ),
    *(
        "[::FFFF:7F00:1]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "[::]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1%25lo]",
        "[::1%25lo]",
    ),
    *("localhost", "LOCALHOST", "localhost.", "ⓛocalhost", "a.localhost", "169.254.43518", "0xa9fea9fe", "2852039166"),
    *("0251.0376.0251.0376", "0xA9.254.169.254", "10.1", "0xa000001", "192.168.257", "3232235521", "user@127.0.0.1"),
    *("127.0.0.1:80", "127.0.0.1:443", "127.0.0.1:22", "127.0.0.1:6379", "127.0.0.1:8080", "[::1]:3128", "11.0.0.1:22"),
    *(
        "11.0.0.1:25",
        "11.0.0.1:6379",
        "11.0.0.1:8080",
        "11.0.0.1@127.0.0.1",
        "127.0.0.1#@11.0.0.1",
        "127.0.0.1\\@11.0.0.1",
    ),
)
MIXES = (
    (PUBLIC, "127.0.0.1"),
    ("127.0.0.1", PUBLIC),
    (PUBLIC, "169.254.169.254"),
    (PUBLIC, "::1"),
    ("2a00:1::1", "10.0.0.1"),
    ("2a00:1::1", "::ffff:10.0.0.1"),
    *((*(f"11.0.1.{number}" for number in range(1, count)), "10.0.0.1") for count in (2, 8, 17, 40)),
)
TARGETS = (
    *(
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://[::1]/",
    ),
    *(
        "http://[::ffff:7f00:1]/",
        "http://0/",
        "//127.0.0.1/",
        "\\\\127.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "http:127.0.0.1",
    ),
    *(
        "http:/127.0.0.1/",
        "http:///127.0.0.1/",
        "https:127.0.0.1/",
        "//[::1]:80/",
        "http://localhost/",
        "http://10.0.0.1/",
    ),
    *(
        "http://169.254.169.254/latest/meta-data",
        "http://user:pw@127.0.0.1/",
        "http://127.0.0.1:6379/",
        f"//{PUBLIC}:22/",
    ),
    *("http://private.test/", "https://private.test/", "http://mixed.test/", "http://rebinds.test/", "\t//127.0.0.1/"),
    *(
        "ht\ttp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/",
        "ftp://127.0.0.1/",
        "dict://127.0.0.1:11211/",
    ),
    *("data:text/html,x", "javascript:location='http://127.0.0.1/'", "http://①②⑦.0.0.1/", "http://127。0。0。1/"),
)
AIA = ("http://127.0.0.1/i", "http://[::1]/i", "http://private.test/i", "http://mixed.test/i", "http://rebinds.test/i")
AIA_REDIRECTS = ("http://10.0.0.1/", "http://127.0.0.1/")
HOSTILE_PORTS = (22, 25, 80, 443, 3128, 6379, 8080)


class Names:
    """What every name of the world resolves to; `rebinds…` answers differently each time."""

    def __init__(self) -> None:
        self.turn = itertools.count()
        self.fixed = {f"p{number}.test": (address,) for number, address in enumerate(PRIVATE)}
        self.fixed |= {f"m{number}.test": mix for number, mix in enumerate(MIXES)}
        self.fixed |= {"private.test": ("127.0.0.1",), "mixed.test": (PUBLIC, "10.0.0.1"), "localhost": ("127.0.0.1",)}

    async def resolve(self, host: str):
        host = host.rstrip(".")
        if host in self.fixed:
            return tuple(map(ipaddress.ip_address, self.fixed[host]))
        if host.startswith("rebinds"):
            return (ipaddress.ip_address(PUBLIC if next(self.turn) % 2 == 0 else "127.0.0.1"),)
        if host.endswith("localhost"):
            return (ipaddress.ip_address("127.0.0.1"),)
        return (ipaddress.ip_address(PUBLIC),) if host.endswith(".test") else await resolve(host)


def direct_ways():
    """Give the ways that need nobody's help: literals, names, mixes."""
    yield from (f"http://{spelling}/" for spelling in SPELLINGS)
    for address in PRIVATE:
        yield f"http://[{address}]/" if ":" in address else f"http://{address}/"
    for scheme in ("http", "https"):
        yield from (f"{scheme}://p{number}.test/" for number in range(len(PRIVATE)))
        yield from (f"{scheme}://m{number}.test/" for number in range(len(MIXES)))


def led_ways():
    """Give the ways by which a public server leads there: redirects, refreshes, rebinding, certificates."""
    for how in ("location", "refresh", "meta"):
        yield from (f"http://leads.test/{how}?{quote(target, safe='')}" for target in TARGETS)
    yield from (f"http://rebinds{number}.test/" for number in range(4))
    yield from (f"https://rebinds{number}.test/" for number in range(4, 6))
    yield from (f"http://leads.test/location?{quote(f'http://rebinds{n}.test/', safe='')}" for n in range(6, 9))
    yield from (f"https://aia{number}.test/" for number in range(len(AIA) + len(AIA_REDIRECTS)))


async def fetch_all(urls, names, ca_file=None):
    """Give what fetching each of *urls* ends with; "malformed" for what is not fetched at all."""
    client = HttpClient(resolve_host=names.resolve, ca_file=ca_file)
    fetcher = Fetcher(client, HostLimits(), lying_hosts={}, link_timeout_s=3.0)
    found = {}

    async def one(url):
        links = [link for link in extract(f'<a href="{url}">x</a>', "html") if link.settled is None]
        ends = [await fetcher.fetch(link.key, asyncio.get_running_loop().time() + 20) for link in links]
        found[url] = ends[0].reason if ends else "malformed"

    try:
        await asyncio.gather(*map(one, urls))
    finally:
        await client.close()
    return found


def answer(head: bytes) -> bytes:
    """Answer as the server that leads astray."""
    target = head.split(b" ")[1].decode()
    path, _, where = target.partition("?")
    where = unquote(where)
    extra, body = "", ""
    if path == "/location":
        return f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
    if path.startswith("/aia"):
        where = AIA_REDIRECTS[int(path[4:])]
        return f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
    if path == "/refresh":
        extra = f"Refresh: 0; url={where}\r\n"
    if path == "/meta":
        body = f"<meta http-equiv=refresh content=\"0; url='{where}'\">"
    if head.startswith(b"HEAD"):
        body = ""
    extra += f"Content-Type: text/html\r\nContent-Length: {len(body.encode())}\r\n"
    return f"HTTP/1.1 200 OK\r\n{extra}\r\n{body}".encode()


class World:
    """Listeners on every address and port; `reached` are the ones that a fetcher must not touch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reached = []

    async def open(self):
        for port in HOSTILE_PORTS:
            tls = self._tls() if port == 443 else None
            await asyncio.start_server(self._connected, ["0.0.0.0", "::"], port, ssl=tls)

    async def _connected(self, reader, writer):
        address, port = writer.get_extra_info("sockname")[:2]
        if port not in (80, 443) or not (address == PUBLIC or address.startswith(("11.0.1.", "2a00:"))):
            self.reached.append([address, port])
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer(head))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _tls(self):
        """Give a context whose certificates, one for each name, say that their issuer is at a private address."""
        self._run(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca"
        )
        addresses = [*AIA, *(f"http://leads.test/aia{number}" for number in range(len(AIA_REDIRECTS)))]
        contexts = {f"aia{number}.test": self._signed(number, address) for number, address in enumerate(addresses)}
        plain = self._signed(99, "http://127.0.0.1/i")

        def choose(tls, name, _):
            tls.context = contexts.get(name, plain)

        plain.sni_callback = choose
        return plain

    def _signed(self, number, aia):
        (self.folder / "x").write_text(f"subjectAltName=DNS:*.test\nauthorityInfoAccess=caIssuers;URI:{aia}\n")
        self._run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{number}.key", "-out", "s.csr", "-subj", "/CN=x")
        self._run("x509", "-req", "-in", "s.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                  "-extfile", "x", "-out", f"{number}.pem", "-days", "30")  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{number}.pem", self.folder / f"{number}.key")
        return context

    def _run(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)


async def main():
    """Fetch every way, and print what came of it."""
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name))
        await world.open()
        names = Names()
        control = await fetch_all(["http://public.test/", f"http://{PUBLIC}/"], names)
        ways = await fetch_all([*direct_ways(), *led_ways()], names)
        await asyncio.sleep(0.2)
        print(json.dumps({"ways": ways, "reached": world.reached, "control": control}))


if __name__ == "__main__":
    for line in (
        "ip link set lo up",
        "ip route add local 0.0.0.0/0 dev lo",
        "ip -6 route add local ::/0 dev lo",
        "sysctl -qw net.ipv4.ip_unprivileged_port_start=0",
    ):
        subprocess.run(line.split(), check=False, capture_output=True)
    sys.exit(asyncio.run(main()))
