"""What every system of MariaDB servers answers alike: clients, the wire, SQL, the clock."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pymysql
from pymysql.constants import CLIENT, COMMAND

from chaos.systems._common import Setting, option_problems
from chaos.systems.base import ClockReading, Handshake, Reachable
from chaos.systems.mariadb.clients import CLIENTS
from chaos.systems.mariadb.observer import Observer
from chaos.systems.mariadb.sql import MariadbSql, waits
from chaos.systems.mariadb.transactions import LEVELS
from chaos.systems.mariadb.wire import OPERATOR
from chaos.systems.sql import SqlSession

UTF8MB4 = 45  # utf8mb4_general_ci
PACKET_BYTES_MAX = (1 << 24) - 1


def packet(number: int, payload: bytes) -> bytes:
    """One packet of the protocol: its length, its number within the exchange, and what it says."""
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


# The server speaks first, and a client may answer before it has heard that: a login without a
# password depends on nothing that the server said
# (https://mariadb.com/kb/en/connection/, "Handshake Response Packet"). The operator's, who may
# take the one place that is kept above max_connections: while it is free, anybody is greeted, and
# clients are turned away after their login only.
LOGIN = packet(
    1,
    struct.pack(
        "<IIB23x",
        CLIENT.LONG_PASSWORD | CLIENT.PROTOCOL_41 | CLIENT.TRANSACTIONS | CLIENT.SECURE_CONNECTION,
        PACKET_BYTES_MAX,
        UTF8MB4,
    )
    + OPERATOR.encode()
    + b"\0\0",
)
# A server that serves begins with protocol version 10, a full one with an error (0xff): after three
# bytes of length, and a packet's number.
SERVED = b"\0\x0a"


class MariadbServers:
    """Servers that speak MariaDB's protocol on the port `db`."""

    knocks: Mapping[str, bytes] = {"db": LOGIN}
    handshakes: Mapping[str, Handshake] = {"db": Handshake(say=LOGIN, served=SERVED, after=3)}
    workloads = frozenset(CLIENTS)
    options: Mapping[str, Setting]
    levels = LEVELS

    def waits(self, watcher: SqlSession, session: SqlSession) -> bool:
        """Whether `session` waits for another's lock (information_schema.innodb_trx)."""
        assert isinstance(watcher, MariadbSql)
        assert isinstance(session, MariadbSql)
        return waits(watcher, session)

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """A login and one query: a long comment, and a long text."""
        if port != "db":
            return None
        query = f"SELECT REPEAT('x', {answer_bytes}) /*{'x' * request_bytes}*/".encode()
        payload = bytes([COMMAND.COM_QUERY]) + query
        packets: list[bytes] = []
        while True:
            packets.append(packet(len(packets) % 256, payload[:PACKET_BYTES_MAX]))
            if len(payload) < PACKET_BYTES_MAX:
                return LOGIN + b"".join(packets)
            payload = payload[PACKET_BYTES_MAX:]

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        return option_problems(options, self.options, workload)

    def versions(self) -> Mapping[str, str]:
        """The driver's version."""
        return {"pymysql": pymysql.__version__}

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time `node` gives in answer to `SELECT SYSDATE(6)`."""
        return Observer(cluster.address(node, "db"), timeout_s).clock
