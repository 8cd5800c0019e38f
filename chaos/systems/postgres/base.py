"""What every system of PostgreSQL servers answers alike: clients, errors, the wire, the clock."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import psycopg

from chaos.errors import ClusterError
from chaos.systems._common import option_problems
from chaos.systems.base import (
    Client,
    ClientSpec,
    ClockReading,
    Cluster,
    ErrorRule,
    Handshake,
    Observation,
    Reachable,
)
from chaos.systems.postgres.admin import ask, primaries, settled
from chaos.systems.postgres.client import DATABASE, ERRORS, TABLES, USER
from chaos.systems.postgres.clients import CLIENTS, OPTIONS
from chaos.systems.postgres.observer import Observer
from chaos.systems.postgres.sql import LEVELS, PostgresSql, waits
from chaos.systems.sql import SqlSession

# A session's first message (protocol, "Message Formats": StartupMessage). It takes a slot once it
# is answered by AuthenticationOk ("R"); a full server answers with an error ("E").
STARTUP_TEXT = b"\0\3\0\0user\0%s\0database\0%s\0\0" % (USER.encode(), DATABASE.encode())
STARTUP = (len(STARTUP_TEXT) + 4).to_bytes(4, "big") + STARTUP_TEXT
# SSLRequest, which is answered by one byte before anybody logs in (protocol, "SSL Session
# Encryption"); it leaves no line in the log.
KNOCK = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


class PostgresServers:
    """Servers that speak PostgreSQL on the port `db`, one of them the primary."""

    handshakes: Mapping[str, Handshake] = {"db": Handshake(say=STARTUP, served=b"R")}
    workloads = frozenset(CLIENTS)
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors: Sequence[ErrorRule] = ERRORS
    levels = LEVELS

    def sql(self, cluster: Reachable) -> SqlSession:
        """A session on the primary; ClusterError if there is none."""
        for node in primaries(cluster):
            return PostgresSql(cluster.address(node, "db"))
        raise ClusterError("no session for the probes: no node that answers is primary")

    def waits(self, watcher: SqlSession, session: SqlSession) -> bool:
        """Whether `session` waits for another's lock (pg_blocking_pids)."""
        assert isinstance(watcher, PostgresSql)
        assert isinstance(session, PostgresSql)
        return waits(watcher, session)

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """A login and one query: a long comment, and a long text."""
        if port != "db":
            return None
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

    def form(self, cluster: Cluster) -> None:
        """Wait until every standby streams, make the tables, wait until every node has them."""

        def streaming() -> bool:
            [primary] = primaries(cluster)
            count = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
            return ask(cluster, primary, count) == [str(len(cluster.nodes) - 1)]

        cluster.wait("every standby streams from the primary", streaming, 60.0)
        ask(cluster, primaries(cluster)[0], *TABLES, timeout_s=10.0)
        cluster.wait("every standby has the tables", lambda: settled(cluster))

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
        return Observer(cluster.address(node, "db"), timeout_s).observe

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time `node` gives in answer to `SELECT clock_timestamp()`."""
        return Observer(cluster.address(node, "db"), timeout_s).clock

    def converged(self, cluster: Cluster) -> bool:
        """One primary; every other node streams from it and has applied what it had when asked."""
        return settled(cluster)
