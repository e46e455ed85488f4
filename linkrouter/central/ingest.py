"""Taking in: clicks from routers, messages from senders.

Promise: all of a request is kept or nothing of it, and the same request again changes nothing and says so.
"""

import hashlib
import json
import time
from operator import itemgetter

from linkrouter.central.answers import Receipt
from linkrouter.central.models import ClickBatch, MessageRecord
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.records import Message, MessageLink, RouterLoss, RouterState
from linkrouter.clicks.click import Click
from linkrouter.metrics import Metrics
from linkrouter.web.problems import Fault, Refusal
from linkrouter.web.tokens import Caller

__all__ = ["add_clicks", "add_message"]

_click_values = itemgetter(*Click._fields)
_loss_values = itemgetter("reason", "count", "since", "until")


async def add_clicks(store: CentralStore, metrics: Metrics, batch: ClickBatch, _: Caller) -> Receipt | Refusal:
    """Keep a router's clicks, each once however often it is sent.

    A click whose link is not known is kept too: the message may come later.
    """
    for index, loss in enumerate(batch.get("losses", ())):
        if loss["until"] < loss["since"]:
            return Refusal(422, Fault("until must not be before since", "losses", index))
    for click in batch["clicks"]:
        click.setdefault("takeback", None)
    # Both maps run in C: this line is passed a thousand times a batch.
    clicks = list(map(Click._make, map(_click_values, batch["clicks"])))
    losses = [RouterLoss(loss["id"], batch["router"], *_loss_values(loss)) for loss in batch.get("losses", ())]
    stored = await store.add_clicks(clicks, losses, _state(batch))
    metrics.count("linkrouter_central_clicks", "stored", stored)
    metrics.count("linkrouter_central_clicks", "duplicate", len(clicks) - stored)
    return {"stored": stored, "duplicates": len(clicks) - stored}


def _state(batch: ClickBatch) -> RouterState | None:
    if "state" not in batch:
        return None
    said = batch["state"]
    return RouterState(batch["router"], said.get("worker", 0), time.time_ns() // 1000, json.dumps(said))


async def add_message(store: CentralStore, record: MessageRecord, caller: Caller) -> Receipt | Refusal:
    """Keep what the encoder made of a mail.

    The same message again is a duplicate; another one with its id, or with one of its links, is refused. A tenant's
    token posts for that tenant.
    """
    tenant = record.get("tenant", caller.tenant or 0)
    if not caller.sees(tenant):
        return Refusal(403)
    kept = await store.add_message(_message({**record, "tenant": tenant}))
    if kept == "conflict":
        return Refusal(409)
    return {"stored": int(kept == "stored"), "duplicates": int(kept == "known")}


def _message(record: MessageRecord) -> Message:
    left_out: dict[str, object] = {"tenant": 0, "recipient": None, "tag": None, "metadata": {}}
    canonical = json.dumps({**left_out, **record}, sort_keys=True)
    return Message(
        message_id=record["message_id"],
        digest=hashlib.sha256(canonical.encode()).digest(),
        tenant=record.get("tenant", 0),
        sent_at=record["sent_at"],
        recipient=record.get("recipient"),
        tag=record.get("tag"),
        metadata=record.get("metadata", {}),
        links=tuple(
            MessageLink(link["link_id"], link["url"], link["part"], link["position"], link.get("trap", False))
            for link in record["links"]
        ),
        message_key=record.get("message_key"),
        html=record.get("html"),
    )
