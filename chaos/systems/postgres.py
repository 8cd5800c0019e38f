"""PostgreSQL 17: one primary, the other nodes its physical streaming standbys.

The topology says what a commit waits for: `replication: async` nothing, `sync` one standby that has
applied it (`FIRST 1`, `remote_apply`), `quorum` half of the other nodes (`ANY k`, `on`); see
https://www.postgresql.org/docs/17/warm-standby.html#SYNCHRONOUS-REPLICATION. Nothing fails over by
itself: `promote` and `rejoin` are an operator's steps. Until its rejoin, an old primary that comes
back is a second primary.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import psycopg

from chaos.errors import ClusterError
from chaos.systems._common import (
    operator_step,
    option_problems,
    primary_of,
    problems,
    role_problems,
)
from chaos.systems._postgres_client import (
    DATABASE,
    ERRORS,
    FAILURES,
    TABLES,
    USER,
    NoAnswer,
    Session,
)
from chaos.systems._postgres_clients import CLIENTS, OPTIONS
from chaos.systems._postgres_conf import PORT, REJOIN, SETTINGS, container
from chaos.systems._postgres_sql import LEVELS, PostgresSql, waits
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
    SqlSession,
    Step,
    read_clock,
)

ADMIN_TIMEOUT_S = 3.0

# The timeline is in the name of the segment being written; only a primary may be asked for that.
VIEW = """
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery()
            THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver),
                          (SELECT timeline_id FROM pg_control_checkpoint()))
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
       (SELECT status = 'streaming' FROM pg_stat_wal_receiver),
       CASE WHEN pg_is_in_recovery()
            THEN (SELECT pg_wal_lsn_diff(latest_end_lsn, pg_last_wal_replay_lsn())
                  FROM pg_stat_wal_receiver) END,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000,
       (SELECT extract(epoch FROM clock_timestamp() - last_msg_receipt_time) * 1000
        FROM pg_stat_wal_receiver),
       (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming')
"""
# A session's first message (protocol, "Message Formats": StartupMessage). It takes a slot once it
# is answered by AuthenticationOk ("R"); a full server answers with an error ("E").
STARTUP_TEXT = b"\0\3\0\0user\0%s\0database\0%s\0\0" % (USER.encode(), DATABASE.encode())
STARTUP = (len(STARTUP_TEXT) + 4).to_bytes(4, "big") + STARTUP_TEXT
CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
SILENT_MS = 3000.0  # a primary speaks at least every wal_receiver_timeout / 2


def _ask(
    cluster: Cluster, node: str, *statements: str, timeout_s: float = ADMIN_TIMEOUT_S
) -> list[str | None]:
    """Run statements on `node`, each its own transaction; the last one's first row, as text."""
    session = Session(cluster.address(node, "db"), timeout_s)
    row: list[str | None] = []
    try:
        for statement in statements:
            row = session.row(statement)
    finally:
        session.close()
    return row


def _in_recovery(cluster: Cluster, node: str) -> bool:
    return _ask(cluster, node, "SELECT pg_is_in_recovery()")[0] == "t"


def _address(cluster: Cluster, node: str) -> str:
    return next(n.address for n in cluster.nodes if n.name == node)


def _primaries(cluster: Cluster, besides: str = "") -> list[str]:
    """Nodes, other than `besides`, that answer and are not in recovery."""
    found = []
    for node in cluster.nodes:
        if node.name == besides:
            continue
        try:
            if not _in_recovery(cluster, node.name):
                found.append(node.name)
        except FAILURES:
            continue
    return found


class _Observer:
    """Asks one node over a kept connection."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._kept: Session | None = None

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            return _observation(self._row(VIEW))
        except FAILURES as error:
            silent = isinstance(error, NoAnswer) or "timed out" in str(error)
            return Observation(role="unknown" if silent else "down", note=str(error).strip()[:200])

    def clock(self) -> ClockReading | None:
        """What `clock_timestamp()` says, in microseconds. Never raises."""
        try:
            if self._kept is None:
                self._row("SELECT 1")  # so that connecting is not in the time that is taken
            return read_clock(lambda: 1000 * int(self._row(CLOCK)[0] or 0), 1000)
        except FAILURES:
            return None

    def _row(self, statement: str) -> list[str | None]:
        kept, self._kept = self._kept, None
        kept = kept or Session(self._address, self._timeout_s, "aftershock observer")
        try:
            row = kept.row(statement)
        except FAILURES:
            kept.close()
            raise
        self._kept = kept
        return row


def _observation(row: Sequence[str | None]) -> Observation:
    """A row of VIEW as an Observation."""
    recovering, timeline, streaming, behind, replayed_ms, silent_ms, standbys = row
    term = int(timeline) if timeline else None
    if recovering == "f":
        return Observation(role="primary", term=term, note=f"{standbys} standbys streaming")
    lag_bytes = max(0, int(float(behind))) if behind else None
    heard = streaming == "t" and silent_ms is not None and float(silent_ms) < SILENT_MS
    if heard and lag_bytes == 0:
        lag_ms: float | None = 0.0
    else:  # since the newest change it has: with an idle primary, longer than it is behind
        lag_ms = float(replayed_ms) if replayed_ms else None
    note = None if heard else "it hears nothing from its primary"
    return Observation(role="replica", term=term, lag_ms=lag_ms, lag_bytes=lag_bytes, note=note)


def _promote(cluster: Cluster, node: str) -> None:
    """Make the standby `node` primary, as an operator would who believes the primary lost.

    With `sync` or `quorum` the new primary would wait for standbys it does not have yet, and take
    no write: its synchronous_standby_names is emptied first. The other standbys are then told to
    follow it, and the setting comes back as soon as enough of them do (`rejoin` does the same).
    Promote the standby that is furthest: with `sync` the first one of the topology.
    """
    if not _in_recovery(cluster, node):
        return
    waits = _ask(cluster, node, "SHOW synchronous_standby_names")[0]
    if waits:
        _ask(
            cluster,
            node,
            "ALTER SYSTEM SET synchronous_standby_names = ''",
            "SELECT pg_reload_conf()",
        )
    promoted = _ask(cluster, node, "SELECT pg_promote(true, 10)", timeout_s=12.0)
    if promoted != ["t"]:
        raise ClusterError(f"{node} did not end its recovery within 10 s")
    followers = [
        other.name
        for other in cluster.nodes
        if other.name != node and _turned(cluster, other, node)
    ]
    if waits and followers:
        _guard_again(cluster, node, deadline_s=5.0)


def _turned(cluster: Cluster, standby: Node, primary: str) -> bool:
    """Tell `standby` to follow `primary`; False if it does not answer or is a primary itself."""
    conninfo = " ".join(
        [
            f"host={_address(cluster, primary)} port={PORT} user={USER}",
            f"application_name={standby.name} connect_timeout=2 keepalives_idle=1",
            "keepalives_interval=1 keepalives_count=3 tcp_user_timeout=5000",
        ]
    )
    try:
        if not _in_recovery(cluster, standby.name):
            return False
        _ask(
            cluster,
            standby.name,
            f"ALTER SYSTEM SET primary_conninfo = '{conninfo}'",
            "SELECT pg_reload_conf()",
        )
    except FAILURES:
        return False
    return True


def _guard_again(cluster: Cluster, primary: str, deadline_s: float) -> None:
    """Have `primary` wait for standbys again, once one streams; left as it is if none does."""

    def streaming() -> bool:
        count = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        return _ask(cluster, primary, count) != ["0"]

    try:
        cluster.wait(f"a standby streams from {primary}", streaming, deadline_s)
    except ClusterError:  # cut off as well: the primary goes on alone, which is what it was told
        return
    _ask(
        cluster,
        primary,
        "ALTER SYSTEM RESET synchronous_standby_names",
        "SELECT pg_reload_conf()",
    )


def _rejoin(cluster: Cluster, node: str) -> None:
    """Make `node` a standby of the present primary, dropping what only it has.

    It is stopped, rewound with pg_rewind (or copied anew where that fails) and started as a
    standby. A node that is down is started first, and is what it was for that moment.
    """
    others = _primaries(cluster, besides=node)
    if len(others) != 1:
        raise ClusterError(
            f"{node} can rejoin one primary, and {len(others)} of the other nodes are: "
            + (", ".join(others) or "none"),
            fix="promote one first",
        )
    primary = others[0]
    cluster.start(node)
    order = f"echo {_address(cluster, primary)} > {REJOIN}"
    cluster.execute(node, ["sh", "-c", order])
    cluster.stop(node)
    cluster.start(node)
    cluster.wait(f"{node} follows {primary}", lambda: _follows(cluster, node, primary), 60.0)
    _guard_again(cluster, primary, deadline_s=5.0)


def _follows(cluster: Cluster, node: str, primary: str) -> bool:
    row = _ask(
        cluster,
        node,
        "SELECT sender_host, status FROM pg_stat_wal_receiver WHERE pg_is_in_recovery()",
    )
    return row == [_address(cluster, primary), "streaming"]


STEPS: Mapping[str, Step] = {
    "promote": Step(
        about="make this standby primary; the other standbys follow it",
        run=operator_step(_promote, FAILURES),
    ),
    "rejoin": Step(
        about="make this node a standby of the primary: pg_rewind, else a new copy",
        run=operator_step(_rejoin, FAILURES),
    ),
}


class Postgres:
    """PostgreSQL 17."""

    name = "postgres"
    about = "PostgreSQL 17, one primary with streaming standbys, failover by an operator"
    ports: Mapping[str, int] = {"db": PORT}
    # SSLRequest, which is answered by one byte before anybody logs in (protocol, "SSL Session
    # Encryption"); it leaves no line in the log.
    knocks: Mapping[str, bytes] = {"db": b"\x00\x00\x00\x08\x04\xd2\x16\x2f"}
    handshakes: Mapping[str, Handshake] = {"db": Handshake(say=STARTUP, served=b"R")}
    images: Sequence[str] = ("postgres",)
    elects = False
    workloads = frozenset(CLIENTS)
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps = STEPS
    levels = LEVELS

    def sql(self, cluster: Reachable) -> SqlSession:
        """A session on the primary."""
        return PostgresSql(cluster.address(primary_of(cluster.nodes).name, "db"))

    def waits(self, watcher: SqlSession, session: SqlSession) -> bool:
        """Whether `session` waits for another's lock (pg_blocking_pids)."""
        assert isinstance(watcher, PostgresSql)
        assert isinstance(session, PostgresSql)
        return waits(watcher, session)

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes:
        """A login and one query: a long comment, and a long text."""
        login = f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
        query = f"SELECT repeat('x', {answer_bytes}) /*{'x' * request_bytes}*/\0".encode()
        version = 3 << 16
        return (
            struct.pack("!II", 8 + len(login), version)
            + login
            + b"Q"
            + struct.pack("!I", 4 + len(query))
            + query
        )

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        return option_problems(options, OPTIONS, workload)

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        yield from role_problems(nodes)
        yield from problems(settings, SETTINGS)
        if settings.get("replication", "async") != "async" and len(nodes) < 2:
            yield "settings.replication: nothing can be waited for with a single node"

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One PostgreSQL, which makes or copies its cluster when it first starts."""
        return [container(node, nodes, settings)]

    def start_empty(self, cluster: Cluster, node: str) -> Sequence[ContainerSpec]:
        """A standby of the present primary; where there is none, what it was at first."""
        own = next(n for n in cluster.nodes if n.name == node)
        follow = [_address(cluster, primary) for primary in _primaries(cluster, besides=node)]
        return [container(own, cluster.nodes, cluster.settings, *follow[:1])]

    def form(self, cluster: Cluster) -> None:
        """Wait until every standby streams, make the tables, wait until every node has them."""

        def streaming() -> bool:
            primaries = _primaries(cluster)
            count = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
            return len(primaries) == 1 and _ask(cluster, primaries[0], count) == [
                str(len(cluster.nodes) - 1)
            ]

        cluster.wait("every standby streams from the primary", streaming, 60.0)
        _ask(cluster, _primaries(cluster)[0], *TABLES, timeout_s=10.0)
        cluster.wait("every standby has the tables", lambda: self.converged(cluster))

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The driver's version and libpq's."""
        return {"psycopg": psycopg.__version__, "libpq": str(psycopg.pq.version())}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says: whether it is in recovery, its timeline, how far it is behind."""
        return _Observer(cluster.address(node, "db"), timeout_s).observe

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time `node` gives in answer to `SELECT clock_timestamp()`."""
        return _Observer(cluster.address(node, "db"), timeout_s).clock

    def converged(self, cluster: Cluster) -> bool:
        """One primary; every other node streams from it and has applied what it had when asked."""
        primaries = [n.name for n in cluster.nodes if not _in_recovery(cluster, n.name)]
        if len(primaries) != 1:
            return False
        written = _ask(cluster, primaries[0], "SELECT pg_current_wal_lsn()")[0]
        caught_up = f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"
        return all(
            _follows(cluster, node.name, primaries[0])
            and _ask(cluster, node.name, caught_up) == ["t"]
            for node in cluster.nodes
            if node.name != primaries[0]
        )


SYSTEM = Postgres()
