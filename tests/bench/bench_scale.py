"""What more nodes cost and what they are good for: reads, writes and failover at 1 to 9 nodes.

Each system as `aftershock new topology` sets it up, its nodes over three zones; a fixed number of
clients, dealt over the zones, each operation recorded, through the links of a run. Reads and writes
are of registers, with each client's own defaults: of etcd reads are linearizable, of ZooKeeper and
Galera they are local, of the others they go where writes go. All nodes share the cores of this
machine: that writes get slower with more nodes is seen here, that reads could get faster is not.

Failover: SIGKILL of every process of the primary (of Galera, where all nodes take writes: of the
first node), until the first acknowledged write of a client of a node that lives. Where nothing
fails over by itself the step `promote` begins at once, as if a person had needed no time.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from chaos.errors import ClusterError
from chaos.record.op import Invocation
from chaos.registry import SYSTEMS
from chaos.runtime.cluster import RunningCluster
from chaos.runtime.groups import RunningGroup
from chaos.spec.new_topology import Wish, topology_text
from chaos.systems.base import Client, ClientSpec
from chaos.workloads.base import LoadShape
from tests.bench.rates import per_s, specs
from tests.bench.support import Row, row, running, say

SCALING = ("etcd", "zookeeper", "postgres", "mariadb", "galera", "redis")
SIZES = (1, 3, 5, 7, 9)
ZONES = 3
CLIENTS = 12
KEYS = 1000  # so many that clients seldom meet
FAILED_MOST = 0.02  # where they do meet, Galera refuses one of them
LEG_S = 4.0
FAILOVERS = 1  # each takes a cluster of its own
FAILOVER_MOST_S = 60.0
ASK_S = 1.0


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}."""
    known = [name for name in SCALING if name in SYSTEMS.names()]
    return [line for name, size in itertools.product(known, SIZES) for line in _rows(name, size)]


def _rows(name: str, size: int) -> Iterator[Row]:
    counted = f"{name}, {size} node{'' if size == 1 else 's'}"
    failovers = []
    for _ in range(FAILOVERS if size > 1 else 1):
        with _formed(name, size) as (group, cluster):
            if not failovers:
                rates = {f: _rate(group, f) for f in ("write", "read")}
            if size > 1:
                failovers.append(_failover(group, cluster))
    yield row(f"{counted}: writes, {CLIENTS} clients", rates["write"], "operations/s")
    yield row(f"{counted}: reads, {CLIENTS} clients", rates["read"], "operations/s")
    if failovers:
        yield row(f"{counted}: failover", statistics.median(failovers), "s")
    say(
        f"  {counted}: {rates['write']:,.0f} writes/s, {rates['read']:,.0f} reads/s"
        + "".join(f", failover {seconds:.2f} s" for seconds in failovers)
    )


@contextlib.contextmanager
def _formed(name: str, size: int) -> Iterator[tuple[RunningGroup, RunningCluster]]:
    """A running cluster of so many nodes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}-{size}.yaml"
        wish = Wish(system=name, name=path.stem, zones=ZONES, nodes=size)
        path.write_text(topology_text(wish, "topology.json"), encoding="utf-8")
        with running(path) as (topology, _, cluster):
            yield cluster.groups[topology.front()[0]], cluster


def _zones(group: RunningGroup) -> list[str]:
    return list(dict.fromkeys(node.zone for node in group.nodes))


def _rate(group: RunningGroup, operation: str) -> float:
    clients = specs(group, _zones(group), CLIENTS)
    shape = LoadShape(mix={operation: 1}, keys=KEYS)
    return per_s(group, clients, "register", shape, LEG_S, lambda pool: None, FAILED_MOST)[0]


def _failover(group: RunningGroup, cluster: RunningCluster) -> float:
    """Seconds from the kill to the first acknowledged write of one that was begun after it."""
    victim = _primary(group)
    heir = next(node for node in group.nodes if node.name != victim)
    spec = next(s for s in specs(group, [heir.zone], len(group.nodes), ASK_S)
                if s.home != victim)  # fmt: skip
    killed = threading.Event()
    done: list[float] = []
    writer = threading.Thread(target=_write_until, args=(group, spec, killed, done), daemon=True)
    writer.start()
    cluster.stop(victim)
    began = time.monotonic()
    killed.set()
    if not group.system.elects and "promote" in group.steps:
        group.steps["promote"].run(group, heir.name)
    writer.join(FAILOVER_MOST_S)
    if not done:
        raise ClusterError(f"no write was acknowledged {FAILOVER_MOST_S:.0f} s after the kill")
    return done[0] - began


def _primary(group: RunningGroup) -> str:
    """The node that says it is primary; the first one where all say that they take writes."""
    for _ in range(20):  # a node that is busy may not answer in time
        roles = {n.name: group.observer(n.name, ASK_S)().role for n in group.nodes}
        leading = [name for name, role in roles.items() if role == "primary"]
        if leading or set(roles.values()) == {"member"}:
            return leading[0] if leading else group.nodes[0].name
    raise ClusterError(f"expected a primary, or members alone; the nodes say {roles}")


def _write_until(
    group: RunningGroup, spec: ClientSpec, killed: threading.Event, done: list[float]
) -> None:
    """Write again and again; the time of the first success that was begun after `killed`."""
    deadline = time.monotonic() + FAILOVER_MOST_S
    client: Client | None = None
    for value in itertools.count(1):
        if time.monotonic() > deadline:
            break
        after = killed.is_set()
        try:
            if client is None:
                client = group.system.client(spec, "register")
                client.open()
            client.invoke(Invocation("write", "k0", value=value))
        except Exception:  # whatever the driver says of a cluster without a primary: not yet
            if client is not None:
                client.close()
            client = None
            time.sleep(0.01)
            continue
        if after:
            done.append(time.monotonic())
            break
    if client is not None:
        client.close()
