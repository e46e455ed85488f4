"""What must hold whatever fails: the six invariants, and the row of the table that says so.

I1  every valid link gets its exact Location, or, where the only router was dead, an honest refusal
I2  what is committed arrives; what is missing is inside the window of a kill, or counted where it was dropped
I3  nothing is stored twice
I4  alive again within ten seconds: a new click is redirected and at the centre (where the centre was there and
    answered amiss, the longest back-off comes on top)
I5  memory and disk stay under their caps
I6  no canary anywhere but in the clicks themselves
"""

from dataclasses import dataclass

from faults.load import ADDRESS, CANARY, Request
from faults.scene import ALIVE_S, Kill, Scene, memory_peak_mb
from processes import fetch, room

COMMIT_WINDOW_S = 0.05  # what a kill may cost, as traffic, where one process does everything
# One click may be older than the window: its commit takes time of its own, longer on a busy disk.
OLDEST_LOST_S = COMMIT_WINDOW_S + 0.25
# Without --faults nobody has made the machine quiet: a disk that stalls is not the router's fault.
UNMEASURED_ROOM = 5.0
MEMORY_MB = 160.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    fault: str
    injected: str
    times: int
    clicks: int
    lost: int  # inside the window of a kill, where nobody could count them
    counted: int  # dropped and counted, or given up in a damaged segment and counted
    duplicated: int
    recovery_s: float
    note: str = ""


def check(
    scene: Scene,
    fault: str,
    injected: str,
    times: int = 1,
    *,
    outages: bool = False,
    damaged: int = 0,
    alive_s: float = ALIVE_S,
    memory_mb: float = MEMORY_MB,
    disk_bytes: int = 64 << 20,
    dead_letters: frozenset[str] = frozenset(),
    in_doubt: int = 0,
    measured: bool = True,
) -> Row:
    """Drain the *scene*, hold it to the invariants, and give its row.

    *outages* says that the load went straight to a router that died; *damaged* is how many clicks the spool lost;
    *dead_letters* are the ids of those that wait for a person; *in_doubt* is how many of the counted may have arrived,
    as what a process handed to its disk and heard no more of; *measured* says that the machine is quiet enough for
    times to be held to what was promised.
    """
    scene.drain()
    requests, ids = scene.load.requests, scene.ids_at_the_centre()
    arrived = {*ids, *dead_letters}
    answered = [one for one in requests if one.is_answered]
    missing = [one for one in answered if one.id not in arrived]

    check_answers(requests, scene.kills if outages else [])
    lost, dropped = check_losses(missing, scene, damaged, in_doubt, 1.0 if measured else UNMEASURED_ROOM)
    check_centre(scene, ids, dropped + damaged)
    check_costs(scene, alive_s, memory_mb, disk_bytes)
    check_canaries(scene)
    return Row(
        fault,
        injected,
        times,
        len(answered),
        lost,
        dropped + damaged,
        duplicated=len(ids) - len(set(ids)),
        recovery_s=max(scene.recoveries_s, default=0.0),
        note=describe_loss(missing, scene) if lost else "",
    )


def check_answers(requests: list[Request], outages: list[Kill]) -> None:
    """I1: what was answered was exact, and what was not answered met a dead router."""
    for one in requests:
        if one.fault:
            met = any(one.answered_at >= kill.began_at and one.sent_at <= kill.ended_at for kill in outages)
            assert met, f"a request failed with {one.fault}"
            assert not one.fault.startswith(("status", "another")), one.fault


def check_losses(missing: list[Request], scene: Scene, damaged: int, in_doubt: int, patience: float) -> tuple[int, int]:
    """I2: what is missing went in the window of a kill, or was counted. Give how many were lost, how many dropped."""
    dropped = scene.dropped_in_all()
    lost = check_kill_window(missing, scene, patience) if scene.kills else 0
    counted = lost + dropped + damaged
    assert counted - in_doubt <= len(missing) <= counted
    return lost, dropped


def check_kill_window(missing: list[Request], scene: Scene, patience: float) -> int:
    """I2 for kills: what nobody counted was answered right before one. Give how many that is."""
    if scene.ring:
        assert not missing, f"{len(missing)} clicks that were answered are lost"
    ages = [nearest_kill(one, scene.kills) for one in missing]
    assert max(ages, default=0.0) <= OLDEST_LOST_S * patience * room(), (
        f"a click was lost {max(ages):.3f} s before a kill"
    )
    assert len(missing) <= len(scene.kills) * COMMIT_WINDOW_S * scene.rate * patience * room(), (
        "more was lost than the window holds"
    )
    return len(missing)


def check_centre(scene: Scene, ids: list[str], counted: int) -> None:
    """I2 and I3: the centre knows of what was lost and counted, has nothing twice and nothing that was not sent."""
    stats = scene.home.ask_central("/v1/stats/clicks?robots=include")
    assert stats["missing"]["count"] == counted
    assert len(ids) == len(set(ids)) == stats["total"]
    assert not set(ids) - {one.id for one in scene.load.requests}


def check_costs(scene: Scene, alive_s: float, memory_mb: float, disk_bytes: int) -> None:
    """I4 and I5: how long it took, and what of memory and disk."""
    assert max(scene.recoveries_s, default=0.0) <= alive_s * room()
    assert scene.disk_peak_bytes <= disk_bytes
    for router in scene.living():
        assert memory_peak_mb(router) <= memory_mb


def describe_loss(missing: list[Request], scene: Scene) -> str:
    """Say how much traffic a kill cost, and how old the oldest lost click was."""
    traffic_ms = 1000 * len(missing) / len(scene.kills) / scene.rate
    oldest_ms = 1000 * max(nearest_kill(one, scene.kills) for one in missing)
    return f"{traffic_ms:.0f} ms of traffic a kill, the oldest {oldest_ms:.0f} ms old"


def nearest_kill(one: Request, kills: list[Kill]) -> float:
    """Give the seconds from the answer to the first kill after the request was sent."""
    return min(
        (max(0.0, kill.began_at - one.answered_at) for kill in kills if kill.ended_at >= one.sent_at), default=1e9
    )


def check_canaries(scene: Scene) -> None:
    """I6: nothing of a request in any log, metric or file name."""
    texts = [scene.home.log(), *(str(path) for path in scene.home.path.rglob("*"))]
    texts += [fetch(f"http://127.0.0.1:{router.admin_port}/metrics")[2].decode() for router in scene.living()]
    for canary in (CANARY, CANARY.lower(), ADDRESS, scene.load.links[0].path.rpartition("/")[2]):
        assert not any(canary in text for text in texts), "a canary was written"


def to_markdown(rows: list[Row]) -> str:
    """Give the table."""
    lines = [
        "| fault | injected how | times | clicks | lost | dropped and counted | duplicated | recovery |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        lost = f"{row.lost} ({row.note})" if row.note else str(row.lost)
        recovery = f"{row.recovery_s:.1f} s" if row.recovery_s else "none needed"
        lines.append(
            f"| {row.fault} | {row.injected} | {row.times} | {row.clicks} | {lost} | {row.counted} "
            f"| {row.duplicated} | {recovery} |"
        )
    return "\n".join(lines)
