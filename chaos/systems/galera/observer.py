"""What one Galera node says of itself.

A node in the primary component that is in sync is a `member`: it takes writes as the others do, and
one that sends a copy to another (donor) goes on doing so. One that receives (joiner, joined) is a
`replica`: it takes no statement yet. One that is in no primary component is a `candidate`. The
arbitrator has no data and speaks no SQL: it is a `replica` while its group communication answers,
and nobody can ask it which component it is in.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from chaos.systems._common import silence
from chaos.systems._connections import Kept
from chaos.systems.base import Address, Observation
from chaos.systems.mariadb.wire import FAILURES, OPERATOR, NoAnswer, Session

# What the node has now, whatever it would wait for and however alone it is.
AT_ONCE = "SET SESSION wsrep_sync_wait = 0, wsrep_dirty_reads = ON"
NAMES = (
    "wsrep_cluster_status",
    "wsrep_cluster_conf_id",
    "wsrep_cluster_size",
    "wsrep_ready",
    "wsrep_local_state_comment",
    "wsrep_local_recv_queue",
    "wsrep_last_committed",
)
STATUS = f"SHOW GLOBAL STATUS WHERE Variable_name IN {NAMES!r}"


def status(session: Session) -> dict[str, str]:
    """What the node says of its place in the cluster."""
    return {name: str(value) for name, value in session.run(STATUS).rows}


def at_once(address: Address, timeout_s: float) -> Session:
    """A session that waits for nothing, and reads in no primary component, too."""
    session = Session(address, timeout_s, OPERATOR, "")
    try:
        session.run(AT_ONCE)
    except BaseException:
        session.close()
        raise
    return session


class Observer:
    """Asks one data node over a kept connection."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._kept = Kept(lambda: at_once(address, timeout_s))

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            with self._kept as session:
                return observation(status(session))
        except FAILURES as error:
            return silence(error, NoAnswer)


def observation(said: Mapping[str, str]) -> Observation:
    """The rows of STATUS as an Observation."""
    state = said["wsrep_local_state_comment"]
    if said["wsrep_cluster_status"] != "Primary":
        return Observation(role="candidate", note=f"{state}: it is in no primary component")
    return Observation(
        role="member" if said["wsrep_ready"] == "ON" else "replica",
        term=int(said["wsrep_cluster_conf_id"]),
        note=f"{state}, one of {said['wsrep_cluster_size']}; lag is in writesets: "
        f"{said['wsrep_local_recv_queue']} to be applied",
    )


class ArbitratorObserver:
    """Knocks at the arbitrator's door."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s

    def observe(self) -> Observation:
        """Never raises. Group communication speaks first: who connects is greeted."""
        try:
            with socket.create_connection(self._address, self._timeout_s) as line:
                if not line.recv(1):
                    return Observation(role="down", note="it hung up")
        except OSError as error:
            return silence(error)
        return Observation(role="replica", note="arbitrator: it votes and has no data")
