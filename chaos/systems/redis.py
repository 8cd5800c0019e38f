"""Redis 8 with Sentinel: one primary, replicas, and a Sentinel in every pod.

Replication is asynchronous: the primary acknowledges before any replica has the write. So a primary
that is cut off keeps acknowledging writes that the failover discards, unless
`min-replicas-to-write` makes it refuse; see
https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/.

Every process starts with its whole configuration, Sentinels with all their peers: nothing has to be
discovered, so that forming takes no longer than the first synchronization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import redis
from redis.exceptions import RedisError, ResponseError, TimeoutError

from chaos.errors import ClusterError
from chaos.systems._common import operator_step, option_problems, problems, role_problems
from chaos.systems._redis_client import (
    ERRORS,
    MASTER_NAME,
    Wire,
    ask,
    ask_once,
    connect,
)
from chaos.systems._redis_clients import CLIENTS, OPTIONS
from chaos.systems._redis_conf import HOME, PORTS, SETTINGS, redis_conf, sentinel_conf
from chaos.systems.base import (
    Address,
    Client,
    ClientSpec,
    ClockReading,
    Cluster,
    ContainerSpec,
    Handshake,
    Node,
    Observation,
    Reachable,
    Step,
    read_clock,
)

ADMIN_TIMEOUT_S = 2.0
FAILURES = (RedisError,)


def _role(cluster: Cluster, node: str) -> Any:
    return ask_once(cluster.address(node, "db"), ADMIN_TIMEOUT_S, "ROLE")


def _master_known_on(cluster: Cluster, node: str) -> str:
    """The address of the master, as the Sentinel of `node` knows it."""
    answer = ask_once(
        cluster.address(node, "sentinel"),
        ADMIN_TIMEOUT_S,
        "SENTINEL",
        "GET-MASTER-ADDR-BY-NAME",
        MASTER_NAME,
    )
    return str(answer[0].decode())


def _has_quorum(sentinel: Address) -> Callable[[], bool]:
    def asked() -> bool:
        try:
            ask_once(sentinel, ADMIN_TIMEOUT_S, "SENTINEL", "CKQUORUM", MASTER_NAME)
        except ResponseError:  # NOQUORUM …
            return False
        return True

    return asked


def _fields(flat: Sequence[bytes]) -> dict[str, str]:
    """[name, value, name, value, …], as Sentinel answers, as a mapping."""
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))


class _Observer:
    """Asks one node over kept connections."""

    def __init__(self, db: Address, sentinel: Address, timeout_s: float) -> None:
        self._addresses = {"db": db, "sentinel": sentinel}
        self._timeout_s = timeout_s
        self._kept: dict[str, Wire] = {}

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            info = self._ask("db", "INFO", "replication").decode()
        except TimeoutError as error:
            return Observation(role="unknown", note=str(error))
        except RedisError as error:
            return Observation(role="down", note=str(error))
        seen = dict(line.split(":", 1) for line in info.split("\r\n") if ":" in line)
        term, note = self._epoch()
        if seen["role"] == "master":
            linked = f"{seen['connected_slaves']} replicas linked"
            return Observation(role="primary", term=term, note=note or linked)
        return _replica(seen, term, note)

    def _epoch(self) -> tuple[int | None, str | None]:
        try:
            known = _fields(self._ask("sentinel", "SENTINEL", "MASTER", MASTER_NAME))
        except RedisError as error:
            return None, f"no term, its Sentinel is silent: {error}"
        return int(known["config-epoch"]), None

    def clock(self) -> ClockReading | None:
        """What `TIME` says: seconds and microseconds. Never raises."""
        try:
            self._ask("db", "PING")  # so that connecting is not in the time that is taken
            return read_clock(lambda: _nanoseconds(self._ask("db", "TIME")), 1000)
        except RedisError:
            return None

    def _ask(self, port: str, *command: str) -> Any:
        kept = self._kept.pop(port, None) or connect(self._addresses[port], self._timeout_s)
        try:
            answer = ask(kept, *command)
        except ResponseError:
            self._kept[port] = kept
            raise
        except BaseException:
            kept.disconnect()
            raise
        self._kept[port] = kept
        return answer


def _nanoseconds(answer: Sequence[bytes]) -> int:
    seconds, microseconds = map(int, answer)
    return seconds * 10**9 + microseconds * 1000


def _replica(seen: Mapping[str, str], term: int | None, note: str | None) -> Observation:
    """A replica's own view: how long since it heard its primary, and what it has yet to apply."""
    linked = seen["master_link_status"] == "up"
    silent_s = int(
        seen["master_last_io_seconds_ago" if linked else "master_link_down_since_seconds"]
    )
    behind = int(seen["slave_read_repl_offset"]) - int(seen["slave_repl_offset"])
    return Observation(
        role="replica",
        term=term,
        lag_ms=silent_s * 1000.0 if silent_s >= 0 else None,
        lag_bytes=behind if linked else None,
        note=note if linked else "its link to the primary is down",
    )


