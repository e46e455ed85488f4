"""The ClickHouse that the tests of the click log run on: is it what it says, and does it come back from a kill?"""

import json

import pytest
from clickhouse import RefusedByClickHouse
from processes import HANG_S, wait_until

COLUMNS = "(moment Int64, id String) ENGINE = {} PARTITION BY intDiv(moment, 100) ORDER BY (moment, id)"
REPLICATED = "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/clicks', '{replica}')"
ROWS = "\n".join(json.dumps({"moment": n, "id": f"id-{n}"}) for n in range(200))
BOTH = {"insert_quorum": 2, "insert_quorum_timeout": 1000, "insert_distributed_sync": 1}


@pytest.fixture
def database(clickhouse_cluster):
    """A database with a replicated table `local` on each node, and `clicks` over all shards."""
    name = clickhouse_cluster.make_database()
    node = clickhouse_cluster.nodes[0]
    engine = REPLICATED.replace("clicks", name)
    node.ask(f"CREATE TABLE {name}.local ON CLUSTER linkrouter {COLUMNS.format(engine)}")
    node.ask(
        f"CREATE TABLE {name}.clicks ON CLUSTER linkrouter AS {name}.local"
        f" ENGINE = Distributed(linkrouter, {name}, local, cityHash64(id))"
    )
    return name


def counted(node, database, table="clicks"):
    return int(node.ask(f"SELECT count() FROM {table}", database=database))


def insert_once(node, database, table="clicks"):
    node.ask(f"INSERT INTO {table} FORMAT JSONEachRow", ROWS, database=database, **BOTH)


def insert(node, database, table="clicks"):
    """Insert until it is taken: a replica that has just come back may be late with its word for the quorum."""

    def is_taken():
        try:
            insert_once(node, database, table)
        except RefusedByClickHouse:
            return False
        return True

    wait_until(is_taken, HANG_S)


def test_what_one_node_takes_each_answers(clickhouse_cluster, database):
    insert(clickhouse_cluster.nodes[0], database)
    assert [counted(node, database) for node in clickhouse_cluster.nodes] == [200] * 4
    parts = [counted(node, database, "local") for node in clickhouse_cluster.nodes]
    assert parts[0] == parts[1]
    assert parts[2] == parts[3]
    assert parts[0] + parts[2] == 200
    assert min(parts) > 0


def test_a_killed_replica_catches_up(clickhouse_cluster, database):
    first, second = clickhouse_cluster.shard(0)
    second.kill()
    with pytest.raises(RefusedByClickHouse):
        insert_once(first, database, "local")
    first.ask("INSERT INTO local FORMAT JSONEachRow", ROWS, database=database)
    second.restart()
    wait_until(lambda: counted(second, database, "local") == 200, HANG_S)


def test_a_lost_shard_is_said(clickhouse_cluster, database):
    insert(clickhouse_cluster.nodes[0], database)
    for node in clickhouse_cluster.shard(1):
        node.kill()
    with pytest.raises(RefusedByClickHouse, match="Code: 279"):
        counted(clickhouse_cluster.nodes[0], database)
    clickhouse_cluster.mend()
    assert counted(clickhouse_cluster.nodes[0], database) == 200


def test_a_frozen_zookeeper_stops_writers_alone(clickhouse_cluster, database):
    node = clickhouse_cluster.nodes[0]
    insert(node, database)
    clickhouse_cluster.zookeeper.freeze()
    wait_until(lambda: node.ask("SELECT sum(is_readonly) FROM system.replicas").strip() != "0", HANG_S)
    with pytest.raises(RefusedByClickHouse):
        insert_once(node, database)
    assert counted(node, database) == 200
    clickhouse_cluster.mend()
    insert(node, database)
    assert counted(node, database) == 200  # the same block again


def test_a_killed_zookeeper_stops_writers_alone(clickhouse_cluster, database):
    node = clickhouse_cluster.nodes[0]
    insert(node, database)
    clickhouse_cluster.zookeeper.kill()
    with pytest.raises(RefusedByClickHouse):
        insert_once(node, database)
    assert counted(node, database) == 200
    clickhouse_cluster.mend()
    insert(node, database)
    assert counted(node, database) == 200


@pytest.mark.parametrize(("server", "version"), [("clickhouse_node", "18.16."), ("clickhouse_current", "26.")])
def test_one_server_keeps_what_it_took(request, server, version):
    node = request.getfixturevalue(server)
    database = node.make_database()
    assert node.ask("SELECT version() AS v FORMAT JSON")[0]["v"].startswith(version)
    node.ask(f"CREATE TABLE clicks {COLUMNS.format('ReplacingMergeTree')}", database=database)
    for _ in range(2):
        insert(node, database)
    with pytest.raises(RefusedByClickHouse, match=r"Code: (47|60)\b"):
        node.ask("SELECT nothing FROM nowhere", database=database)
    node.kill()
    node.restart()
    found = node.ask("SELECT count() AS n, max(moment) AS last FROM clicks FINAL FORMAT JSON", database=database)
    assert found == [{"n": 200, "last": 199}]


def test_a_setting_holds_for_its_statement_alone(clickhouse_current):
    statement = "SELECT number FROM system.numbers LIMIT 5"
    with pytest.raises(RefusedByClickHouse, match="Code: 158"):
        clickhouse_current.ask(statement, max_rows_to_read=1)
    assert clickhouse_current.ask(statement) == "0\n1\n2\n3\n4\n"
