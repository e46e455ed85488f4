"""Take-backs: rules come from whoever signs them, and routers read them on.

Promise: central holds no key and judges no tag. It keeps what has the shape of a rule and is of the caller's tenant,
gives it the next number, and hands it on as it came.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from linkrouter.central import take_back_models as models
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.questions import MessageFilter
from linkrouter.central.store.take_backs import ListReader, SentCounts, SentLinkFilter
from linkrouter.clicks.click import iso_utc
from linkrouter.errors import BadRule, StoreError
from linkrouter.link.takeback import TakeBack, parse_take_back
from linkrouter.units import SECOND_US
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.routes import Route
from linkrouter.web.tokens import Caller

__all__ = ["TakeBacksApi", "take_back_routes"]

DEFAULT_STATE_RULES = 100
ONE_OF = Refusal(422, Fault("give exactly one of url, origin, link_id, message_id and message_key"))
SAME_ID = "a rule of this id was posted before with other content"


@dataclass(frozen=True, slots=True)
class TakeBacksApi:
    """What the answers need: the store."""

    store: CentralStore

    async def add(self, batch: models.RulesBatch, caller: Caller) -> models.RuleReceipt | Refusal:
        """Keep signed rules for routers to read. The same rule again is a duplicate."""
        rules: list[TakeBack] = []
        for index, fields in enumerate(batch["rules"]):
            try:
                rules.append(parse_take_back(fields))
            except BadRule as exc:
                return Refusal(422, Fault(str(exc), "rules", index))
        if not all(caller.sees(rule.tenant) for rule in rules):
            return Refusal(403)
        added = await self.store.add_take_backs(rules, _now_us(), caller.name)
        if added is None:
            return Refusal(409)
        return {"stored": added.stored, "duplicates": len(rules) - added.stored, "seq": added.seq}

    async def list(self, query: models.RulesQuery, caller: Caller) -> models.RulesList:
        """Give rules in the order they came, those behind `after`, for a router.

        A router says with it up to which number its workers have the rules in force. An `If-None-Match` with the ETag
        of the same answer gets 304.
        """
        after, limit = query.get("after", 0), query.get("limit", models.MAX_RULES)
        page = await self.store.list_take_backs(after, limit, caller.tenant)
        if "router" in query:
            with suppress(StoreError):  # a full disk must not keep a rule from a router
                await self.store.note_reader(ListReader(query["router"], query.get("applied", 0), _now_us()))
        return {"rules": [_rule_record(rule) for rule in page.rules], "seq": page.seq}

    async def state(self, query: models.StateQuery, caller: Caller) -> models.RulesState | Refusal:
        """Give rules, the newest first: by whose token each came, how many routers have it, what clicks it turned."""
        if not caller.sees(query.get("tenant")):
            return Refusal(403)
        limit, tenant = query.get("limit", DEFAULT_STATE_RULES), caller.narrow(query.get("tenant"))
        found = await self.store.find_take_backs(query.get("before"), limit + 1, tenant)
        readers, last = await self.store.list_readers(), await self.store.find_take_backs(None, 1, None)
        page, now_us = found[:limit], _now_us()
        return {
            "seq": last[0].seq if last else 0,
            "rules": [
                {
                    "seq": one.seq,
                    "rule": _rule_record(one.rule),
                    "added_at": iso_utc(one.added_at),
                    "added_by": one.added_by,
                    "routers": sum(reader.seq >= one.seq for reader in readers),
                    "clicks": one.clicks,
                }
                for one in page
            ],
            "next_before": page[-1].seq if len(found) > limit else None,
            "routers": [
                {
                    "router": reader.router,
                    "seq": reader.seq,
                    "seen_at": iso_utc(reader.seen_at),
                    "silent_seconds": max(0, now_us - reader.seen_at) / SECOND_US,
                }
                for reader in (readers if caller.tenant is None else ())  # they are the operator's
            ],
        }

    async def count_matches(self, asked: models.MatchQuestion, caller: Caller) -> models.MatchCounts | Refusal:
        """Count the sent links that a rule would match, of those that senders have told of.

        What a rule holds is a hash, which central cannot make: so a sender asks with the URL itself.
        """
        tenant = asked.get("tenant", caller.tenant or 0)
        if len(asked.keys() - {"tenant", "matches"}) != 1:
            return ONE_OF
        if not caller.sees(tenant):
            return Refusal(403)
        values: dict[str, Any] = {
            name: asked[name] for name in ("url", "origin", "link_id", "message_key") if name in asked
        }
        newest = await self.store.newest_take_back(asked.get("matches", ()), tenant)
        counts = SentCounts(0, 1)
        if "message_id" in asked:
            found = await self.store.find_messages(MessageFilter(asked["message_id"], tenant=tenant), None, 1)
            if not found:
                return Refusal(404)
            values["message_key"] = found[0].message_key  # None where ids are of the sender's own scheme
        if any(values.values()):
            counts = await self.store.count_sent_links(SentLinkFilter(tenant, **values))
        return {
            "links": counts.links,
            "messages": counts.messages,
            "message_key": values.get("message_key"),
            "newest": _rule_record(newest) if newest else None,
        }


def take_back_routes(store: CentralStore) -> tuple[Route, ...]:
    """Give the paths of take-backs."""
    api = TakeBacksApi(store)

    def route(operation: str, method: str, path: str, **more: Any) -> Route:
        path, rules = "/v1/take-backs" + path, models.TAKE_BACK_RULES
        return Route(operation=operation, method=method, path=path, rules=rules, **more)

    return (
        route(
            "addTakeBacks",
            "POST",
            "",
            scope="takebacks",
            body=models.RulesBatch,
            gives=models.RuleReceipt,
            refuses={409: SAME_ID},
            answer=api.add,
        ),
        route(
            "listTakeBacks",
            "GET",
            "",
            scope="clicks:write",
            query=models.RulesQuery,
            gives=models.RulesList,
            has_etag=True,
            answer=api.list,
        ),
        route(
            "getTakeBacksStatus",
            "GET",
            "/status",
            scope="takebacks",
            query=models.StateQuery,
            gives=models.RulesState,
            answer=api.state,
        ),
        route(
            "countTakeBackMatches",
            "POST",
            "/matches",
            scope="takebacks",
            body=models.MatchQuestion,
            gives=models.MatchCounts,
            refuses={404: "no message of this id is known"},
            answer=api.count_matches,
        ),
    )


def _rule_record(rule: TakeBack) -> models.RuleRecord:
    return cast(models.RuleRecord, rule._asdict())


def _now_us() -> int:
    return time.time_ns() // 1000
