"""Resolve a name where the name server answers for one family alone; prints the addresses and the seconds.

`python deaf_names.py A|AAAA` runs inside a network and a mount namespace of its own (`unshare -n -m`).
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from ipaddress import ip_address

from linkrouter.dial.resolve import resolve

KINDS = {"A": (1, ip_address("11.0.0.1")), "AAAA": (28, ip_address("2a00:1::1"))}


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, kind):
        self.number, self.address = KINDS[kind]

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        question = data[12 : data.index(b"\0", 12) + 5]
        if int.from_bytes(question[-4:-2], "big") != self.number:
            return  # it is deaf to these
        packed = self.address.packed
        record = b"\xc0\x0c" + question[-4:] + (60).to_bytes(4, "big") + len(packed).to_bytes(2, "big") + packed
        self.transport.sendto(data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + record, peer)


async def main(kind):
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: NameServer(kind), ("127.0.0.1", 53))
    began = time.monotonic()
    print(*await resolve("deaf.example"), time.monotonic() - began)


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    with tempfile.NamedTemporaryFile("w") as servers:
        servers.write("nameserver 127.0.0.1\n")
        servers.flush()
        subprocess.run(["mount", "--bind", servers.name, "/etc/resolv.conf"], check=True)
        asyncio.run(main(sys.argv[1]))
