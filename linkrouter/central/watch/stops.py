"""The stop that central makes by itself, where it was given a keyring for it.

Promise: a rule is signed as `linkrouter takeback stop --url` signs it and kept the way that `POST /v1/take-backs` keeps
one. It is for one destination of one tenant, never for an origin. An event makes one at most: the rule bears its id.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.watch import WatchEvent
from linkrouter.central.take_back_models import RulesBatch
from linkrouter.central.takebacks import TakeBacksApi
from linkrouter.errors import BadDestination, LinkrouterError
from linkrouter.link.codec import decode_base64url
from linkrouter.link.keyring import Keyring
from linkrouter.link.takeback import REPLACE, STOP, TakeBack, is_signed, match_destination, sign_take_back, time_to_win
from linkrouter.log import log
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import Caller

__all__ = ["FlaggedStops"]

CENTRAL = Caller(frozenset({"takebacks"}), None, "central")  # by whom such rules were added


@dataclass(slots=True)
class FlaggedStops:
    """Stops over *store*; *load_keyring* is asked for each, since the file may be rotated meanwhile."""

    store: CentralStore
    load_keyring: Callable[[], Keyring]
    _trouble: str = ""  # so that it is told once

    async def stop(self, event: WatchEvent) -> bool:
        """Let the destination of *event* lead nowhere; False when that is to be tried again."""
        try:
            ring = self.load_keyring()
            rule = await self._sign(event, ring)
        except BadDestination:
            return True  # no link can lead there
        except LinkrouterError as exc:
            if self._trouble != type(exc).__name__:
                self._trouble = type(exc).__name__
                log("watch.not_stopped", reason=self._trouble)
            return False
        self._trouble = ""
        if rule is not None:
            added = await TakeBacksApi(self.store).add(cast(RulesBatch, {"rules": [rule._asdict()]}), CENTRAL)
            # The rule of this id with another time is our own of before a kill.
            if isinstance(added, Refusal) and added.status != 409:
                log("watch.not_stopped", reason=str(added.status))
                return False
        return True

    async def _sign(self, event: WatchEvent, ring: Keyring) -> TakeBack | None:
        """Give the rule; None where the sender has already stopped or replaced this destination."""
        key_ids = [key.id for key in ring.keys if key.state != "revoked"]
        matches = {match_destination(ring, event.url, tenant=event.tenant, key_id=key_id) for key_id in key_ids}
        newest = await self.store.newest_take_back(sorted(matches), event.tenant)
        if newest is not None and newest.action in (STOP, REPLACE) and is_signed(newest, ring):
            return None
        return sign_take_back(
            ring,
            match=match_destination(ring, event.url, tenant=event.tenant),
            action=STOP,
            made_at=time_to_win(newest, ring, int(time.time())),
            tenant=event.tenant,
            rule_id=decode_base64url(event.id),
        )
