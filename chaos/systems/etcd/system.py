"""etcd 3.5: a raft group of equals; a write is acknowledged when a majority has it on disk.

Linearizable reads (the default) ask the leader, which asks a majority whether it still leads.
Serializable reads are answered by the node alone, and a node that is cut off answers with what it
had (https://etcd.io/docs/v3.5/learning/api_guarantees/).
"""

from __future__ import annotations

import dataclasses
import http.client
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chaos.errors import ClusterError
from chaos.systems._common import (
    DURATION,
    FAILOVER,
    INTEGER,
    TRUE_FALSE,
    Setting,
    equals_problems,
    milliseconds,
    node_of,
    operator_step,
    option_problems,
    problems,
    resolve,
    silence,
    unix_ns,
)
from chaos.systems._connections import Kept
from chaos.systems._locks import LEASE
from chaos.systems.base import (
    Address,
    Client,
    ClientSpec,
    ClockReading,
    Cluster,
    ContainerSpec,
    Handshake,
    Node,
    NotConnected,
    Observation,
    Reachable,
    Step,
    read_clock,
)
from chaos.systems.etcd.client import (
    ERRORS,
    EtcdError,
    Gateway,
    post_once,
)
from chaos.systems.etcd.clients import CLIENTS

PORTS = {"db": 2379, "peer": 2380}
PEER_PORT = PORTS["peer"]
DATA = "/var/lib/etcd"
ADMIN_TIMEOUT_S = 2.0
PROBING = "/raft/probing"
REPLACE_S = 12.0
MEMBERS = "/v3/cluster/member/"
STATUS = "/v3/maintenance/status"
FAILURES = (OSError, http.client.HTTPException, EtcdError, NotConnected)

_DURATIONS = {
    "heartbeat-interval": Setting(
        about="how often the leader says that it lives", values=DURATION, default="100ms"
    ),
    "election-timeout": Setting(
        about="how long a node hears no leader before it stands for election",
        values=DURATION,
        default="1000ms",
    ),
}
_FLAGS = {
    "snapshot-count": Setting(about="entries between raft snapshots", values=INTEGER),
    "auto-compaction-mode": Setting(about="how history is compacted", values="periodic|revision"),
    "auto-compaction-retention": Setting(
        about="how much history is kept, by mode", values=r"[0-9]+(m|h|s)?"
    ),
    "quota-backend-bytes": Setting(about="most bytes of data", values=INTEGER),
    "max-request-bytes": Setting(about="largest request in bytes", values=INTEGER),
    "pre-vote": Setting(
        about="ask whether an election could be won before standing", values=TRUE_FALSE
    ),
    "unsafe-no-fsync": Setting(
        about="never sync to disk: faster, and loses writes with power", values=TRUE_FALSE
    ),
}
SETTINGS = {**_DURATIONS, **_FLAGS}
OPTIONS = {
    "reads": Setting(
        about="linearizable (default) or serializable: answered by the node alone",
        values="linearizable|serializable",
    ),
    "failover": FAILOVER,
    "lease": LEASE,
}


def command(
    node: Node, nodes: Sequence[Node], settings: Mapping[str, Any], state: str = "new"
) -> list[str]:
    """etcd's command line on `node`: the same static cluster on every node.

    `state`: new, or existing for a member that was added later.
    """
    peers = ",".join(f"{other.name}=http://{other.address}:{PEER_PORT}" for other in nodes)
    flags = {
        "name": node.name,
        "data-dir": f"{DATA}/data",
        "listen-client-urls": f"http://0.0.0.0:{PORTS['db']}",
        "advertise-client-urls": f"http://{node.address}:{PORTS['db']}",
        "listen-peer-urls": f"http://0.0.0.0:{PEER_PORT}",
        "initial-advertise-peer-urls": f"http://{node.address}:{PEER_PORT}",
        "initial-cluster": peers,
        "initial-cluster-state": state,
        "initial-cluster-token": "aftershock",
        "logger": "zap",
        "log-level": "info",
    }
    for name, value in resolve(settings, _DURATIONS).items():
        flags[name] = str(milliseconds(value))
    flags.update(resolve(settings, _FLAGS))
    return ["etcd", *(f"--{name}={value}" for name, value in flags.items())]


