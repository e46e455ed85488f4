"""The encoder service: `POST /v1/rewrite`, and Postmark's send API for their own, unmodified clients."""

import asyncio
import base64
import email
import email.policy
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from processes import HANG_S, room

pytest.importorskip("aiosmtplib", reason="the extra smtp is not installed")

from integrations.hop import BASE_URL, KEYRING, running_hop
from openapi_spec_validator import validate

from linkrouter import __version__
from linkrouter.integrations.acceptances import Acceptances
from linkrouter.integrations.delivery import Delivery
from linkrouter.integrations.next_hop import NextHop
from linkrouter.integrations.postmark import PostmarkSending, send_routes
from linkrouter.integrations.rewrite_api import Rewriting, rewrite_routes
from linkrouter.integrations.tracking import Tracker
from linkrouter.metrics import Metrics
from linkrouter.settings import Address
from linkrouter.web.openapi import with_document
from linkrouter.web.server import create_app, serving
from linkrouter.web.tokens import Caller, Tokens

CLIENTS = Path(__file__).with_name("clients")
NODE_CLIENTS = Path(os.environ.get("LINKROUTER_NODE_CLIENTS", Path(__file__).parents[2] / "build" / "clients"))
TOKEN = "a-sender-of-tenant-seven"
URL = "https://example.org/seeds/"
HTML = f'<p>für <a href="{URL}">Seeds</a></p>'


def has_gem():
    return shutil.which("ruby") and not subprocess.run(["ruby", "-e", "require 'postmark'"]).returncode


class Told:
    """What central would be told."""

    def __init__(self):
        self.entries = []

    def report(self, entry):
        self.entries.append(entry)


@asynccontextmanager
async def running_service(folder, hop_port, reporter=None, max_bytes=1_000_000):
    tracker, acceptances = Tracker(BASE_URL, KEYRING), Acceptances(folder / "acceptances")
    next_hop = NextHop(Address("127.0.0.1", hop_port), timeout_s=5 * room())
    delivery = Delivery(tracker, acceptances, Metrics(), reporter=reporter)
    routes = (
        *rewrite_routes(Rewriting(tracker, Metrics(), 0, reporter), max_bytes),
        *send_routes(PostmarkSending(delivery, next_hop), max_bytes),
    )
    tokens = Tokens.of_callers({TOKEN: Caller(frozenset({"messages:write"}), 7)})
    app = create_app(tokens, with_document(routes, "linkrouter encoder", __version__))
    async with serving(app, Address("127.0.0.1", 0)) as port:
        yield port
    await next_hop.close()
    acceptances.close()


@pytest.fixture
def told():
    return Told()


@pytest.fixture
async def hop():
    async with running_hop() as found:
        found.says["gone@example.org"] = "550 5.1.1 no such person"
        yield found


@pytest.fixture
async def port(hop, tmp_path, told):
    async with running_service(tmp_path, hop.port, told) as found:
        yield found


@pytest.fixture
async def client(port):
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Postmark-Server-Token": TOKEN}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=HANG_S) as found:
        yield found


def links_in(text):
    return [KEYRING.verify(path) for path in re.findall(r'https://click\.example\.com(/2s/[^\s"<]+)', text)]


async def test_html_and_text_come_back_with_tracked_links_and_their_manifest(client, told):
    asked = {"html": HTML, "text": f"see {URL}\n", "recipient": "b@example.org", "tag": "welcome", "message_id": "m1"}

    answer = (await client.post("/v1/rewrite", json=asked)).json()

    [html], [text] = links_in(answer["html"]), links_in(answer["text"])
    assert (html.destination, html.part, html.tenant, text.part) == (URL, "html", 7, "text")
    assert re.sub(r"https://click[^\"]+", URL, answer["html"]) == HTML
    manifest = answer["manifest"]
    assert told.entries == [manifest]
    assert (manifest["message_id"], manifest["recipient"], manifest["tag"], manifest["tenant"]) == (
        *("m1", "b@example.org", "welcome"),
        7,
    )
    assert [link["part"] for link in manifest["links"]] == ["html", "text"]


async def test_a_message_comes_back_byte_for_byte(client):
    raw = b"Message-ID: <m2@example.com>\r\nSubject: =?utf-8?q?f=C3=BCr?=\r\n\t folded\r\n\r\n" + f"{URL}\r\n".encode()

    answer = (await client.post("/v1/rewrite", json={"message": base64.b64encode(raw).decode()})).json()

    done = base64.b64decode(answer["message"])
    assert re.sub(rb"https://click\S+", URL.encode(), done) == raw
    assert answer["manifest"]["message_id"] == "m2@example.com"


