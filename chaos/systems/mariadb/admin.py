"""What is asked of MariaDB's servers besides the clients' statements: who leads, who follows."""

from __future__ import annotations

from typing import Any

from chaos.systems._common import address_of
from chaos.systems.base import Reachable
from chaos.systems.mariadb.wire import FAILURES, OPERATOR, Answer, Session

ADMIN_TIMEOUT_S = 3.0


def ask(
    cluster: Reachable, node: str, *statements: str, timeout_s: float = ADMIN_TIMEOUT_S
) -> Answer:
    """Run statements on `node` as its operator, each its own transaction; the last one's answer."""
    session = Session(cluster.address(node, "db"), timeout_s, OPERATOR, "")
    try:
        for statement in statements:
            answer = session.run(statement)
    finally:
        session.close()
    return answer


def is_replica(cluster: Reachable, node: str) -> bool:
    """Whether `node` takes no writes, as it says now."""
    return bool(ask(cluster, node, "SELECT @@global.read_only").value)


def primaries(cluster: Reachable, besides: str = "") -> list[str]:
    """Nodes, other than `besides`, that answer and take writes."""
    found = []
    for node in cluster.nodes:
        if node.name == besides:
            continue
        try:
            if not is_replica(cluster, node.name):
                found.append(node.name)
        except FAILURES:
            continue
    return found


def replication(session: Session) -> dict[str, Any]:
    """What a server says of itself as a replica; {} where it follows nobody."""
    answer = session.run("SHOW SLAVE STATUS")
    return dict(zip(answer.names, answer.rows[0], strict=True)) if answer.rows else {}


def follows(cluster: Reachable, node: str, primary: str) -> bool:
    """Whether `node` is read-only, receives from `primary` and applies, as it says now."""
    session = Session(cluster.address(node, "db"), ADMIN_TIMEOUT_S, OPERATOR, "")
    try:
        said = replication(session)
        return bool(session.run("SELECT @@global.read_only").value) and (
            said.get("Master_Host"),
            said.get("Slave_IO_Running"),
            said.get("Slave_SQL_Running"),
        ) == (address_of(cluster, primary), "Yes", "Yes")
    finally:
        session.close()


def settled(cluster: Reachable) -> bool:
    """One primary; every other node follows it and has applied what it had when asked.

    Raises the driver's errors (`FAILURES`) while a node does not answer.
    """
    leading = [n.name for n in cluster.nodes if not is_replica(cluster, n.name)]
    if len(leading) != 1:
        return False
    written = ask(cluster, leading[0], "SELECT @@global.gtid_binlog_pos").value
    applied = f"SELECT MASTER_GTID_WAIT('{written}', 0)"  # -1: not yet
    return all(
        follows(cluster, node.name, leading[0]) and ask(cluster, node.name, applied).value == 0
        for node in cluster.nodes
        if node.name != leading[0]
    )
