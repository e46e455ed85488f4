"""`linkrouter relay` and `linkrouter encoder` as commands: what keeps them from starting, and what they write."""

import asyncio
import signal

import pytest
from processes import free_port, wait_until

pytest.importorskip("aiosmtpd", reason="the extra smtp is not installed")
pytest.importorskip("aiosmtplib", reason="the extra smtp is not installed")

from integrations.hop import Talk

pytestmark = pytest.mark.slow

RELAY = ("relay", "--keys", "keys.json", "--base-url", "https://click.example.com", "--admin-listen", "127.0.0.1:0")
ENCODER = ("encoder", *RELAY[1:], "--token-file", "api-token")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (RELAY, "NEXT_HOP is not set; give --next-hop"),
        ((*RELAY, "--next-hop", "nowhere"), "NEXT_HOP must be HOST:PORT"),
        ((*RELAY, "--next-hop", "127.0.0.1:1", "--copies", "some"), "COPIES must be one of each, one"),
        ((*RELAY, "--next-hop", "127.0.0.1:1", "--next-hop-user", "me"), "NEXT_HOP_PASSWORD_FILE is not set"),
        ((*RELAY, "--next-hop", "127.0.0.1:1", "--central-url", "http://127.0.0.1:2"), "CENTRAL_TOKEN_FILE is not set"),
        (
            (*RELAY, "--next-hop", "127.0.0.1:1", "--listen", "0.0.0.0:0", "--token-file", "api-token"),
            "TLS_CERT is not set",
        ),
        ((*RELAY, "--next-hop", "127.0.0.1:1", "--tls-cert", "keys.json"), "TLS_CERT: 'keys.json'"),
        ((*ENCODER[:3], "--base-url", "ftp://click.example.com", *ENCODER[5:]), "BASE_URL must be an http(s) URL"),
        ((*ENCODER[:3], "--base-url", "http://click.example.com", *ENCODER[5:]), "BASE_URL: base URL must be https"),
        ((*ENCODER[:-1], "nothing"), "TOKEN_FILE: 'nothing' cannot be read"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_what_is_wrong_is_one_line_with_the_setting(home, arguments, says):
    done = home.run(*arguments, check=False)

    lines = done.stderr.decode().strip().splitlines()
    assert done.returncode in (2, 3)
    assert len(lines) == 1, lines
    assert says in lines[0]


async def test_no_link_address_or_password_is_logged_whatever_goes_wrong(home):
    port = free_port()
    relay = home.start(
        *(
            *RELAY,
            "--listen",
            f"127.0.0.1:{port}",
            "--next-hop",
            f"127.0.0.1:{free_port()}",
            "--token-file",
            "api-token",
        ),
    )
    await asyncio.to_thread(wait_until, lambda: '"relay.started"' in home.log())
    talk = await Talk.to(port)
    said = [
        await talk.say("AUTH PLAIN AHNlY3JldC1jYW5hcnkAcGFzc3dvcmQtY2FuYXJ5"),
        await talk.say("MAIL FROM:<address-canary@example.com>"),
        await talk.say("CANARY word-canary"),
        await talk.say("VRFY address-canary@example.com"),
        await talk.say("AUTH LOGIN bm90IGJhc2U2NA=="),
    ]
    talk.writer.write(b"\xff" * 10_000)
    talk.close()
    relay.send_signal(signal.SIGHUP)
    await asyncio.to_thread(wait_until, lambda: '"tokens.loaded"' in home.log())
    relay.send_signal(signal.SIGTERM)

    assert relay.wait(15) == 0
    assert [answer[:3] for answer in said[:3]] == ["535", "530", "500"]
    assert "canary" not in home.log().lower()
    assert '"relay.stopped"' in home.log()


async def test_a_relay_that_is_told_to_stop_ends_well_and_leaves_no_process(home):
    port = free_port()
    relay = home.start(*RELAY, "--listen", f"127.0.0.1:{port}", "--next-hop", f"127.0.0.1:{free_port()}")
    await asyncio.to_thread(wait_until, lambda: '"relay.started"' in home.log())

    talk = await Talk.to(port)
    unreachable = await talk.say("MAIL FROM:<a@example.com>")
    relay.send_signal(signal.SIGTERM)
    turned_away = await talk.read()
    code = await asyncio.to_thread(relay.wait, 15)
    talk.close()
    again = home.start(*RELAY, "--listen", f"127.0.0.1:{port}", "--next-hop", f"127.0.0.1:{free_port()}")
    await asyncio.to_thread(wait_until, lambda: home.log().count('"relay.started"') == 2)

    assert unreachable.startswith("451 4.4.1 ")
    assert turned_away.startswith("421 4.3.2 ")
    assert (code, again.poll()) == (0, None)
