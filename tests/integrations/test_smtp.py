"""The SMTP relay between a client and a next hop: what it passes on, what it changes, what it refuses."""

import asyncio
import re
from base64 import b64encode

import pytest
from processes import HANG_S

pytest.importorskip("aiosmtpd", reason="the extra smtp is not installed")
pytest.importorskip("aiosmtplib", reason="the extra smtp is not installed")

from integrations.hop import KEYRING, Talk, running_hop, running_relay

from linkrouter.integrations.smtp_rules import RelayLimits

URL = "https://example.org/seeds/"
MAIL = f"""From: a@example.com\r
To: b@example.org\r
Subject: seeds\r
Message-ID: <m1@example.com>\r
MIME-Version: 1.0\r
Content-Type: text/html; charset=utf-8\r
\r
<p><a href="{URL}">Seeds</a></p>\r
""".encode()


def tracked(content):
    """The one tracked link of a mail, verified."""
    [path] = re.findall(rb'href="https://click\.example\.com(/2s/[^"]+)"', content)
    return KEYRING.verify(path.decode())


def restored(content):
    return re.sub(rb"https://click\.example\.com/2s/[^\"]+", URL.encode(), content)


@pytest.fixture
async def hop():
    async with running_hop() as found:
        yield found


@pytest.fixture
async def relay(hop, tmp_path):
    async with running_relay(hop.port, tmp_path) as found:
        yield found


@pytest.fixture
async def talk(relay):
    found = await Talk.to(relay.port)
    yield found
    found.close()


async def test_a_mail_goes_on_with_tracked_links_and_not_one_other_byte_changed(hop, talk):
    answer = await talk.send(MAIL, "b@example.org")

    assert answer == "250 2.0.0 taken as 1"
    [taken] = hop.taken
    assert (taken.sender, taken.recipients) == ("a@example.com", ["b@example.org"])
    assert tracked(taken.content).destination == URL
    assert restored(taken.content) == MAIL


@pytest.mark.parametrize(
    "content",
    [
        b"no header, no mail\r\n",
        MAIL.replace(b"Subject: seeds", b"DKIM-Signature: v=1; d=example.com; h=from; b=AA=="),
        MAIL.replace(b"text/html", b"multipart/mixed"),
        b"Subject: dots\r\n\r\n.\r\n..\r\n...x\r\n" + b"long " * 190 + b"\r\n",
    ],
    ids=["no mail", "signed", "no boundary", "dots and a long line"],
)
async def test_a_mail_that_cannot_be_read_or_changed_passes_untouched(hop, talk, content):
    stuffed = re.sub(rb"(?m)^\.", b"..", content)

    answer = await talk.send(stuffed, "b@example.org")

    assert answer.startswith("250 ")
    assert hop.taken[0].content == content


async def test_headers_for_us_are_obeyed_and_taken_out(hop, talk):
    head = b"X-PM-Tag: a\r\nX-PM-TrackLinks:\r\n None\r\nX-PM-Metadata-Order: 7\r\nX-Linkrouter-Count-Only: yes\r\n"

    await talk.send(head + MAIL, "b@example.org")
    await talk.send(b"X-Linkrouter-Count-Only: yes\r\n" + MAIL, "b@example.org")

    assert hop.taken[0].content == MAIL
    assert tracked(hop.taken[1].content).count_only is True


async def test_each_recipient_gets_a_copy_with_links_of_its_own(hop, talk):
    answer = await talk.send(MAIL, "b@example.org", "c@example.org", "d@example.org")

    assert answer.startswith("250 ")
    assert [taken.recipients for taken in hop.taken] == [["b@example.org"], ["c@example.org"], ["d@example.org"]]
    assert len({tracked(taken.content).link_id for taken in hop.taken}) == 3
    assert hop.connections == 1


async def test_with_one_copy_all_recipients_go_in_one_transaction(hop, tmp_path):
    async with running_relay(hop.port, tmp_path, delivery={"copies": "one"}) as relay:
        talk = await Talk.to(relay.port)
        await talk.send(MAIL, "b@example.org", "c@example.org")
        talk.close()

    assert [taken.recipients for taken in hop.taken] == [["b@example.org", "c@example.org"]]


async def test_what_the_next_hop_says_is_passed_on(hop, talk):
    hop.says |= {
        "bad@example.com": "553 5.1.8 sender refused",
        "gone@example.org": "550 5.1.1 no such person",
        "full@example.org": "452 4.2.2 mailbox full",
        b"Subject: spam": "554 5.7.1 looks like spam",
        b"Subject: later": "450 4.7.1 come back later",
    }

    assert await talk.send(MAIL, "b@example.org", sender="bad@example.com") == "553 5.1.8 sender refused"
    await talk.say("RSET")
    assert await talk.send(MAIL, "gone@example.org") == "550 5.1.1 no such person"
    await talk.say("RSET")
    assert await talk.send(MAIL, "full@example.org") == "452 4.2.2 mailbox full"
    await talk.say("RSET")
    for subject, answer in ((b"spam", "554 5.7.1 looks like spam"), (b"later", "450 4.7.1 come back later")):
        assert await talk.send(MAIL.replace(b"seeds\r", subject + b"\r"), "b@example.org") == answer
    assert hop.taken == []