def _promote(cluster: Cluster, node: str) -> None:
    """Fail over to `node` through its own Sentinel, which needs no other's consent for that.

    Redis has no "fail over to this one": the node is given the best priority, and the Sentinel has
    to have seen that. It looks every ten seconds, and every half second while this step runs.
    """
    own = next(n for n in cluster.nodes if n.name == node).address
    if _master_known_on(cluster, node) == own:
        return
    db, sentinel = cluster.address(node, "db"), cluster.address(node, "sentinel")

    def look_every(period_ms: int) -> None:
        ask_once(sentinel, ADMIN_TIMEOUT_S, "SENTINEL", "DEBUG", "INFO-PERIOD", period_ms)

    def priority_seen() -> bool:
        replicas = ask_once(sentinel, ADMIN_TIMEOUT_S, "SENTINEL", "REPLICAS", MASTER_NAME)
        known = {r["ip"]: r["slave-priority"] for r in map(_fields, replicas)}
        return _master_known_on(cluster, node) == own or known.get(own) == "1"

    def begin() -> None:
        try:
            ask_once(sentinel, ADMIN_TIMEOUT_S, "SENTINEL", "FAILOVER", MASTER_NAME)
        except ResponseError as error:
            if not str(error).startswith("INPROG"):
                raise ClusterError(
                    f"the Sentinel of {node} refused to fail over: {error}"
                ) from None

    ask_once(db, ADMIN_TIMEOUT_S, "CONFIG", "SET", "replica-priority", 1)
    look_every(500)
    try:
        cluster.wait(f"the Sentinel of {node} has seen its priority", priority_seen)
        if _master_known_on(cluster, node) != own:
            begin()
        cluster.wait(f"{node} is primary", lambda: _role(cluster, node)[0] == b"master")
    finally:
        look_every(10_000)
        ask_once(db, ADMIN_TIMEOUT_S, "CONFIG", "SET", "replica-priority", 100)