def _status(cluster: Cluster, node: str) -> dict[str, Any]:
    return post_once(cluster.address(node, "db"), ADMIN_TIMEOUT_S, STATUS, {})


def _leads(status: Mapping[str, Any]) -> bool:
    return str(status.get("leader", "0")) == str(status["header"]["member_id"])


class _Observer:
    """Asks one node over a kept connection."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._kept = Kept(lambda: Gateway(address, timeout_s))

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            with self._kept as gateway:
                status = gateway.post(STATUS, {})
        except FAILURES as error:
            return silence(error, EtcdError)
        term = int(status.get("raftTerm", 0))
        if str(status.get("leader", "0")) == "0":
            return Observation(role="candidate", term=term, note="it knows no leader")
        behind = int(status.get("raftIndex", 0)) - int(status.get("raftAppliedIndex", 0))
        return Observation(
            role="primary" if _leads(status) else "replica",
            term=term,
            note=f"lag is in raft entries: {behind} committed, not applied",
        )


class _Prober:
    """Asks one node for its time, as its peers do, over a kept connection."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._kept = Kept(lambda: Gateway(address, timeout_s))

    def clock(self) -> ClockReading | None:
        """The `Now` of its answer, in nanoseconds. Never raises."""
        try:
            with self._kept as gateway:  # connecting is not in the time that is taken
                return read_clock(lambda: unix_ns(gateway.get(PROBING)["Now"]))
        except (*FAILURES, KeyError, ValueError):
            return None


def _promote(cluster: Cluster, node: str) -> None:
    """Have the present leader hand over to `node`; both must be in the majority."""
    target = _status(cluster, node)
    if _leads(target):
        return
    leader = next((n.name for n in cluster.nodes if n.name != node and _is_leader(cluster, n)), "")
    if not leader:
        raise ClusterError(f"{node} cannot be promoted: no other node leads")
    body = {"targetID": str(target["header"]["member_id"])}
    address = cluster.address(leader, "db")
    post_once(address, 10.0, "/v3/maintenance/transfer-leadership", body)
    cluster.wait(f"{node} leads", lambda: _leads(_status(cluster, node)))


def _is_leader(cluster: Cluster, node: Node) -> bool:
    try:
        return _leads(_status(cluster, node.name))
    except FAILURES:
        return False


def _rejoin(cluster: Cluster, node: str) -> None:
    """Start `node` if it is down; raft brings it up to date by itself."""
    cluster.start(node)

    def following() -> bool:
        return str(_status(cluster, node).get("leader", "0")) != "0"

    cluster.wait(f"{node} knows a leader", following)


def _knows_leader(cluster: Cluster, node: str) -> bool:
    try:
        return str(_status(cluster, node).get("leader", "0")) != "0"
    except FAILURES:
        return False


def _add_anew(cluster: Cluster, node: str) -> None:
    """Remove the member that `node` was and add it, through any other node that knows a leader."""
    own = node_of(cluster, node)
    url = f"http://{own.address}:{PEER_PORT}"
    via = next(
        (n.name for n in cluster.nodes if n is not own and _knows_leader(cluster, n.name)), ""
    )
    if not via:
        raise ClusterError(f"{node} cannot be added anew: no other node knows a leader")
    address = cluster.address(via, "db")
    for member in post_once(address, ADMIN_TIMEOUT_S, MEMBERS + "list", {})["members"]:
        if url in member["peerURLs"]:
            post_once(address, ADMIN_TIMEOUT_S, MEMBERS + "remove", {"ID": member["ID"]})
    post_once(address, ADMIN_TIMEOUT_S, MEMBERS + "add", {"peerURLs": [url]})


def _replace(cluster: Cluster, node: str) -> None:
    """`_add_anew`, again for a while: a cluster that has just lost a member refuses at first."""
    end = time.monotonic() + REPLACE_S
    while True:
        try:
            return _add_anew(cluster, node)
        except (ClusterError, *FAILURES) as error:
            if time.monotonic() > end:
                raise ClusterError(
                    f"{node} cannot be added anew to the etcd cluster: {error}",
                    fix="`etcdctl member remove`, `member add`, when a majority is there again",
                ) from None
        time.sleep(0.5)


