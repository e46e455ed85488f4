"""What the relay adds to a mail, beside the encoder's own time and one hop, and how many mails it takes on one core.

    .venv/bin/python tests/bench/bench_relay.py

One connection, 10 KB of HTML with 12 links: straight to the sink (one hop), through the relay with MODE=none (two hops
and what the relay does itself), and through the relay that tracks. Client, relay and sink (Postfix's smtp-sink) share
one core for that: to wake a process on another costs more than a hop on many virtual machines, and would count for the
relay and not for the hop it is held against. Then as many as go, over ten connections, the relay on a core of its own.
"""

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the processes of the tests

from processes import free_port, make_home, wait_until

from linkrouter import Encoder, Keyring

BASE_URL = "https://click.example.com"
MAILS, ROUNDS = 400, 5
CONNECTIONS = 10
SECONDS = 10


def sample_mail():
    """Give a mail of 10 KB with 12 links."""
    filler = "<p>" + "Seeds for the garden and the balcony, with all that they need to grow. " * 10 + "</p>\r\n"
    link = '<p><a href="https://shop.example.org/seeds/{0}?utm_source=mail&amp;n={0}">Offer {0}</a></p>\r\n'
    links = [link.format(number) + filler for number in range(12)]
    head = "From: a@example.com\r\nTo: b@example.org\r\nSubject: seeds\r\nMIME-Version: 1.0\r\n"
    return (
        head + "Content-Type: text/html; charset=utf-8\r\nMessage-ID: <%d@example.com>\r\n\r\n" + "".join(links)
    ).encode()


class Client:
    """One connection that sends mails as fast as they are answered."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port):
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        await client.reader.readline()
        client.writer.write(b"EHLO bench\r\n")
        while (await client.reader.readline())[3:4] == b"-":
            pass
        return client

    async def say(self, line, good):
        self.writer.write(line)
        answer = await self.reader.readline()
        assert answer.startswith(good), answer

    async def send(self, content):
        await self.say(b"MAIL FROM:<a@example.com>\r\n", b"250")
        await self.say(b"RCPT TO:<b@example.org>\r\n", b"250")
        await self.say(b"DATA\r\n", b"354")
        await self.say(content + b".\r\n", b"250")


async def one_by_one(port, mail):
    """Give the median seconds of a mail."""
    client = await Client.to(port)
    taken = []
    for number in range(MAILS):
        content = mail % number
        began = time.perf_counter()
        await client.send(content)
        taken.append(time.perf_counter() - began)
    client.writer.close()
    return statistics.median(taken[MAILS // 10 :])


async def many_at_once(port, mail):
    """Give the mails per second over several connections."""
    sent = 0
    until = time.perf_counter() + SECONDS

    async def go_on(number):
        nonlocal sent
        client = await Client.to(port)
        while time.perf_counter() < until:
            number += CONNECTIONS
            await client.send(mail % number)
            sent += 1
        client.writer.close()

    began = time.perf_counter()
    await asyncio.gather(*map(go_on, range(CONNECTIONS)))
    return sent / (time.perf_counter() - began)


def encoder_s(home, mail):
    """Give the median seconds that the encoder takes for the same mail."""
    encoder = Encoder(BASE_URL, Keyring.load(home.path / "keys.json"))
    taken = []
    for number in range(MAILS):
        content = mail % number
        began = time.perf_counter()
        done = encoder.rewrite_message(content)
        taken.append(time.perf_counter() - began)
    assert len(done.links) == 12
    return statistics.median(taken)


def start_relay(home, sink, mode):
    port = free_port()
    process = home.start(
        *("relay", "--listen", f"127.0.0.1:{port}", "--next-hop", f"127.0.0.1:{sink}", "--mode", mode),
        *("--keys", "keys.json", "--base-url", BASE_URL, "--admin-listen", "127.0.0.1:0", "--next-hop-tls", "off"),
        *("--spool", f"spool-{mode}"),
    )
    wait_until(lambda: asyncio.run(Client.to(port)))
    return port, process


def move(process, core):
    """Let *process* run on *core* alone."""
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def cpu_s(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processor():
    found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return found[0].partition(": ")[2] if found else platform.machine()


def main():
    """Measure, and print."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if not shutil.which("smtp-sink", path="/usr/sbin:/usr/bin"):
        sys.exit("smtp-sink is missing; Postfix has it")
    with tempfile.TemporaryDirectory() as folder:
        home, mail, sink = make_home(Path(folder)), sample_mail(), free_port()
        if os.cpu_count() > 1:
            os.sched_setaffinity(0, {1})
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        smtp_sink = subprocess.Popen(["/usr/sbin/smtp-sink", *user, f"127.0.0.1:{sink}", "100"])
        home.processes.append(smtp_sink)
        try:
            wait_until(lambda: asyncio.run(Client.to(sink)))
            through, busy = start_relay(home, sink, "none"), start_relay(home, sink, "html-and-text")
            encoder = encoder_s(home, mail)
            rounds = [
                tuple(asyncio.run(one_by_one(port, mail)) for port in (sink, through[0], busy[0]))
                for _ in range(ROUNDS)
            ]
            hop, passed, tracked = (statistics.median(column) for column in zip(*rounds, strict=True))
            if os.cpu_count() > 1:
                move(busy[1], 0)
            before = cpu_s(busy[1])
            rate = asyncio.run(many_at_once(busy[0], mail))
            cpu = (cpu_s(busy[1]) - before) / (rate * SECONDS)
        finally:
            home.end()
    added = tracked - hop
    print(f"{processor()}, {len(mail)} bytes, 12 links; client, relay and next hop on one core")
    print(f"encoder {encoder * 1e3:.2f} ms; one hop {hop * 1e3:.2f} ms")
    print(f"through the relay {passed * 1e3:.2f} ms with MODE=none, {tracked * 1e3:.2f} ms tracked")
    print(f"added {added * 1e3:.2f} ms; of that {(tracked - passed) * 1e3:.2f} ms by tracking")
    bound = 1.3 * encoder + hop
    print(f"1.3 x encoder + one hop: {bound * 1e3:.2f} ms; added is {added / bound:.2f} of it")
    print(f"{rate:.0f} mails/s on one core, {cpu * 1e3:.2f} ms of CPU each")


if __name__ == "__main__":
    main()
