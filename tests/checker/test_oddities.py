"""The check of servers that are odd, each as somebody has met it."""

from checker.oddities import Odd
from checker.servers import LOOPBACK
from checker.world import reports
from processes import room

from linkrouter.checker.compose import open_checker
from linkrouter.checker.mail.extract import extract
from linkrouter.settings import CheckSettings


async def test_every_odd_server_gets_the_verdict_that_a_browser_would_give_it():
    async with Odd() as odd, open_checker(CheckSettings(allow_network=LOOPBACK, timeout=5.0 * room())) as checker:
        found = await reports(checker, extract(odd.page(), "html", local=True))
        wrong = {name: found[url].reason for url, right, name in odd.truth() if found[url].verdict not in right}

    assert wrong == {}
    assert len(found) > 40
