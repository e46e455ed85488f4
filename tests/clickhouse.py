"""ClickHouse on loopback for the tests: Debian's server, alone or as a cluster, and the engine of a current version.

The cluster is 2 shards of 2 replicas each with a ZooKeeper, named `linkrouter` in ClickHouse's configuration. The
current engine is one node without replication; `make clickhouse-current` installs it.
"""

import json
import shutil
import signal
import socket
import sys
import tempfile
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from brokers import Server
from processes import HANG_S, fetch, free_port, wait_until

CLUSTER = "linkrouter"
SHARDS, REPLICAS = 2, 2
SESSION_MS = 6000  # after so long without a sign of life, ZooKeeper takes a replica for dead
CURRENT = Path(__file__).parents[1] / "build" / "clickhouse-current" / "chdb"
ZOOKEEPER = [Path("/usr/share/java") / name for name in ("zookeeper.jar", "slf4j-nop.jar")]

_databases = count(1)


class RefusedByClickHouse(Exception):
    """A statement failed; the text is the server's."""


class Node(Server):
    """A server of ClickHouse, or the current engine, that can be killed, frozen and started again on its data."""

    def url(self, database):
        """Give how central names this node alone."""
        return f"clickhouse://127.0.0.1:{self.port}/{database}"

    def ask(self, statement, body="", *, database="default", **settings):
        """Give the rows that *statement* answers, as dictionaries, or what it says where that is no JSON."""
        asked = {"query": statement, "database": database, "output_format_json_quote_64bit_integers": 0, **settings}
        status, _, answer = fetch(
            f"http://127.0.0.1:{self.port}/?{urllib.parse.urlencode(asked)}", method="POST", body=body.encode()
        )
        text = answer.decode()
        if status != 200:
            raise RefusedByClickHouse(text)
        return json.loads(text)["data"] if statement.endswith("FORMAT JSON") else text

    def freeze(self):
        self.send(signal.SIGSTOP)

    def thaw(self):
        self.send(signal.SIGCONT)

    def restart(self):
        """Start again what was killed."""
        self.start()

    def make_database(self):
        """Make a database of its own for a test, and give its name."""
        name = f"clicks_{next(_databases)}"
        self.ask(f"CREATE DATABASE {name}")
        return name


class Cluster:
    """Four nodes, of which the first two are one shard's replicas, and the ZooKeeper between them."""

    def __init__(self, folder):
        self._folder = folder
        self.zookeeper = _Zookeeper(folder / "zookeeper")
        ports = [free_port(count=3) for _ in range(SHARDS * REPLICAS)]
        remote = _remote_servers(ports)
        with ThreadPoolExecutor() as together:
            begun = [
                together.submit(
                    _start_node,
                    folder / f"node{number}",
                    port,
                    remote + self.zookeeper.configuration() + _macros(number),
                )
                for number, port in enumerate(ports)
            ]
        self.nodes = [node.result() for node in begun]

    def url(self, database):
        """Give how central names the whole cluster."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"clickhouse://{hosts}/{database}"

    def shard(self, number):
        """Give the replicas of a shard."""
        return self.nodes[number * REPLICAS : (number + 1) * REPLICAS]

    def make_database(self):
        """Make a database of its own for a test on every node, and give its name."""
        name = f"clicks_{next(_databases)}"
        for node in self.nodes:
            node.ask(f"CREATE DATABASE {name}")
        return name

    def mend(self):
        """Thaw and start again whatever a test has left frozen or dead, and wait until all may write."""
        for server in (self.zookeeper, *self.nodes):
            if server.is_alive():
                server.thaw()
            else:
                server.restart()
        for node in self.nodes:
            wait_until(lambda node=node: _can_write(node), HANG_S)

    def stop(self):
        for server in (*self.nodes, self.zookeeper):
            server.stop()
        shutil.rmtree(self._folder)


class _Zookeeper(Node):
    def __init__(self, folder):
        folder.mkdir()
        port = free_port()
        settings = {
            "dataDir": folder / "data",
            "clientPort": port,
            "clientPortAddress": "127.0.0.1",
            "tickTime": 500,
            "admin.enableServer": "false",
            "forceSync": "no",  # the machine does not lose its power in a test
            "4lw.commands.whitelist": "srvr",
        }
        (folder / "zoo.cfg").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        small = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        main = "org.apache.zookeeper.server.ZooKeeperServerMain"
        path = ":".join(map(str, ZOOKEEPER))
        super().__init__([shutil.which("java"), *small, "-cp", path, main, folder / "zoo.cfg"], port, cwd=folder)

    def start(self):
        super().start()
        wait_until(self._serves, HANG_S)

    def _serves(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=HANG_S) as asking:
            asking.sendall(b"srvr")
            return b"Mode: standalone" in asking.makefile("rb").read()

    def configuration(self):
        """Give what a node's configuration says of this."""
        return (
            f"<zookeeper><node><host>127.0.0.1</host><port>{self.port}</port></node>"
            f"<session_timeout_ms>{SESSION_MS}</session_timeout_ms></zookeeper>"
            "<distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>"
            # How often a replica without a session asks for a new one; a minute by default.
            "<merge_tree><zookeeper_session_expiration_check_period>1</zookeeper_session_expiration_check_period></merge_tree>"
        )