async def test_what_is_not_tracked_says_why(client, told):
    page = {"html": '<a href="mailto:a@example.com">x</a>', "mode": "html-only"}

    answer = (await client.post("/v1/rewrite", json=page)).json()

    assert answer["html"] == page["html"]
    assert answer["manifest"] is None
    assert [link["reason"] for link in answer["skipped"]] == ["scheme"]
    assert told.entries == []


async def test_a_batch_comes_back_in_order(client):
    answer = (await client.post("/v1/rewrite/batch", json={"mails": [{"text": URL}, {"text": "none"}]})).json()

    assert [len(links_in(mail["text"])) for mail in answer["mails"]] == [1, 0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "give message, or html and text, or one of them"),
        ({"html": "x", "message": "eA=="}, "give message, or html and text, or one of them"),
        ({"message": "not base64!"}, "message must be base64"),
        ({"html": 1}, "html must be the HTML of a mail"),
        ({"html": "x", "mode": "all"}, "mode must be html-and-text, html-only, text-only or none"),
        ({"html": "x", "unknown": 1}, "it has a field that is not known"),
    ],
)
async def test_a_bad_request_is_a_problem_that_says_what_is_wrong(client, body, reason):
    answer = await client.post("/v1/rewrite", json=body)

    assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert answer.json()["reason"] == reason


async def test_a_batch_names_its_first_bad_mail(client):
    answer = await client.post("/v1/rewrite/batch", json={"mails": [{"text": URL}, {"message": "?"}]})

    assert (answer.status_code, answer.json()["list"], answer.json()["index"]) == (422, "mails", 1)