async def test_a_next_hop_that_is_not_there_or_goes_away_is_451(hop, talk, relay, tmp_path, unused_tcp_port):
    hop.says[b"Subject: hang up"] = lambda server: server.transport.abort()

    gone = await talk.send(MAIL.replace(b"seeds\r", b"hang up\r"), "b@example.org")
    async with running_relay(unused_tcp_port, tmp_path / "other") as other:
        nobody = await Talk.to(other.port)
        unreachable = await nobody.say("MAIL FROM:<a@example.com>")
        nobody.close()

    assert gone.startswith("451 4.4.2 ")
    assert unreachable.startswith("451 4.4.1 ")
    assert (await talk.send(MAIL, "b@example.org")).startswith("250 ")


async def test_a_connection_the_next_hop_closed_while_it_was_idle_costs_nothing(hop, talk):
    await talk.send(MAIL, "b@example.org")
    hop.sessions[0].transport.abort()
    await asyncio.sleep(0)

    answer = await talk.send(MAIL, "b@example.org")

    assert (answer, hop.connections) == ("250 2.0.0 taken as 2", 2)


async def test_a_copy_that_was_taken_is_not_sent_again_when_the_mail_is(hop, talk):
    hop.says[("c@example.org",)] = "450 4.7.1 come back later"

    first = await talk.send(MAIL, "b@example.org", "c@example.org")
    hop.says.clear()
    second = await talk.send(MAIL, "b@example.org", "c@example.org")

    assert first == "450 4.7.1 taken for 1 of 2 recipients; for others: come back later"
    assert second.startswith("250 ")
    assert [taken.recipients for taken in hop.taken] == [["b@example.org"], ["c@example.org"]]


async def test_a_client_that_left_before_the_answer_does_not_double_its_mail(hop, relay):
    go_on = hop.says[b"Subject: seeds"] = asyncio.Event()
    impatient = await Talk.to(relay.port)
    await impatient.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA")
    impatient.writer.write(MAIL + b".\r\n")
    await asyncio.sleep(0.2)
    impatient.writer.transport.abort()
    await asyncio.sleep(0.1)
    go_on.set()

    async with asyncio.timeout(HANG_S):
        while not hop.taken:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    again = await Talk.to(relay.port)
    answer = await again.send(MAIL, "b@example.org")
    twice_on_purpose = await again.send(MAIL, "b@example.org")
    again.close()

    assert answer == "250 2.0.0 this was taken before"
    assert twice_on_purpose == "250 2.0.0 taken as 2"


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: x\r\n\r\nbare\nlf\r\n",
        b"Subject: x\r\n\r\nbare\rcr\r\n",
        b"Subject: x\r\n\r\nend\n.\nMAIL FROM:<evil@example.com>\r\n",
        b"Subject: x\r\n\r\nend\n.\r\nMAIL FROM:<evil@example.com>\r\n",
        b"Subject: x\r\n\r\nend\r.\rMAIL FROM:<evil@example.com>\r\n",
        b"Subject: x\r\n\r\nend\r\n.\nMAIL FROM:<evil@example.com>\r\n",
        b"Subject: x\r\n\r\nend\r\n.\rMAIL FROM:<evil@example.com>\r\n",
    ],
    ids=["LF", "CR", "LF.LF", "LF.CRLF", "CR.CR", "CRLF.LF", "CRLF.CR"],
)
async def test_a_mail_that_two_servers_could_read_in_two_ways_goes_nowhere(hop, talk, content):
    answer = await talk.send(content, "b@example.org")

    assert answer.startswith("550 5.6.0 ")
    assert hop.taken == []
    assert (await talk.send(MAIL, "b@example.org")).startswith("250 ")


async def test_a_mail_that_is_too_large_is_refused_by_its_size_and_by_its_bytes(hop, tmp_path):
    large = MAIL + b"x" * 70 + b"\r\n" + (b"y" * 78 + b"\r\n") * 800
    async with running_relay(hop.port, tmp_path, limits=RelayLimits(message_bytes=50_000)) as relay:
        talk = await Talk.to(relay.port, hello=False)
        offers = await talk.say("EHLO client.example")
        declared = await talk.say("MAIL FROM:<a@example.com> SIZE=50001")
        sent = await talk.send(large, "b@example.org", options=" SIZE=50000")
        after = await talk.send(MAIL, "b@example.org")
        talk.close()

    assert "SIZE 50000" in offers
    assert declared.startswith("552 5.3.4 ")
    assert sent.startswith("552 5.3.4 ")
    assert after.startswith("250 ")
    assert len(hop.taken) == 1


async def test_commands_that_come_together_are_answered_in_turn(hop, relay):
    talk = await Talk.to(relay.port)
    talk.writer.write(
        b"MAIL FROM:<a@example.com> BODY=8BITMIME\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + MAIL + b".\r\n"
        b"MAIL FROM:<a@example.com>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n" + MAIL + b".\r\nQUIT\r\n"
    )

    answers = [(await talk.read())[:3] for _ in range(9)]
    talk.close()

    assert answers == ["250", "250", "354", "250", "250", "250", "354", "250", "221"]
    assert [taken.recipients for taken in hop.taken] == [["b@example.org"], ["c@example.org"]]
    assert "BODY=8BITMIME" in hop.taken[0].options


