"""A scene: one home with a centre, a router and a load, in which something is about to go wrong."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from faults.load import Load, Request, make_links
from processes import COMMAND, Home, children, fetch, free_port, wait_until

from linkrouter.clicks import open_click_store
from linkrouter.clicks.ring.file import ring_files
from linkrouter.clicks.ring.page import CARRIED, CLICKS, PAGE_BYTES
from linkrouter.clicks.ring.place import find_ring_directory
from linkrouter.clicks.store import StoreStatus
from linkrouter.link import Keyring

SAMPLE = re.compile(r'^(linkrouter_\w+?)(?:_total)?(?:\{\w+="([^"]*)"\})? ([-0-9.e+]+)$', re.M)
ALIVE_S = 10.0  # from the end of a fault to a new click at the centre
DYING_S = 0.05  # from the end of a process's sockets to when its parent sees that it is dead
DRAIN_S = 60.0  # for everything that waits to arrive


@dataclass
class Kill:
    """The end of a router without notice, and when another answered; times of the monotonic clock."""

    began_at: float
    ended_at: float = float("inf")


@dataclass
class Scene:
    """What a scenario acts in. Times are of the monotonic clock."""

    home: Home
    command: tuple[str, ...] = tuple(COMMAND)
    environment: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    central_options: tuple[str, ...] = ()
    workers: int = 1  # of each router
    ring: bool = False  # whether clicks go through shared memory to a carrier
    port: int = field(default_factory=free_port)  # where the load goes
    centre_port: int = 0  # where routers send; the centre itself by default
    rate: float = 200.0
    load: Load | None = None
    router: subprocess.Popen | None = None
    central: subprocess.Popen | None = None
    routers: list[subprocess.Popen] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    recoveries_s: list[float] = field(default_factory=list)
    disk_peak_bytes: int = 0
    dropped_by_the_dead: int = 0  # what routers that were stopped told the centre last

    # Starting

    def start(self, *options: str, centre: bool = True) -> None:
        """Start a centre, a router with *options* and the load, and wait until clicks flow."""
        self.options = options
        if centre:
            self.start_central()
        self.router = self.start_router()
        self.start_load()

    def start_central(self) -> None:
        self.central = self.home.start_central(*self.central_options)

    def start_load(self) -> None:
        self.load = Load(self.port, make_links(Keyring.load(self.home.path / "keys.json")), self.rate)
        self.load.start()
        wait_until(lambda: self.some_answered_since(0.0))

    def start_router(self, port: int | None = None) -> subprocess.Popen:
        """Start one router, with the scene's options and in its environment, and wait until it is ready."""
        router = self.launch_router(port or self.port)
        wait_until(lambda: router.poll() is not None or self.home.answers(router.port, "/-/ready"))
        assert router.poll() is None, self.home.log()
        return router

    def launch_router(self, port: int) -> subprocess.Popen:
        """Start one router and do not wait; it ends with the home."""
        admin, centre = free_port(self.workers), self.centre_port or self.home.central_port
        with open(self.home.path / "log", "ab") as log:
            router = subprocess.Popen(
                [
                    *(*self.command, "router", "--keys", "keys.json"),
                    *("--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin}"),
                    *("--ingest-url", f"http://127.0.0.1:{centre}", "--ingest-token-file", "ingest-token"),
                    *("--workers", str(self.workers), "--ring", "on" if self.ring else "off"),
                    *self.options,
                ],
                cwd=self.home.path,
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
            )
        router.port, router.admin_port = port, admin
        self.home.processes.append(router)
        self.routers.append(router)
        return router

    # Letting time pass

    def pass_s(self, seconds: float) -> None:
        """Let the load go on for so many *seconds* of requests."""
        due = len(self.load.requests) + seconds * self.rate
        wait_until(lambda: self.look() and len(self.load.requests) >= due, 10 + 3 * seconds)

    def look(self) -> bool:
        """Note how large the spool has become."""
        self.disk_peak_bytes = max(self.disk_peak_bytes, self.spool().bytes)
        return True

    def kill_router(self) -> None:
        """Kill the router and start another."""
        died_at = time.monotonic()
        self.router.kill()
        self.router.wait()
        self.replace_router(died_at)

    def kill_worker(self, number: int) -> None:
        """Kill one of the router's workers, and wait until its supervisor has started another."""
        self.kill_children(f"--worker {number}")

    def kill_children(self, *roles: str) -> None:
        """Kill those of the router's processes that have one of *roles* in their command, and wait for others."""
        before = self.processes_of(self.router)
        kill = Kill(time.monotonic())
        self.kills.append(kill)
        for role in roles:
            os.kill(next(pid for pid, command in before.items() if role in command), signal.SIGKILL)
        wait_until(lambda: self.is_whole() and not self.processes_of(self.router).keys() >= before.keys())
        kill.ended_at = time.monotonic()
        self.wait_for_life(kill.began_at)

    def is_whole(self) -> bool:
        """Tell whether all processes of the router are there and say what they do."""
        count = self.workers + self.ring
        return len(self.processes_of(self.router)) == count and self.is_measurable() and self.is_ready()

    def is_ready(self) -> bool:
        return bool(self.home.answers(self.router.port, "/-/ready"))

    def processes_of(self, router: subprocess.Popen) -> dict[int, str]:
        """Give the processes that *router* supervises, with their commands."""
        found = {}
        for pid in children(router.pid):
            with contextlib.suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        return {pid: command for pid, command in found.items() if command}

    def kill_supervisor(self) -> None:
        """Kill what keeps the router's processes, wait until they have ended by themselves, and start another."""
        orphans = self.processes_of(self.router)
        died_at = time.monotonic()
        self.router.kill()
        self.router.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))
        self.replace_router(died_at)

    def rings_waiting(self) -> int:
        """Tell how many clicks wait in rings, from outside."""
        if not self.ring:
            return 0
        waiting = 0
        for path in ring_files(find_ring_directory(f"sqlite:///{self.home.path}/spool", 1, 1 << 20, None)):
            with contextlib.suppress(OSError):
                words = memoryview(path.read_bytes()[:PAGE_BYTES]).cast("Q")
                waiting += words[CLICKS] - words[CARRIED]
        return waiting

    def is_measurable(self) -> bool:
        """Tell whether every worker of the router gives its metrics."""
        try:
            return bool(self.metrics())
        except OSError:
            return False

    def wait_for_death(self) -> None:
        """Wait until the router has died by itself, and start another."""
        began_at = last_seen_at = time.monotonic()
        while self.router.poll() is None:
            last_seen_at = time.monotonic()
            assert last_seen_at - began_at < 20, "the router does not die"
            time.sleep(0.002)
        self.replace_router(last_seen_at - DYING_S)

    def replace_router(self, died_at: float) -> None:
        """Start another router where one died at *died_at*, and wait for life."""
        kill = Kill(died_at)
        self.kills.append(kill)
        self.router = self.start_router(self.router.port)
        kill.ended_at = time.monotonic()
        self.wait_for_life(died_at)

    @contextlib.contextmanager
    def quiet(self):
        """Send nothing, and begin when all that was sent has its answer."""
        self.load.is_paused = True
        wait_until(lambda: all(one.answered_at for one in self.load.requests[:]))
        yield
        self.load.is_paused = False

    def wait_for_commit(self) -> None:
        """Wait until no click is in memory alone."""
        wait_until(lambda: not self.metrics()["queue_clicks", ""])

    @contextlib.contextmanager
    def frozen(self, process: subprocess.Popen):
        """Stop *process* without its notice."""
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def wait_for_life(self, healed_at: float, within_s: float = ALIVE_S) -> float:
        """Wait until a request that was sent after *healed_at* is redirected and at the centre; give the seconds."""
        wait_until(lambda: any(map(self.is_at_the_centre, self.some_answered_since(healed_at))), within_s)
        self.recoveries_s.append(time.monotonic() - healed_at)
        return self.recoveries_s[-1]

    # Looking

    def some_answered_since(self, moment: float) -> list[Request]:
        """Give four requests a second of those sent since *moment* and answered, the newest first."""
        since = [one for one in self.load.requests if one.sent_at >= moment and one.is_answered]
        return since[:: -int(self.rate / 4)]

    def is_at_the_centre(self, request: Request) -> bool:
        page = self.home.ask_central(f"/v1/clicks?limit=1000&link_id={request.link.link_id}")
        return any(click["id"] == request.id for click in page["clicks"])

    def ids_at_the_centre(self) -> list[str]:
        """Give the id of every click the centre has, page by page."""
        ids, cursor = [], ""
        while cursor is not None:
            page = self.home.ask_central(f"/v1/clicks?limit=1000{cursor and '&cursor=' + cursor}")
            ids += [click["id"] for click in page["clicks"]]
            cursor = page["next_cursor"]
        return ids

    def spool(self) -> StoreStatus:
        """Tell what waits in the spool, from outside."""
        return asyncio.run(open_click_store(f"sqlite:///{self.home.path}/spool").status())

    def metrics(self, router: subprocess.Popen | None = None) -> dict[tuple[str, str], float]:
        """Give a router's metrics by name (without `linkrouter_`) and label; of workers, the sums."""
        first = (router or self.router).admin_port
        sums = Counter()
        for port in range(first, first + self.workers):
            text = fetch(f"http://127.0.0.1:{port}/metrics")[2].decode()
            for name, label, value in SAMPLE.findall(text):
                sums[name.removeprefix("linkrouter_"), label] += float(value)
        return sums

    def dropped(self, router: subprocess.Popen | None = None) -> dict[str, int]:
        """Give what a router dropped, by reason."""
        metrics = self.metrics(router)
        return {label: int(value) for (name, label), value in metrics.items() if name == "clicks_dropped" and value}

    def dropped_in_all(self) -> int:
        """Give what was dropped and counted, by whom and why ever."""
        return self.dropped_by_the_dead + sum(sum(self.dropped(router).values()) for router in self.living())

    def living(self) -> list[subprocess.Popen]:
        return [router for router in self.routers if router.poll() is None]

    def is_drained(self) -> bool:
        """Tell whether nothing waits any more: in memory, in the spool, of what was dropped."""
        queued = sum(self.metrics(router)["queue_clicks", ""] for router in self.living())
        if queued or self.rings_waiting() or self.spool().pending:
            return False
        missing = self.home.ask_central("/v1/stats/clicks")["missing"]["count"]
        return missing >= self.dropped_in_all() + sum(self.spool().lost.values())

    def drain(self) -> None:
        """End the load and wait until everything that can arrive has arrived."""
        self.load.stop()
        wait_until(self.is_drained, DRAIN_S)


def memory_peak_mb(process: subprocess.Popen) -> float:
    """Give the most memory *process* ever had resident."""
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def cpu_s(process: subprocess.Popen) -> float:
    """Give the processor time that *process* has used."""
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
