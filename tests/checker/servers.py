"""Loopback servers for the tests: polite ones (aiohttp) and hostile ones (raw sockets)."""

import asyncio
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
from aiohttp import web
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from processes import room

from linkrouter.checker.fetch.client import HttpClient
from linkrouter.checker.fetch.fetcher import Fetcher
from linkrouter.checker.fetch.limits import HostLimits

LOOPBACK = (ip_network("127.0.0.0/8"),)


@asynccontextmanager
async def site(handler, *, host="127.0.0.1", tls=None, port=0):
    """Serve *handler*, a function of the request, for every path; gives the origin and the list of its requests."""
    seen = []

    async def answer(request):
        seen.append((request.method, request.raw_path))
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        listening = web.TCPSite(runner, host, port, ssl_context=tls)
        await listening.start()
        number = listening._server.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://{host}:{number}", seen
    finally:
        await runner.cleanup()


def status(number, **options):
    """Give a handler that always answers so."""

    async def handler(_):
        return web.Response(status=number, **options)

    return handler


@asynccontextmanager
async def raw(talk, *, host="127.0.0.1"):
    """Serve *talk*, a coroutine function of reader and writer; gives the origin and the first lines of its requests."""
    seen = []

    async def connected(reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head.split(b"\r\n")[0].decode("latin-1"))
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, 0)
    try:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()


def answering(data):
    """Talk that answers *data* and closes."""

    async def talk(_, writer):
        writer.write(data)
        await writer.drain()

    return talk


@asynccontextmanager
async def fetching(*, allowed=LOOPBACK, local=True, limits=None, within_s=None, resolve_host=None, tls=None, **options):
    """Give a function from a URL to what fetching it gives."""
    names = {} if resolve_host is None else {"resolve_host": resolve_host}
    client = HttpClient(allowed, ca_file=tls, **names)
    fetcher = Fetcher(
        client, limits or HostLimits(), lying_hosts=options.pop("lying_hosts", {}), local=local, **options
    )
    try:
        yield lambda url: fetcher.fetch(url, asyncio.get_running_loop().time() + (within_s or 20.0 * room()))
    finally:
        await client.close()


def answer_h2(connection, event, requests):
    """React to a request with 200."""
    connection.send_headers(event.stream_id, [(":status", "200")], end_stream=True)


@asynccontextmanager
async def h2_site(tls, react=answer_h2, *, http1=None):
    """Serve HTTP/2; gives the origin and the list of its requests.

    *react*(h2's connection, event, requests of the connection) is called for each request, and may give "close", or
    bytes to send as they are. *http1* is what is answered to a client that would rather speak HTTP/1.1.
    """
    seen = []
    tls.set_alpn_protocols(["h2"] if http1 is None else ["h2", "http/1.1"])

    async def connected(reader, writer):
        try:
            if writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
                await talk(reader, writer)
            elif http1 is not None:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    seen.append(tuple(head.decode().split(" ")[:2]))
                    writer.write(http1)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def talk(reader, writer):
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        requests = []
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if not isinstance(event, RequestReceived):
                    continue
                headers = {bytes(name): bytes(value).decode() for name, value in event.headers}
                event.method = headers[b":method"]
                seen.append((event.method, headers[b":path"]))
                requests.append(event)
                more = react(connection, event, requests)
                if more == "close":
                    writer.write(connection.data_to_send())
                    await writer.drain()
                    return
                writer.write((more or b"") + connection.data_to_send())
            writer.write(connection.data_to_send())

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()


class Certificates:
    """Certificates made with openssl: an authority, and what it or nobody signs."""

    def __init__(self, folder):
        self._folder = folder
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed, so no certificates can be made")
        self._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                  "-days", "30", "-subj", "/CN=test authority")  # fmt: skip

    def client(self):
        """Give the file with the authority that a client trusts."""
        return str(self._folder / "ca.pem")

    def signed(self, *names, days="30", issuer="ca", aia=None, common="s"):
        """Give a server's context with a certificate for *names*, such as "IP:127.0.0.1"; *common* is its subject."""
        extension = f"subjectAltName={','.join(names)}" if names else "basicConstraints=CA:FALSE"
        self._sign("s", issuer, days, extension, aia, common)
        return self._server("s.pem", "s.key")

    def intermediate(self, name, issuer="ca", aia=None):
        """Make an authority *name*, signed by *issuer* (itself where that is the same); give it as DER."""
        if issuer == name:
            self._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                      "-days", "30", "-subj", f"/CN={name}")  # fmt: skip
        else:
            self._sign(name, issuer, "30", "basicConstraints=critical,CA:TRUE", aia)
        return ssl.PEM_cert_to_DER_cert((self._folder / f"{name}.pem").read_text())

    def files(self, name):
        """Give the certificate and the key of *name*, as PEM."""
        return tuple((self._folder / f"{name}.{kind}").read_text() for kind in ("pem", "key"))

    def _sign(self, name, issuer, days, extension, aia, common=None):
        lines = [extension, *([f"authorityInfoAccess=caIssuers;URI:{aia}"] if aia else [])]
        (self._folder / "extensions").write_text("\n".join(lines) + "\n")
        self._run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                  "-subj", f"/CN={common or name}")  # fmt: skip
        self._run("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
                  "-CAcreateserial", "-extfile", "extensions", "-out", f"{name}.pem", "-days", days)  # fmt: skip

    def self_signed(self):
        """Give a server's context with a certificate that nobody signed."""
        self._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "o.key", "-out", "o.pem",
                  "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1")  # fmt: skip
        return self._server("o.pem", "o.key")

    def _server(self, certificate, key):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._folder / certificate, self._folder / key)
        return context

    def _run(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True, timeout=30)