def _can_write(node):
    """Tell whether no replicated table of the node is closed to writers."""
    return node.ask("SELECT count() FROM system.replicas WHERE is_readonly").strip() == "0"


def _macros(number):
    return f"<macros><shard>{number // REPLICAS + 1}</shard><replica>{number % REPLICAS + 1}</replica></macros>"


def _remote_servers(ports):
    shards = ""
    for first in range(0, len(ports), REPLICAS):
        shards += "<shard><internal_replication>true</internal_replication>"
        for port in ports[first : first + REPLICAS]:
            shards += f"<replica><host>127.0.0.1</host><port>{port + 1}</port></replica>"
        shards += "</shard>"
    return f"<remote_servers><{CLUSTER}>{shards}</{CLUSTER}></remote_servers>"


def _start_node(folder, port, more=""):
    """Start a server with HTTP on *port* and what else it needs on the next two, with little memory."""
    folder.mkdir(exist_ok=True)
    (folder / "config.xml").write_text(
        f"<yandex><logger><level>warning</level><log>{folder}/log</log><errorlog>{folder}/errors</errorlog></logger>"
        f"<http_port>{port}</http_port><tcp_port>{port + 1}</tcp_port>"
        f"<interserver_http_port>{port + 2}</interserver_http_port>"
        "<interserver_http_host>127.0.0.1</interserver_http_host>"
        f"<listen_host>127.0.0.1</listen_host><path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>"
        "<users_config>users.xml</users_config><default_profile>default</default_profile>"
        "<default_database>default</default_database><timezone>UTC</timezone>"
        f"<mark_cache_size>5000000</mark_cache_size>{more}</yandex>"
    )
    (folder / "users.xml").write_text(
        "<yandex><profiles><default><max_memory_usage>500000000</max_memory_usage>"
        "<background_pool_size>2</background_pool_size><background_schedule_pool_size>2</background_schedule_pool_size>"
        "</default></profiles><quotas><default/></quotas><users><default><password/>"
        "<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users></yandex>"
    )
    program = shutil.which("clickhouse-server")
    return Node([program, f"--config-file={folder}/config.xml"], port, folder, cwd=folder)


def _skip_without(*programs):
    missing = [str(program) for program in programs if not shutil.which(program) and not Path(program).is_file()]
    if missing:
        pytest.skip(
            f"needs {', '.join(missing)}, from Debian's clickhouse-server, libzookeeper-java, default-jre-headless"
        )


def start_clickhouse_node() -> Node:
    """Start Debian's ClickHouse as one server without ZooKeeper."""
    _skip_without("clickhouse-server")
    return _start_node(Path(tempfile.mkdtemp(prefix="linkrouter-clickhouse-")), free_port(count=3))


def start_clickhouse_cluster() -> Cluster:
    """Start Debian's ClickHouse as 2 shards of 2 replicas with its ZooKeeper."""
    _skip_without("clickhouse-server", "java", *ZOOKEEPER)
    return Cluster(Path(tempfile.mkdtemp(prefix="linkrouter-clickhouse-")))


def start_clickhouse_current() -> Node:
    """Start the engine of a current ClickHouse behind its HTTP interface, as one node."""
    if not CURRENT.is_dir():
        pytest.skip("needs chdb-core-lite; 'make clickhouse-current' installs it")
    folder = Path(tempfile.mkdtemp(prefix="linkrouter-clickhouse-"))
    port = free_port()
    program = Path(__file__).with_name("clickhouse_current.py")
    return Node([sys.executable, program, CURRENT, str(port), folder / "data"], port, folder)
