"""PyPI `postmarker`, unmodified. HOST:PORT TOKEN"""

import json
import sys

from postmarker.core import PostmarkClient
from postmarker.exceptions import ClientError

host, token = sys.argv[1:3]


def client_with(token):
    client = PostmarkClient(server_token=token)
    client.root_api_url = f"http://{host}/"
    return client


def mail(to):
    return {
        "From": "Shop <shop@example.com>",
        "To": to,
        "Subject": "Grüße",
        "Tag": "welcome",
        "Metadata": {"order": "7"},
        "HtmlBody": '<p><a href="https://example.org/seeds/">Seeds</a></p>',
        "TextBody": "https://example.org/seeds/",
        "TrackLinks": "HtmlOnly",
    }


def refusal(client, to):
    try:
        client.emails.send(**mail(to))
    except ClientError as exc:
        return exc
    raise AssertionError("it was sent")


client = client_with(token)
sent = client.emails.send(**mail("b@example.org"))
batch = client.emails.send_batch(mail("c@example.org"), mail("gone@example.org"))
inactive = refusal(client, "gone@example.org")
print(
    json.dumps(
        {
            "sent": [sent["ErrorCode"], sent["Message"], sent["To"]],
            "batch": [one["ErrorCode"] for one in batch],
            "inactive": ["gone@example.org"]
            if inactive.error_code == 406 and "gone@" in str(inactive)
            else str(inactive),
            "unknown": refusal(client_with("nobody-knows-this-token"), "b@example.org").error_code == 10,
        }
    )
)
