"""The relay killed while the next hop decides: the mail is there once, and central hears of it once."""

import asyncio
import signal
import socket

import pytest

pytest.importorskip("aiosmtpd", reason="the extra smtp is not installed")
pytest.importorskip("aiosmtplib", reason="the extra smtp is not installed")

from integrations.hop import Talk, running_hop
from processes import free_port, wait_until

pytestmark = pytest.mark.slow

MAIL = b"Message-ID: <m1@example.com>\r\nSubject: seeds\r\n\r\nhttps://example.org/seeds/\r\n"


@pytest.mark.parametrize("says", ["250", "451"])
async def test_mails_that_were_on_their_way_when_the_relay_was_killed_are_sent_once(home, says):
    port = free_port()

    def start(hop):
        return home.start(
            *("relay", "--listen", f"127.0.0.1:{port}", "--next-hop", f"127.0.0.1:{hop.port}"),
            *("--keys", "keys.json", "--base-url", "https://click.example.com", "--admin-listen", "127.0.0.1:0"),
            *("--central-url", f"http://127.0.0.1:{home.central_port}", "--central-token-file", "api-token"),
        )

    async def talk():
        return await asyncio.to_thread(wait_until, lambda: _connected(port)) and await Talk.to(port)

    async with running_hop() as hop:
        go_on = hop.says[b"Subject: seeds"] = asyncio.Event()
        home.start_central()
        relay = start(hop)
        firsts = [await talk(), await talk()]
        for number, first in enumerate(firsts):
            await first.say("MAIL FROM:<a@example.com>", f"RCPT TO:<b{number}@example.org>", "DATA")
            first.writer.write(MAIL + b".\r\n")
        await asyncio.sleep(1)
        relay.send_signal(signal.SIGKILL)
        relay.wait()
        start(hop)
        if says == "451":
            hop.says[b"Subject: seeds"] = "450 4.7.1 not now"  # what the next try is told
            for session in hop.sessions:
                session.transport.abort()
        else:
            go_on.set()
        second = await talk()
        answers = {await second.send(MAIL, f"b{number}@example.org") for number in range(2)}
        for one in (*firsts, second):
            one.close()
        if says == "250":
            assert answers == {"250 2.0.0 this was taken before"}
            assert len(hop.taken) == 2
            await asyncio.to_thread(wait_until, lambda: len(home.ask_central("/v1/messages")["messages"]) == 2)
        else:
            assert answers == {"450 4.7.1 not now"}
            assert hop.taken == []


def _connected(port):
    socket.create_connection(("127.0.0.1", port)).close()
    return True