STEPS: Mapping[str, Step] = {
    "promote": Step(
        about="have the leader hand over to this node", run=operator_step(_promote, FAILURES)
    ),
    "rejoin": Step(
        about="start this node if it is down; raft does the rest",
        run=operator_step(_rejoin, FAILURES),
    ),
}


METRICS_BYTES = 100_000  # of etcd's own; it has some 150 kB of them


class Etcd:
    """etcd 3.5."""

    name = "etcd"
    about = "etcd 3.5, a raft group; linearizable unless reads are made serializable"
    ports: Mapping[str, int] = PORTS
    knocks: Mapping[str, bytes] = dict.fromkeys(
        PORTS, b"GET /version HTTP/1.1\r\nHost: etcd\r\n\r\n"
    )
    handshakes: Mapping[str, Handshake] = {
        "db": Handshake(say=knocks["db"], served=b"HTTP/1.1 200")
    }
    images: Sequence[str] = ("etcd",)
    elects = True
    workloads = frozenset(CLIENTS)
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps = STEPS

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """A read of a long key, which is refused above 1.5 MiB, and the metrics again and again."""
        if port != "db":
            return None
        body = b'{"serializable":true,"key":"%b"}' % (b"eHh4" * -(-request_bytes // 4))
        ask = b"POST /v3/kv/range HTTP/1.1\r\nHost: etcd\r\nContent-Length: %d\r\n\r\n" % len(body)
        metrics = b"GET /metrics HTTP/1.1\r\nHost: etcd\r\n\r\n"
        return (ask + body) * (request_bytes > 0) + metrics * -(-answer_bytes // METRICS_BYTES)

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        return option_problems(options, OPTIONS, workload)

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        yield from equals_problems(nodes, "etcd elects its leader; leave the role out")
        wrong = list(problems(settings, SETTINGS))
        yield from wrong
        if not wrong:
            used = {n: milliseconds(v) for n, v in resolve(settings, _DURATIONS).items()}
            if used["election-timeout"] < 5 * used["heartbeat-interval"]:
                yield "settings.election-timeout: etcd wants at least 5 × heartbeat-interval"

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One etcd."""
        return [
            ContainerSpec(
                name="etcd", image="etcd", command=command(node, nodes, settings), data_dir=DATA
            )
        ]

    def start_empty(self, cluster: Cluster, node: str) -> Sequence[ContainerSpec]:
        """Remove the member that was, and add a new one: etcd refuses to start a known member
        without its log, which may have promised votes."""
        _replace(cluster, node)
        own = node_of(cluster, node)
        spec = self.containers(own, cluster.nodes, cluster.settings)[0]
        existing = command(own, cluster.nodes, cluster.settings, "existing")
        return [dataclasses.replace(spec, command=existing)]

    def form(self, cluster: Cluster) -> None:
        """Wait until a leader is elected and every node follows it."""
        cluster.wait("every node follows one leader", lambda: self.converged(cluster))

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The client is Python's own http.client."""
        return {"http.client": platform.python_version()}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says: whether it leads, and its term."""
        return _Observer(cluster.address(node, "db"), timeout_s).observe

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time `node` gives its peers, which compare it with theirs (rafthttp's prober)."""
        return _Prober(cluster.address(node, "peer"), timeout_s).clock

    def converged(self, cluster: Cluster) -> bool:
        """Every node names the same leader in the same term and has applied what it had agreed."""
        before = [_status(cluster, node.name) for node in cluster.nodes]
        agreed = max(int(status.get("raftIndex", 0)) for status in before)
        after = [_status(cluster, node.name) for node in cluster.nodes]
        views = {(str(s.get("leader", "0")), str(s.get("raftTerm", "0"))) for s in after}
        return (
            len(views) == 1
            and sum(map(_leads, after)) == 1
            and all(int(status.get("raftAppliedIndex", 0)) >= agreed for status in after)
        )


SYSTEM = Etcd()
