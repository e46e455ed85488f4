"""Rewrite one message: `send.py KEYS MANIFEST < mail.eml > tracked.eml`.

The last step before DKIM signs and the message goes out. What central has to know of it is one line of MANIFEST.
"""

import json
import os
import sys
import uuid
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path

from linkrouter import Encoder, Keyring


def main(keys: str, manifest: str) -> None:
    """Rewrite standard input to standard output, and add one line to *manifest*."""
    encoder = Encoder("https://click.example.com", Keyring.load(keys))
    done = encoder.rewrite_message(sys.stdin.buffer.read())
    if done.reason:
        print(f"sent as it is: {done.reason}", file=sys.stderr)
    sent = {
        "message_id": f"{uuid.uuid4()}@example.com",
        "sent_at": datetime.now(UTC).isoformat(),
        "message_key": urlsafe_b64encode(done.message_key).decode().rstrip("="),
        "links": [
            {"link_id": link.link_id, "url": link.url, "part": link.part, "position": link.position}
            for link in done.links
        ],
    }
    # The file holds links: it is for its owner alone.
    with os.fdopen(os.open(Path(manifest), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as file:
        file.write(json.dumps(sent) + "\n")
    sys.stdout.buffer.write(done.content)


main(*sys.argv[1:])
