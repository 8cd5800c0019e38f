"""Recorded load beside the database's own bench tool, in one run: same operation, same number of
clients, same way.

Ours is what a run does: `LoadPool`, the system's real client, every operation recorded. Theirs
runs in the container of a node that is not the primary. Two ways to the primary: straight to its
address, and through the Toxiproxy link that clients of a run use. All four take turns, round after
round, so that whatever else the machine does hits them alike; the rates are medians of the rounds
and the ratios are made of those. Who kept the cores busy in our turns is shown too.

PostgreSQL, MariaDB: INSERT of a unique bigint, each its own durable transaction; pgbench, extended
protocol; mariadb-slap. Redis, Valkey: SADD of a unique integer; redis-benchmark, valkey-benchmark,
no pipeline. etcd has no such tool in its image: `etcdctl check perf` asks whether a rate that it
sets itself is kept up. ZooKeeper has none at all.
"""

from __future__ import annotations

import functools
import os
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from chaos.load.pool import LoadPool
from chaos.runtime.cluster import RunningCluster
from chaos.runtime.toxiproxy import FIRST_PORT, OBSERVER
from chaos.spec.topology import Topology
from chaos.systems.base import Address, ClientSpec, System
from chaos.systems.mariadb import wire as mariadb_wire
from chaos.systems.postgres.client import ADD, DATABASE, USER
from chaos.systems.redis.client import SET_KEY
from chaos.workloads.base import LoadShape
from tests.bench.rates import per_s
from tests.bench.support import Row, row, running, say

CLIENTS = 16
ROUNDS = 3
LEG_S = 4.0
WAYS = ("direct", "Toxiproxy")
TICK_S = os.sysconf("SC_CLK_TCK")

CALIBRATION, CALIBRATION_SQL = 20_000, 2_000
SCRIPT = "/tmp/add.sql"

Tool = Callable[[RunningCluster, str, Address], float]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A running cluster, and what both sides do with it."""

    cluster: RunningCluster
    topology: Topology
    system: System
    tool: Tool
    empty: Callable[[RunningCluster], object]
    rates: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    cores: dict[tuple[str, str], list[float]] = field(default_factory=dict)  # who, way


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}."""
    return [
        *_beside("PostgreSQL", "postgres-async", "pgbench", pgbench, _truncate, "≥ 0.5"),
        *_beside(
            "MariaDB", "mariadb-async", "mariadb-slap", mariadb_slap, _truncate_mariadb, "≥ 0.5"
        ),
        *(
            line
            for title in ("Redis", "Valkey")
            for line in _beside(
                title,
                f"{title.lower()}-sentinel",
                f"{title.lower()}-benchmark",
                functools.partial(redis_benchmark, title.lower()),
                functools.partial(_delete, title.lower()),
                "≥ 0.2",
            )
        ),
    ]


def _beside(
    title: str, topology: str, name: str, tool: Tool, empty: Callable[..., object], goal: str
) -> list[Row]:
    with running(topology) as (spec, system, cluster):
        setup = Setup(cluster=cluster, topology=spec, system=system, tool=tool, empty=empty)
        published = cluster.address(cluster.nodes[0].name, "db")[0] == "127.0.0.1"
        ways = [way for way in WAYS if way != "direct" or not published]
        for _ in range(ROUNDS):
            for way in ways:
                _both(setup, way)
    rows = []
    if published:
        rows.append(row(f"{title}, direct: node addresses are not reached from here", None, ""))
    for way in ways:
        ours, theirs = (statistics.median(setup.rates[side, way]) for side in ("ours", "theirs"))
        via = "direct" if way == "direct" else "through Toxiproxy"
        rows += [
            row(f"{title}, {via}: ours, {CLIENTS} clients", ours, "operations/s"),
            row(f"{title}, {via}: {name}, {CLIENTS} clients", theirs, "operations/s"),
            row(f"{title}, {via}: ours / {name}", ours / theirs, "ratio", goal),
            *(
                row(f"· cores in our turn: {who}", statistics.median(values), "cores")
                for (who, w), values in setup.cores.items()
                if w == way
            ),
        ]
    return rows


def _both(setup: Setup, way: str) -> None:
    zone = setup.cluster.nodes[0].zone if way != "direct" else None
    setup.empty(setup.cluster)
    ours, cores = recorded(setup, zone)
    setup.empty(setup.cluster)
    theirs = setup.tool(setup.cluster, setup.cluster.nodes[1].name, inside(setup, zone))
    setup.rates.setdefault(("ours", way), []).append(ours)
    setup.rates.setdefault(("theirs", way), []).append(theirs)
    for who, used in cores.items():
        setup.cores.setdefault((who, way), []).append(used)
    say(f"  {setup.topology.name}, {way}: ours {ours:,.0f}/s, theirs {theirs:,.0f}/s")


