"""PyPI `postmark-python`, unmodified. HOST:PORT TOKEN"""

import asyncio
import json
import sys

from postmark import ServerClient
from postmark.exceptions import InactiveRecipientException, InvalidAPIKeyException


def mail(to):
    return {
        "sender": "Shop <shop@example.com>",
        "to": to,
        "subject": "Grüße",
        "tag": "welcome",
        "metadata": {"order": "7"},
        "html_body": '<p><a href="https://example.org/seeds/">Seeds</a></p>',
        "text_body": "https://example.org/seeds/",
        "track_links": "HtmlOnly",
    }


async def main(host, token):
    client = ServerClient(token, base_url=f"http://{host}")
    stranger = ServerClient("nobody-knows-this-token", base_url=f"http://{host}", retries=0)
    sent = await client.outbound.send(mail("b@example.org"))
    batch = await client.outbound.send_batch([mail("c@example.org"), mail("gone@example.org")])
    try:
        await client.outbound.send(mail("gone@example.org"))
        inactive = None
    except InactiveRecipientException as exc:
        inactive = ["gone@example.org"] if "gone@example.org" in str(exc) else str(exc)
    try:
        await stranger.outbound.send(mail("b@example.org"))
        unknown = False
    except InvalidAPIKeyException:
        unknown = True
    print(
        json.dumps(
            {
                "sent": [sent.error_code, sent.message, sent.to],
                "batch": [one.error_code for one in batch],
                "inactive": inactive,
                "unknown": unknown,
            }
        )
    )


asyncio.run(main(*sys.argv[1:3]))