async def test_bounces_odd_addresses_and_utf8_pass_as_they_are_written(hop, talk):
    await talk.send(MAIL, "b@example.org", sender="")
    await talk.send(MAIL, '"odd one"@example.org', sender="o'neil+tag@example.com")
    await talk.send(MAIL, "jürgen@example.org", options=" BODY=8BITMIME SMTPUTF8")

    assert [(taken.sender, taken.recipients[0]) for taken in hop.taken] == [
        ("<>", "b@example.org"),
        ("o'neil+tag@example.com", '"odd one"@example.org'),
        ("a@example.com", "jürgen@example.org"),
    ]
    assert "SMTPUTF8" in hop.taken[2].options


async def test_what_the_next_hop_cannot_take_is_refused_with_the_reason(tmp_path):
    async with running_hop(enable_SMTPUTF8=False, decode_data=True) as hop, running_relay(hop.port, tmp_path) as relay:
        talk = await Talk.to(relay.port)
        utf8 = await talk.say("MAIL FROM:<a@example.com> SMTPUTF8")
        eight_bit = await talk.send(
            MAIL.replace(b"seeds\r", "für\r".encode()), "b@example.org", options=" BODY=8BITMIME"
        )
        plain = await talk.send(MAIL, "b@example.org")
        talk.close()

    assert utf8.startswith("550 5.6.7 ")
    assert eight_bit.startswith("554 5.6.3 ")
    assert plain.startswith("250 ")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("MAIL FROM:a@example.com", "501 5.5.4"),
        ("MAIL TO:<a@example.com>", "501 5.5.4"),
        ("MAIL", "501 5.5.4"),
        ("MAIL FROM:<a@example.com> SIZE=x", "555 5.5.4"),
        ("MAIL FROM:<a@example.com> RET=FULL", "555 5.5.4"),
        ("MAIL FROM:<jürgen@example.com>", "553 5.6.7"),
        (b"MAIL FROM:<\xff@example.com> SMTPUTF8", "501 5.5.4"),
        ("MAIL FROM:<a@example.com\tb>", "501 5.5.4"),
        ("RCPT TO:<b@example.org>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("BDAT 10 LAST", "500"),
        ("X" * 5000, "500"),
    ],
    ids=lambda value: str(value)[:34],
)
async def test_a_command_that_is_wrong_is_refused_and_the_session_goes_on(talk, hop, line, code):
    assert (await talk.say(line)).startswith(code)
    assert (await talk.send(MAIL, "b@example.org")).startswith("250 ")
    assert len(hop.taken) == 1


async def test_recipients_and_connections_are_bounded(hop, tmp_path):
    async with running_relay(hop.port, tmp_path, limits=RelayLimits(connections=2, recipients=2)) as relay:
        first, second = await Talk.to(relay.port), await Talk.to(relay.port)
        third = await asyncio.open_connection("127.0.0.1", relay.port)
        refused = await third[0].read()
        third[1].close()
        await first.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "RCPT TO:<c@example.org>")
        too_many = await first.say("RCPT TO:<d@example.org>")
        second.close()
        first.close()

    assert refused.startswith(b"421 4.3.2 ")
    assert too_many.startswith("452 4.5.3 ")


async def test_a_relay_that_stops_answers_mails_on_their_way_and_turns_others_away(hop, tmp_path):
    go_on = hop.says[b"Subject: seeds"] = asyncio.Event()
    async with running_relay(hop.port, tmp_path) as relay:
        idle, busy = await Talk.to(relay.port), await Talk.to(relay.port)
        await busy.say("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA")
        busy.writer.write(MAIL + b".\r\n")
        await asyncio.sleep(0.2)
        stopping = asyncio.create_task(relay.stop())
        turned_away = await idle.read()
        go_on.set()
        answered = await busy.read()
        await stopping
        idle.close()
        busy.close()

    assert turned_away.startswith("421 4.3.2 ")
    assert answered == "250 2.0.0 taken as 1"


async def test_senders_log_in_and_their_tenant_signs(hop, tmp_path):
    def find(name, password):
        return 7 if (name, password) == ("shop", "s3cret") else None

    async with running_relay(hop.port, tmp_path, find_sender=find, auth_needs_tls=False) as relay:
        talk = await Talk.to(relay.port)
        before = await talk.say("MAIL FROM:<a@example.com>")
        wrong = await talk.say("AUTH PLAIN " + b64encode(b"\0shop\0guess").decode())
        right = await talk.say("AUTH PLAIN " + b64encode(b"\0shop\0s3cret").decode())
        await talk.send(MAIL, "b@example.org")
        talk.close()

    assert before.startswith("530 5.7.0 ")
    assert wrong.startswith("535 5.7.8 ")
    assert right.startswith("235 2.7.0 ")
    assert tracked(hop.taken[0].content).tenant == 7
