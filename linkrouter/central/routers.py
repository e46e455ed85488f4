"""What routers say of themselves, so that one that is silent is seen."""

import json
import time

from linkrouter.central.router_models import RouterRecord, RoutersQuery, RoutersState, WorkerRecord
from linkrouter.central.store.interface import CentralStore
from linkrouter.central.store.records import RouterState
from linkrouter.clicks.click import iso_utc
from linkrouter.units import SECOND_US
from linkrouter.web.problems import Refusal
from linkrouter.web.tokens import Caller

__all__ = ["list_routers"]


async def list_routers(store: CentralStore, _: RoutersQuery, caller: Caller) -> RoutersState | Refusal:
    """Give what each router said last: version, what waits and since when, what it had to drop, workers, keys."""
    if caller.tenant is not None:
        return Refusal(403)  # they are the operator's, of all tenants
    now_us = time.time_ns() // 1000
    found: dict[str, list[RouterState]] = {}
    for state in await store.list_routers():
        found.setdefault(state.router, []).append(state)
    return {"routers": [_router(router, states, now_us) for router, states in found.items()]}


def _router(router: str, states: list[RouterState], now_us: int) -> RouterRecord:
    workers = [_worker(state, now_us) for state in states]
    latest = min(workers, key=lambda worker: worker["silent_seconds"])
    return {
        "router": router,
        "seen_at": latest["seen_at"],
        "silent_seconds": latest["silent_seconds"],
        "versions": sorted({worker["version"] for worker in workers}),
        "pending": sum(worker["pending"] for worker in workers),
        "oldest_seconds": max(worker["oldest_seconds"] for worker in workers),
        "dropped": sum(worker["dropped"] for worker in workers),
        "workers": workers,
    }


def _worker(found: RouterState, now_us: int) -> WorkerRecord:
    said = json.loads(found.state)
    return {
        "worker": found.worker,
        "seen_at": iso_utc(found.seen_at),
        "silent_seconds": max(0, now_us - found.seen_at) / SECOND_US,
        "version": said["version"],
        "pending": said["pending"],
        "oldest_seconds": said["oldest_seconds"],
        "dropped": said["dropped"],
        "keys": said.get("keys"),
        "take_backs": said.get("take_backs"),
    }
