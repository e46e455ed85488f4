"""The ways to a PostgreSQL: through PgBouncer, over TLS, and with a password that changes."""

import asyncio
import os
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from brokers import AS_POSTGRES, Server, start_postgres
from central.history import make_history
from central.labelled import assert_figures_are_the_sum_of_labels, label_all
from checker.servers import Certificates
from processes import HANG_S, free_port

from linkrouter.central.store.opening import open_central_store
from linkrouter.central.store.questions import ClickFilter
from linkrouter.errors import SettingsError, StoreError

BATCHES, BATCH = 40, 25
SERVERS = 5  # connections that the pooler has, for the 20 of two centres
POOLER = """
[databases]
central = host=127.0.0.1 port={server} dbname=postgres user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
"""
ACCESS = """
host all postgres 127.0.0.1/32 trust
hostssl all linkrouter 127.0.0.1/32 scram-sha-256
"""


@pytest.fixture
def public_folder():
    """A folder that servers of other users can read."""
    folder = Path(tempfile.mkdtemp(prefix="linkrouter-ways-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def pooler_url(postgres_url, postgres, public_folder):
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed; run: apt-get install pgbouncer")
    port = free_port()
    file = public_folder / "pgbouncer.ini"
    file.write_text(POOLER.format(server=postgres.port, port=port, servers=SERVERS))
    ran_as = {"user": AS_POSTGRES} if os.geteuid() == 0 else {}
    pooler = Server([program, "-q", file], port, cwd="/", **ran_as)
    yield f"postgresql://anybody@127.0.0.1:{port}/central?statement_cache=off"
    pooler.stop()


async def test_two_centres_work_behind_pgbouncer_in_transaction_mode(pooler_url, make_clicks):
    stores = [open_central_store(pooler_url) for _ in range(2)]
    async with AsyncExitStack() as stack:
        for store in stores:
            await store.open()
            stack.push_async_callback(store.close)
        history = await make_history(stores[0], seed=5)
        async with stores[1].lead():
            adding = [stores[n % 2].add_clicks(make_clicks(BATCH, n * BATCH)) for n in range(BATCHES)]
            asking = [stores[n % 2].find_clicks(ClickFilter(tag="november"), None, 10) for n in range(BATCHES)]
            *answers, _ = await asyncio.gather(*adding, *asking, label_all(stores[0]))
            await label_all(stores[1])

        assert sum(answers[:BATCHES]) == BATCHES * BATCH
        assert len(await stores[1].find_clicks(ClickFilter(), None, 10_000)) == BATCHES * BATCH + len(history.clicks)
        await assert_figures_are_the_sum_of_labels(stores[1])


class Guarded:
    """A PostgreSQL that lets `linkrouter` in over TLS with a password alone."""

    def __init__(self, folder: Path) -> None:
        certificates = Certificates(folder)
        certificates.signed("IP:127.0.0.1")
        self.ca_file, self.password_file = certificates.client(), folder / "password"
        access = folder / "access"
        access.write_text(ACCESS)
        if os.geteuid() == 0:
            shutil.chown(folder / "s.key", AS_POSTGRES)
        (folder / "s.key").chmod(0o600)
        options = [f"ssl_cert_file={folder}/s.pem", f"ssl_key_file={folder}/s.key", f"hba_file={access}"]
        self.server = start_postgres("fsync=off", "ssl=on", *options)
        asyncio.run(self.command("CREATE ROLE linkrouter LOGIN", "CREATE DATABASE central OWNER linkrouter"))

    async def command(self, *statements: str) -> None:
        import asyncpg

        own = await asyncpg.connect(host="127.0.0.1", port=self.server.port, user="postgres", database="postgres")
        try:
            for statement in statements:
                await own.execute(statement)
        finally:
            await own.close()

    async def set_password(self, password: str) -> None:
        """Change the server's, and whoever is in is thrown out."""
        await self.command(
            f"ALTER ROLE linkrouter PASSWORD '{password}'",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'linkrouter'",
        )

    def write_password(self, password: str) -> None:
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(password)

    def url(self, host: str = "127.0.0.1", ca_file: str | None = None) -> str:
        options = f"sslmode=verify-full&ca_file={ca_file or self.ca_file}&password_file={self.password_file}"
        return f"postgresql://linkrouter@{host}:{self.server.port}/central?{options}"


@pytest.fixture
def guarded(public_folder):
    made = Guarded(public_folder)
    yield made
    made.server.stop()


def test_a_changed_password_needs_no_restart(guarded, make_clicks):
    async def run() -> None:
        await guarded.set_password("first-secret")
        guarded.write_password("first-secret")
        store = open_central_store(guarded.url())
        await store.open()
        try:
            assert await store.add_clicks(make_clicks(3)) == 3
            await guarded.set_password("second-secret")
            guarded.write_password("second-secret")
            async with asyncio.timeout(HANG_S):
                while not await is_there(store):
                    await asyncio.sleep(0.05)
            assert await store.add_clicks(make_clicks(5)) == 2
        finally:
            await store.close()
        guarded.write_password("third-secret")
        with pytest.raises(SettingsError, match="does not let this process in; see its user, password_file") as refused:
            await open_central_store(guarded.url()).open()
        assert "third-secret" not in str(refused.value)

    asyncio.run(run())


async def is_there(store) -> bool:
    try:
        await store.check()
    except StoreError:
        return False
    return True


def test_a_server_that_nobody_vouches_for_is_refused_in_one_line(home, guarded, public_folder):
    asyncio.run(guarded.set_password("first-secret"))
    guarded.write_password("first-secret")
    other = public_folder / "other"
    other.mkdir()
    urls = [guarded.url(ca_file=Certificates(other).client()), guarded.url(host="localhost")]

    for url in urls:
        tokens = ("--ingest-token-file", "ingest-token", "--api-token-file", "api-token")
        done = home.run("central", "--database", url, *tokens, "--admin-listen", "127.0.0.1:0", check=False)

        said = done.stderr.decode()
        assert done.returncode == 3
        assert said.count("\n") == 1
        assert "certificate" in said
        assert "ca_file" in said
        assert "first-secret" not in said
