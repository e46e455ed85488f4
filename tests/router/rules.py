"""Rules for links that a test signed, and a router that has them in force."""

from linkrouter.link import Keyring
from linkrouter.link.takeback import TakeBack, match_link, parse_take_back, sign_take_back
from linkrouter.link.takeback_table import TakeBacks

NEW_PLACE = "https://example.org/instead?of=it"


def sign_rule(ring: Keyring, action: str, link_id: bytes, made_at: int = 1, **options) -> TakeBack:
    to = ring.sign(NEW_PLACE, tenant=options.get("tenant", 0)) if action == "replace" else ""
    return sign_take_back(ring, match=match_link(link_id), action=action, made_at=made_at, to=to, **options)


def take_back(router, ring: Keyring, action: str, link_id: bytes) -> TakeBack:
    """Put one rule in force at *router* and give it."""
    rule, table = sign_rule(ring, action, link_id), TakeBacks(ring)
    table.add(parse_take_back(rule._asdict()))
    router.responder.find_rule = table.find
    return rule