def _rejoin(cluster: Cluster, node: str) -> None:
    """Make `node` a replica of the primary the other Sentinels name, dropping what only it has.

    Sentinel does the same by itself some ten seconds after it sees the node again. As Sentinel
    does, the node's clients are disconnected, so that they ask anew who is primary.
    """
    cluster.start(node)
    own = next(n for n in cluster.nodes if n.name == node).address
    named: list[str] = []

    def primary_named() -> bool:
        named[:] = [_master_known_on(cluster, n.name) for n in cluster.nodes if n.name != node]
        return len(set(named)) == 1 and named[0] != own

    cluster.wait(f"the other Sentinels agree on a primary that is not {node}", primary_named)

    def following() -> bool:
        kept = connect(cluster.address(node, "db"), ADMIN_TIMEOUT_S)
        try:
            role = ask(kept, "ROLE")
            if role[0] == b"slave" and role[1].decode() == named[0]:
                return bool(role[3] == b"connected")
            ask(kept, "REPLICAOF", named[0], PORTS["db"])
            ask(kept, "CONFIG", "REWRITE")
            ask(kept, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        finally:
            kept.disconnect()
        return False

    cluster.wait(f"{node} follows {named[0]}", following)


STEPS: Mapping[str, Step] = {
    "promote": Step(
        about="fail over to this node through its own Sentinel",
        run=operator_step(_promote, FAILURES),
    ),
    "rejoin": Step(
        about="make this node a replica of the present primary",
        run=operator_step(_rejoin, FAILURES),
    ),
}


def _container(name: str, program: str, conf: str) -> ContainerSpec:
    """One process that may rewrite its configuration: a failover is remembered over a restart.

    The copy is synced, as an operator's file would be long before: power may be lost at any time.
    """
    given, own = f"/etc/aftershock/{name}.conf", f"{HOME}/{name}.conf"
    copied = f"test -s {own} || {{ cp {given} {own}; sync {own} {HOME}; }}"
    return ContainerSpec(
        name=name,
        image="redis",
        command=["sh", "-c", f"{copied}; exec {program} {own}"],
        files={given: conf},
        data_dir=HOME,
    )


class Redis:
    """Redis 8 with Sentinel."""

    name = "redis"
    about = "Redis 8, one primary with replicas, failover by Sentinel"
    ports: Mapping[str, int] = PORTS
    knocks: Mapping[str, bytes] = {"db": b"PING\r\n", "sentinel": b"PING\r\n"}
    handshakes: Mapping[str, Handshake] = {"db": Handshake(say=b"PING\r\n", served=b"+PONG")}
    images: Sequence[str] = ("redis",)
    elects = True
    workloads = frozenset(CLIENTS)
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps = STEPS

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes:
        """A question whether a long key is there (a Sentinel says that it does not know it), and a
        long echo."""
        return b"".join(
            b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(verb), verb, size, bytes(size))
            for verb, size in ((b"EXISTS", request_bytes), (b"PING", answer_bytes))
            if size
        )

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        return option_problems(options, OPTIONS, workload)

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        yield from role_problems(nodes)
        yield from problems(settings, SETTINGS)
        needed = str(settings.get("min-replicas-to-write", 0))
        if nodes and needed.isdigit() and int(needed) >= len(nodes):
            yield (
                f"settings.min-replicas-to-write: {needed} replicas can never be connected with "
                f"{len(nodes)} nodes, so that no write would ever be taken"
            )

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """Redis, and its Sentinel beside it."""
        return [
            _container("redis", "redis-server", redis_conf(node, nodes, settings)),
            _container("sentinel", "redis-sentinel", sentinel_conf(node, nodes, settings)),
        ]

    def form(self, cluster: Cluster) -> None:
        """Wait until every replica has synchronized and the Sentinels have a quorum."""
        cluster.wait("every replica has synchronized", lambda: self.converged(cluster))
        for node in cluster.nodes:
            address = cluster.address(node.name, "sentinel")
            cluster.wait(f"the Sentinel of {node.name} sees a quorum", _has_quorum(address))

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The driver's version."""
        return {"redis-py": redis.__version__}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says: its role, how far behind it is, its Sentinel's configuration epoch."""
        return _Observer(
            cluster.address(node, "db"), cluster.address(node, "sentinel"), timeout_s
        ).observe

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time `node` gives in answer to `TIME`."""
        addresses = cluster.address(node, "db"), cluster.address(node, "sentinel")
        return _Observer(*addresses, timeout_s).clock

    def converged(self, cluster: Cluster) -> bool:
        """One primary, named by every Sentinel; every replica is linked to it and has its data."""
        primaries = [n for n in cluster.nodes if _role(cluster, n.name)[0] == b"master"]
        if len(primaries) != 1:
            return False
        primary = primaries[0]
        offset = _role(cluster, primary.name)[1]
        for node in cluster.nodes:
            if _master_known_on(cluster, node.name) != primary.address:
                return False
            if node.name != primary.name:
                _, master, _, state, seen = _role(cluster, node.name)
                if (master.decode(), state) != (primary.address, b"connected") or seen < offset:
                    return False
        return True


SYSTEM = Redis()
