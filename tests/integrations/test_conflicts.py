"""Copies of one mail at a real central: each is known by an id, and none is lost for having that of another."""

import pytest

from linkrouter.integrations.manifest import manifest_entry
from linkrouter.integrations.reporting import CentralClient, Reporter


@pytest.mark.slow
def test_copies_with_one_message_id_are_all_known_to_central(home):
    from linkrouter import Encoder, Keyring

    home.start_central()
    encoder = Encoder("https://click.example.com", Keyring.load(home.path / "keys.json"))
    client = CentralClient(f"http://127.0.0.1:{home.central_port}", (home.path / "api-token").read_text())
    reporter = Reporter(client, home.path / "reports")
    done = [encoder.rewrite_text("https://example.org/seeds/") for _ in range(3)]
    entries = [
        manifest_entry(one.links, "m1@example.com", f"r{number}@example.org", message_key=one.message_key)
        for number, one in enumerate(done)
    ]

    for entry in (*entries, entries[1]):
        reporter.report(entry)

    assert reporter.flush(20)
    reporter.close()
    found = home.ask_central("/v1/messages")["messages"]
    assert {message["recipient"]: message["message_id"] for message in found} == {
        "r0@example.org": "m1@example.com",
        "r1@example.org": f"m1@example.com/{entries[1]['message_key']}",
        "r2@example.org": f"m1@example.com/{entries[2]['message_key']}",
    }