def recorded(setup: Setup, zone: str | None) -> tuple[float, dict[str, float]]:
    """Adds a second by `CLIENTS` recorded clients through the links of `zone` (None: straight to
    the nodes), and who kept how many cores busy meanwhile."""
    group = setup.cluster.groups[""]
    straight = {
        node.name: {port: (node.address, at) for port, at in setup.system.ports.items()}
        for node in group.nodes
    }
    client = ClientSpec(
        zone=zone or "direct", home=group.nodes[0].name,
        endpoints=group.endpoints(zone) if zone else straight,
        settings=group.client_settings(),
        options={}, timeout_s=5.0,
    )  # fmt: skip
    rate, (began, used), (ended, used_more) = per_s(
        group, [client] * CLIENTS, "set", LoadShape(mix={"add": 1}), LEG_S,
        functools.partial(_used, setup),
    )  # fmt: skip
    seconds = ended - began
    return rate, {who: (used_more[who] - used[who]) / seconds for who in used}


def _used(setup: Setup, pool: LoadPool) -> tuple[float, dict[str, float]]:
    """Monotonic seconds, and CPU seconds used by whom."""
    now = time.monotonic()
    nodes = [pod.link.ask("sample")["cpu_s"] for pod in setup.cluster.pods.values()]
    proxy = setup.cluster.clients.toxiproxy.stats(stream=False, one_shot=True)
    return now, {
        "our clients": sum(map(_cpu_s, pool.pids)),
        "databases": sum(nodes),
        "Toxiproxy": proxy["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        "idle": sum(int(n) for n in Path("/proc/stat").read_text().split()[4:6]) / TICK_S,
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK_S


def inside(setup: Setup, zone: str | None) -> Address:
    """Where the primary's database is reached from within the test network."""
    primary = setup.cluster.nodes[0]
    if zone is None:
        return primary.address, setup.system.ports["db"]
    links = product((OBSERVER, *setup.topology.clients), setup.topology.nodes, setup.system.ports)
    return "toxiproxy", FIRST_PORT + list(links).index((zone, primary.name, "db"))


def pgbench(cluster: RunningCluster, node: str, address: Address) -> float:
    """Transactions a second: our client's very statement, values as ours, one past the other."""
    insert = ADD.decode().replace("$1", ":value")
    script = f"\\set k :k + 1\n\\set value :k * {CLIENTS} + :client_id\n{insert};\n"
    cluster.execute(node, ["sh", "-c", f"cat > {SCRIPT} <<'END'\n{script}END"])
    said = cluster.execute(node, [
        "pgbench", "--no-vacuum", "--protocol=extended", f"--file={SCRIPT}", "--define=k=0",
        f"--client={CLIENTS}", "--jobs=2", f"--time={LEG_S:.0f}", f"--host={address[0]}",
        f"--port={address[1]}", f"--username={USER}", DATABASE,
    ])  # fmt: skip
    return _number(r"tps = ([0-9.]+) \(without initial connection time\)", said)


def mariadb_slap(cluster: RunningCluster, node: str, address: Address) -> float:
    """Statements a second. It knows no variables: values are unique by UUID_SHORT()."""
    insert = "INSERT INTO elements (value) VALUES (UUID_SHORT())"
    rate = 0.0
    for count in (CALIBRATION_SQL, None):
        queries = max(CLIENTS, (count or int(rate * LEG_S)) // CLIENTS * CLIENTS)
        said = cluster.execute(node, [
            "mariadb-slap", "--no-defaults", "--skip-ssl", f"--host={address[0]}",
            f"--port={address[1]}", f"--user={mariadb_wire.USER}", "--no-drop",
            f"--create-schema={mariadb_wire.DATABASE}", f"--concurrency={CLIENTS}",
            f"--number-of-queries={queries}", f"--query={insert}", "--iterations=1",
        ])  # fmt: skip
        rate = queries / _number(r"Average number of seconds to run all queries: ([0-9.]+)", said)
    return rate


def redis_benchmark(flavour: str, cluster: RunningCluster, node: str, address: Address) -> float:
    """Requests a second; it counts requests, not seconds, so a short run says how many."""
    rate = 0.0
    for count in (CALIBRATION, None):
        said = cluster.execute(node, [
            f"{flavour}-benchmark", "-h", address[0], "-p", str(address[1]), "-c", str(CLIENTS),
            "-P", "1", "-n", str(count or int(rate * LEG_S)), "-r", "1000000000", "--csv",
            "sadd", SET_KEY, "__rand_int__",
        ])  # fmt: skip
        rate = _number(r'\n"[^"]*__rand_int__","([0-9.]+)"', said)
    return rate


def _number(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    if found is None:
        raise RuntimeError(f"the tool said nothing that can be read: {said[-500:]}")
    return float(found[1])


def _truncate(cluster: RunningCluster) -> None:
    """Empty table, and the checkpoint behind us rather than in somebody's turn."""
    cluster.execute(cluster.nodes[0].name, [
        "psql", "-h", "/tmp", "-U", USER, "-c", "TRUNCATE elements", "-c", "CHECKPOINT", DATABASE,
    ])  # fmt: skip


def _truncate_mariadb(cluster: RunningCluster) -> None:
    cluster.execute(cluster.nodes[0].name, [
        "mariadb", "--no-defaults", "--skip-ssl", "--socket=/tmp/mariadb.sock",
        f"--user={mariadb_wire.OPERATOR}", "--execute=TRUNCATE elements", mariadb_wire.DATABASE,
    ])  # fmt: skip


def _delete(flavour: str, cluster: RunningCluster) -> None:
    command = [f"{flavour}-cli", "DEL", SET_KEY]
    cluster.execute(cluster.nodes[0].name, command, container=flavour)