async def test_a_token_that_is_not_known_gets_nothing(client, hop):
    nobody = {"Authorization": "Bearer nobody", "X-Postmark-Server-Token": "nobody"}

    rewrite = await client.post("/v1/rewrite", json={"text": URL}, headers=nobody)
    send = await client.post("/email", json={"From": "a@example.com"}, headers=nobody)

    assert (rewrite.status_code, rewrite.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (send.status_code, send.json()["ErrorCode"]) == (401, 10)
    assert hop.taken == []


async def test_the_service_describes_itself(client):
    document = (await client.get("/openapi.json")).json()

    validate(document)
    names = {operation["operationId"] for path in document["paths"].values() for operation in path.values()}
    assert names == {
        *("rewriteMail", "rewriteMails", "sendPostmarkMail", "sendPostmarkMails", "sendPostmarkTemplate"),
        *("sendPostmarkTemplates", "getReadiness", "getDocument"),
    }
    page = (Path(__file__).parents[2] / "docs" / "encoder.md").read_text()
    assert all(f"`{name}`" in page for name in names)


async def test_a_mail_of_postmarks_kind_is_answered_behind_the_next_hop(client, hop, told):
    mail = {
        "From": '"Shop, Inc." <shop@example.com>',
        "To": "B <b@example.org>",
        "Bcc": "c@example.org",
        "Subject": "Grüße",
        "HtmlBody": HTML + '<img src="cid:logo.png">',
        "TextBody": f"see {URL}",
        "Tag": "welcome",
        "Metadata": {"order": "7"},
        "Headers": [{"Name": "X-Own", "Value": "yes"}, {"Name": "Bcc", "Value": "evil@example.com"}],
        "Attachments": [
            {"Name": "a.pdf", "Content": "eA==", "ContentType": "application/pdf"},
            {"Name": "logo.png", "Content": "eA==", "ContentType": "image/png", "ContentID": "cid:logo.png"},
        ],
        "ReplyTo": None,
        "Cc": "",
    }

    answer = (await client.post("/email", json=mail)).json()

    assert (answer["ErrorCode"], answer["Message"], answer["To"]) == (0, "OK", "B <b@example.org>")
    assert [taken.recipients for taken in hop.taken] == [["b@example.org"], ["c@example.org"]]
    message = email.message_from_bytes(hop.taken[0].content, policy=email.policy.default)
    assert (message["Subject"], message["From"], message["X-Own"]) == ("Grüße", mail["From"], "yes")
    assert (message["Bcc"], message["Message-ID"]) == (None, f"<{answer['MessageID']}@example.com>")
    html, text = (message.get_body((kind,)).get_content() for kind in ("html", "plain"))
    assert [len(links_in(part)) for part in (html, text)] == [1, 1]
    assert [part.get_filename() for part in message.walk() if part.get_filename()] == ["logo.png", "a.pdf"]
    assert [(entry["message_id"], entry["recipient"], entry["tag"]) for entry in told.entries] == [
        (answer["MessageID"], "b@example.org", "welcome"),
        (answer["MessageID"], "c@example.org", "welcome"),
    ]


@pytest.mark.parametrize(
    ("change", "status", "code", "words"),
    [
        ({"From": "nobody"}, 422, 300, "From must be one address"),
        ({"To": ""}, 422, 300, "To, Cc and Bcc must be"),
        ({"To": ", ".join(f"a{number}@example.org" for number in range(51))}, 422, 300, "1 to 50"),
        ({"TextBody": None}, 422, 300, "HtmlBody or TextBody must be given"),
        ({"TrackLinks": "Some"}, 422, 300, "TrackLinks must be"),
        ({"Subject": "a\r\nBcc: evil@example.com"}, 422, 300, "Subject must not have line breaks"),
        ({"Headers": [{"Name": "X", "Value": "a\nBcc: b@c.d"}]}, 422, 300, "Headers must not have line breaks"),
        ({"Headers": [{"Name": "X Y", "Value": "a"}]}, 422, 300, "Headers must have names"),
        ({"Attachments": [{"Name": "a", "Content": "?"}]}, 422, 300, "Attachments must have their Content"),
        ({"Metadata": "no"}, 422, 300, "Metadata must be an object"),
        ({"To": "gone@example.org"}, 422, 406, "these inactive addresses: gone@example.org."),
        ({"Subject": "spam"}, 422, 300, "554 5.7.1 looks like spam"),
        ({"Subject": "later"}, 503, 100, "450 4.7.1 come back"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_mail_that_is_not_sent_has_postmarks_error(client, hop, change, status, code, words):
    hop.says |= {b"Subject: spam": "554 5.7.1 looks like spam", b"Subject: later": "450 4.7.1 come back later"}
    mail = {"From": "a@example.com", "To": "b@example.org", "Subject": "x", "TextBody": "x"} | change

    answer = await client.post("/email", json=mail)

    assert (answer.status_code, answer.json()["ErrorCode"]) == (status, code), answer.text
    assert words in answer.json()["Message"]
    assert hop.taken == []


async def test_recipients_that_are_refused_are_named_and_the_others_get_it(client, hop):
    mail = {"From": "a@example.com", "To": "b@example.org, gone@example.org", "TextBody": "x"}

    answer = (await client.post("/email", json=mail)).json()

    assert answer["ErrorCode"] == 0
    assert answer["Message"].endswith("inactive addresses: gone@example.org.")
    assert [taken.recipients for taken in hop.taken] == [["b@example.org"]]


async def test_templates_are_refused(client):
    answer = await client.post("/email/withTemplate", json={"TemplateId": 1})

    assert (answer.status_code, answer.json()["ErrorCode"]) == (422, 1101)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["npm", "postmarker", "postmark-python", "ruby"])
async def test_an_unmodified_client_of_postmark_sends(port, hop, name):
    if name == "npm":
        if not (NODE_CLIENTS / "node_modules" / "postmark").is_dir() or not shutil.which("node"):
            pytest.skip("npm's postmark is not in build/clients; 'make clients' installs it")
        command = ["node", CLIENTS / "send.mjs"]
    elif name == "ruby":
        if not has_gem():
            pytest.skip("ruby-postmark is not installed")
        command = ["ruby", CLIENTS / "send.rb"]
    else:
        if not find_spec("postmarker" if name == "postmarker" else "postmark"):
            pytest.skip(f"{name} is not installed; the extra 'clients' has it")
        command = [sys.executable, CLIENTS / f"send_{name.replace('-', '_')}.py"]
    command += [f"127.0.0.1:{port}", TOKEN]

    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, timeout=60, env=os.environ | {"CLIENTS": str(NODE_CLIENTS)}
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "sent": [0, "OK", "b@example.org"],
        "batch": [0, 406],
        "inactive": ["gone@example.org"],
        "unknown": True,
    }
    assert [taken.recipients[0] for taken in hop.taken] == ["b@example.org", "c@example.org"]
    for taken in hop.taken:
        message = email.message_from_bytes(taken.content, policy=email.policy.default)
        assert message["Subject"] == "Grüße"
        assert [len(links_in(message.get_body((kind,)).get_content())) for kind in ("html", "plain")] == [1, 0]
