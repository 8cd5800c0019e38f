"""What is asked of PostgreSQL's servers besides the clients' statements: who leads, who follows."""

from __future__ import annotations

from chaos.systems._common import address_of
from chaos.systems.base import Reachable
from chaos.systems.postgres.client import FAILURES, Session

ADMIN_TIMEOUT_S = 3.0


def ask(
    cluster: Reachable, node: str, *statements: str, timeout_s: float = ADMIN_TIMEOUT_S
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


def in_recovery(cluster: Reachable, node: str) -> bool:
    """Whether `node` is a standby, as it says now."""
    return ask(cluster, node, "SELECT pg_is_in_recovery()")[0] == "t"


def primaries(cluster: Reachable, besides: str = "") -> list[str]:
    """Nodes, other than `besides`, that answer and are not in recovery."""
    found = []
    for node in cluster.nodes:
        if node.name == besides:
            continue
        try:
            if not in_recovery(cluster, node.name):
                found.append(node.name)
        except FAILURES:
            continue
    return found


def follows(cluster: Reachable, node: str, primary: str) -> bool:
    """Whether `node` streams from `primary`, as it says now."""
    row = ask(
        cluster,
        node,
        "SELECT sender_host, status FROM pg_stat_wal_receiver WHERE pg_is_in_recovery()",
    )
    return row == [address_of(cluster, primary), "streaming"]


def settled(cluster: Reachable) -> bool:
    """One primary; every other node streams from it and has applied what it had when asked.

    Raises the driver's errors (`FAILURES`) while a node does not answer.
    """
    leading = [n.name for n in cluster.nodes if not in_recovery(cluster, n.name)]
    if len(leading) != 1:
        return False
    written = ask(cluster, leading[0], "SELECT pg_current_wal_lsn()")[0]
    caught_up = f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"
    return all(
        follows(cluster, node.name, leading[0]) and ask(cluster, node.name, caught_up) == ["t"]
        for node in cluster.nodes
        if node.name != leading[0]
    )
