"""A session of the DataStax driver with one node as its only coordinator.

What the driver does by itself and what becomes of it here (cassandra-driver 3.29 and later):

- It learns of the other nodes from the one it is connected to, under the addresses they have among
  themselves: `Links` gives each the address of the same node through the client's own links.
- It sends a request to any node it likes: a filter leaves it the one it was made for, so that no
  other coordinator is ever asked, and only that node has connections.
- Its retry policy sends writes again, and to other nodes: `FallthroughRetryPolicy` never does, and
  speculative executions are off.
- It connects again when a connection is lost: the schedule for that begins in a day. A session that
  lost its connection is of no more use; whoever has it makes another.
- It sets the timestamps of writes from the client's clock, and so decides who wrote last: off, so
  that the coordinator does, unless it is asked for.
- It reads results a page at a time, each page at another moment: one page holds all.
- It follows schema and tokens, asks idle nodes whether they live, and reports to a vendor: off.
- A statement that its node does not know any more it prepares again, and sends again: the first
  was refused before anything was done, so that this is no retry.
- It logs what it meets: silenced.

A session is two connections: one of the driver's own, for what it learns, and one for requests. A
third, before them, only knocks: to the driver one that is closed while it is greeted, as a proxy
does for a node that is down, is one that timed out.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from cassandra import ConsistencyLevel, DriverException
from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    NoHostAvailable,
)
from cassandra.connection import ConnectionException, DefaultEndPoint, EndPointFactory
from cassandra.metadata import _NodeInfo
from cassandra.policies import (
    ConstantReconnectionPolicy,
    FallthroughRetryPolicy,
    HostFilterPolicy,
    NoSpeculativeExecutionPolicy,
    RoundRobinPolicy,
)
from cassandra.protocol import ErrorMessage
from cassandra.query import tuple_factory

from chaos.systems.base import Address, ClientSpec, NotConnected, Reachable
from chaos.systems.cassandra.frames import ASKED

PROTOCOL = 5
NEVER_S = 86_400.0
NO_EVENTS_S = -1
# What a request may end in besides an answer; the driver's own errors have no common root.
FAILURES = (DriverException, NoHostAvailable, ConnectionException, ErrorMessage, OSError)
LEVELS: Mapping[str, int] = dict(ConsistencyLevel.name_to_value)

logging.getLogger("cassandra").setLevel(logging.CRITICAL + 1)


class Links(EndPointFactory):  # type: ignore[misc]
    """Where a node is dialled, by the address that the nodes know it under."""

    def __init__(self, ways: Mapping[str, Address]) -> None:
        self._ways = ways

    def create(self, row: Mapping[str, Any]) -> DefaultEndPoint:
        """The end point of a row of `system.peers_v2`."""
        own = _NodeInfo.get_broadcast_rpc_address(row)
        return DefaultEndPoint(*self._ways.get(own, (own, _NodeInfo.get_broadcast_rpc_port(row))))


def knock(address: Address, timeout_s: float) -> None:
    """NotConnected unless somebody answers there, with what kept it from that."""
    try:
        with socket.create_connection(address, timeout=timeout_s) as line:
            line.sendall(ASKED)
            if not line.recv(1):
                raise ConnectionError("closed without an answer")
    except OSError as error:
        raise NotConnected(f"connecting to {address[0]}:{address[1]}: {error}") from error


class Session:
    """Opened by being made: NotConnected if that fails. `ways`: node's own address → ours to it.

    `timeout_s` bounds every request, and each step of connecting.
    """

    def __init__(
        self,
        own: str,
        ways: Mapping[str, Address],
        timeout_s: float,
        *,
        client_timestamps: bool = False,
    ) -> None:
        knock(ways[own], timeout_s)
        home = DefaultEndPoint(*ways[own])
        profile = ExecutionProfile(
            load_balancing_policy=HostFilterPolicy(
                RoundRobinPolicy(), lambda host: host.endpoint == home
            ),
            retry_policy=FallthroughRetryPolicy(),
            speculative_execution_policy=NoSpeculativeExecutionPolicy(),
            request_timeout=timeout_s,
            row_factory=tuple_factory,
        )
        self._cluster = Cluster(
            contact_points=[home],
            endpoint_factory=Links(ways),
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            protocol_version=PROTOCOL,
            reconnection_policy=ConstantReconnectionPolicy(NEVER_S, max_attempts=1),
            compression=False,
            connect_timeout=timeout_s,
            control_connection_timeout=timeout_s,
            idle_heartbeat_interval=0,
            schema_event_refresh_window=NO_EVENTS_S,
            topology_event_refresh_window=NO_EVENTS_S,
            schema_metadata_enabled=False,
            token_metadata_enabled=False,
            prepare_on_all_hosts=False,
            reprepare_on_up=False,
            monitor_reporting_enabled=False,
        )
        try:
            self._session = self._cluster.connect()
        except FAILURES as error:
            self.close()
            raise NotConnected(f"connecting to {home}: {error}") from error
        self._session.default_fetch_size = None
        self._session.use_client_timestamp = client_timestamps
        self._prepared: dict[str, Any] = {}

    def prepare(self, *statements: str) -> None:
        """Have the node know what will be asked; NotConnected if it does not answer."""
        for statement in statements:
            try:
                self._prepared[statement] = self._session.prepare(statement)
            except FAILURES as error:
                raise NotConnected(f"preparing a statement: {error}") from error

    def ask(
        self,
        statement: str,
        values: Sequence[Any] = (),
        level: int = ConsistencyLevel.ONE,
        serial: int = ConsistencyLevel.SERIAL,
    ) -> list[tuple[Any, ...]]:
        """The rows that one request gives; it is prepared first where it is not yet."""
        if statement not in self._prepared:
            self.prepare(statement)
        bound = self._prepared[statement].bind(values)
        bound.consistency_level = level
        if level not in SERIAL_LEVELS:
            bound.serial_consistency_level = serial
        rows: list[tuple[Any, ...]] = self._session.execute(bound).all()
        return rows

    def run(self, statement: str, timeout_s: float) -> list[tuple[Any, ...]]:
        """The same for a statement that is not prepared, as those that change the schema."""
        rows: list[tuple[Any, ...]] = self._session.execute(statement, timeout=timeout_s).all()
        return rows

    def close(self) -> None:
        """Drop the connections; never raises. The driver waits for what it has begun, such as a
        connection to a node that does not answer: that is nobody else's business."""
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        with contextlib.suppress(Exception):
            self._cluster.shutdown()

    def __del__(self) -> None:  # an observer has no other end than being forgotten
        if hasattr(self, "_cluster") and not self._cluster.is_shutdown:
            self.close()


SERIAL_LEVELS = (ConsistencyLevel.SERIAL, ConsistencyLevel.LOCAL_SERIAL)


def session_of(spec: ClientSpec, node: str) -> Session:
    """A client's session with `node`, through its zone's link."""
    own: Mapping[str, str] = spec.settings["_addresses"]
    ways = {own[name]: ports["db"] for name, ports in spec.endpoints.items()}
    stamped = spec.options.get("timestamps", "server") == "client"
    return Session(own[node], ways, spec.timeout_s, client_timestamps=stamped)


def admin_session(cluster: Reachable, node: str, timeout_s: float) -> Session:
    """The controller's session with `node`."""
    own = {n.name: n.address for n in cluster.nodes}
    ways = {n.address: cluster.address(n.name, "db") for n in cluster.nodes}
    return Session(own[node], ways, timeout_s)
