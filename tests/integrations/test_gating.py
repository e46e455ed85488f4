"""The gate in the relay: what is flagged is refused, what is not known is put off, what cannot be read goes on."""

import pytest

pytest.importorskip("aiosmtpd", reason="the extra smtp is not installed")
pytest.importorskip("aiosmtplib", reason="the extra smtp is not installed")

from checker.world import LISTED, UNKNOWN, Lists, Web, checking
from integrations.hop import Talk, running_hop, running_relay

from linkrouter.integrations.gating import MailGate

HEAD = b"Subject: x\r\nContent-Type: text/plain\r\n\r\n"
GOOD, BAD, UNSURE = (f"https://{name}.example.org/page" for name in ("good", "bad", "unsure"))


async def answers(tmp_path, *mails, **options):
    lists = Lists(answers={"bad.example.org": LISTED, "unsure.example.org": UNKNOWN})
    async with checking(Web(), lists) as checker, running_hop() as hop:
        delivery = {"gate": MailGate(checker, within_s=5), **options}
        async with running_relay(hop.port, tmp_path, delivery=delivery) as relay:
            talk = await Talk.to(relay.port)
            said = [await talk.send(mail, "b@example.org") for mail in mails]
            talk.close()
    return said, hop


async def test_a_flagged_link_is_550_and_an_unknown_one_451_and_neither_names_the_link(tmp_path):
    said, hop = await answers(tmp_path, *(HEAD + f"see {url}\r\n".encode() for url in (GOOD, BAD, UNSURE)))

    assert said == [
        "250 2.0.0 taken as 1",
        "550 5.7.1 1 link of this mail is flagged: DBL: phishing",
        "451 4.7.1 1 link of this mail is not known to be clean: dbl has not answered",
    ]
    assert b"/2s/good.example.org/page" in hop.taken[0].content


async def test_a_mail_that_cannot_be_read_passes_untouched(tmp_path):
    sealed = b"Content-Type: application/pkcs7-mime\r\n\r\nMIAGCSqGSIb3DQEHA6CAMIACAQAxggEw\r\n"
    unknown = b"Content-Type: text/plain; charset=no-such-charset\r\n\r\nsee https://bad.example.org/page\r\n"

    said, hop = await answers(tmp_path, sealed, unknown)

    assert [one[:3] for one in said] == ["250", "250"]
    assert [taken.content for taken in hop.taken] == [sealed, unknown]


async def test_a_gate_that_warns_lets_a_flagged_mail_go(tmp_path):
    said, hop = await answers(tmp_path, HEAD + f"see {BAD}\r\n".encode(), gate_warns=True)

    assert said == ["250 2.0.0 taken as 1"]
    assert len(hop.taken) == 1
