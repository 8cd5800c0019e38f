"""What an operator does to MariaDB servers that do not fail over by themselves."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.errors import ClusterError
from chaos.systems._common import address_of, operator_step, primary_to_rejoin
from chaos.systems.base import Cluster, Node, Step
from chaos.systems.mariadb.admin import (
    ADMIN_TIMEOUT_S,
    ask,
    follows,
    is_replica,
    primaries,
    replication,
)
from chaos.systems.mariadb.conf import FOLLOW, PORT, REJOIN, semi_sync
from chaos.systems.mariadb.wire import FAILURES, OPERATOR, Session

APPLY_S = 10.0
SEMI_SYNC = "SET GLOBAL rpl_semi_sync_master_enabled = {}"


def _promote(cluster: Cluster, node: str) -> None:
    """Make the replica `node` primary, as an operator would who believes the primary lost.

    It receives no more, applies all that it received, and takes writes. With `semi-sync` a new
    primary would wait for replicas that it does not have yet, and take no write: it waits for none
    until one follows (`rejoin` has it wait again). The other replicas are told to follow it; one
    that received more than it refuses (1236), and has to rejoin. So promote the one that is
    furthest.
    """
    if not is_replica(cluster, node):
        return
    session = Session(cluster.address(node, "db"), APPLY_S + ADMIN_TIMEOUT_S, OPERATOR, "")
    try:
        session.run("STOP SLAVE IO_THREAD")
        received = replication(session).get("Gtid_IO_Pos", "")
        applied = session.run("SELECT MASTER_GTID_WAIT(%s, %s)", received, APPLY_S).value
        if applied != 0:
            raise ClusterError(f"{node} did not apply what it had received within {APPLY_S:g} s")
        session.run("STOP SLAVE")
        session.run("RESET SLAVE ALL")
        _remember(cluster, node, "")
        session.run(SEMI_SYNC.format("OFF"))
        session.run("SET GLOBAL read_only = OFF")
    finally:
        session.close()
    followers = [
        other.name
        for other in cluster.nodes
        if other.name != node and _turned(cluster, other, node)
    ]
    if followers:
        _guard_again(cluster, node, deadline_s=5.0)


def _remember(cluster: Cluster, node: str, primary: str) -> None:
    """What `node` is when it starts again: a replica of the address `primary`, "" for none."""
    cluster.execute(node, ["sh", "-c", f"echo '{primary}' > {FOLLOW} && sync {FOLLOW}"])


def _turned(cluster: Cluster, replica: Node, primary: str) -> bool:
    """Tell `replica` to follow `primary`; False if it does not answer or is a primary itself."""
    address = address_of(cluster, primary)
    try:
        if not is_replica(cluster, replica.name):
            return False
        ask(
            cluster,
            replica.name,
            "STOP SLAVE",
            f"CHANGE MASTER TO MASTER_HOST='{address}', MASTER_PORT={PORT},"
            " MASTER_USE_GTID=slave_pos",
            "START SLAVE",
        )
        _remember(cluster, replica.name, address)
    except (*FAILURES, ClusterError):
        return False
    return True


def _guard_again(cluster: Cluster, primary: str, deadline_s: float) -> None:
    """With semi-sync, have `primary` wait for replicas again once one is there to be waited for;
    left as it is if none comes."""
    if not semi_sync(cluster.settings):
        return

    def ready() -> bool:
        return any(
            follows(cluster, node.name, primary) for node in cluster.nodes if node.name != primary
        )

    try:
        cluster.wait(f"a replica follows {primary}", ready, deadline_s)
    except ClusterError:  # cut off as well: the primary goes on alone, which is what it was told
        return
    ask(cluster, primary, SEMI_SYNC.format("ON"))


def _rejoin(cluster: Cluster, node: str) -> None:
    """Make `node` a replica of the present primary, dropping what only it has.

    One that follows it already is left alone. Else its data is thrown away and copied anew, by
    mariadb-dump: positions tell whether it has commits that the primary lacks only as far as its
    binary log has not lost any itself.
    """
    primary = primary_to_rejoin(node, primaries(cluster, besides=node))
    cluster.start(node)
    try:
        following = follows(cluster, node, primary)
    except FAILURES:
        following = False
    if not following:
        order = f"echo {address_of(cluster, primary)} > {REJOIN} && sync {REJOIN}"
        cluster.execute(node, ["sh", "-c", order])
        cluster.stop(node)
        cluster.start(node)
        cluster.wait(f"{node} follows {primary}", lambda: follows(cluster, node, primary), 60.0)
    _guard_again(cluster, primary, deadline_s=5.0)


STEPS: Mapping[str, Step] = {
    "promote": Step(
        about="have this replica apply what it received, and make it primary; the others follow it",
        run=operator_step(_promote, FAILURES),
    ),
    "rejoin": Step(
        about="make this node a replica of the primary: a new copy, unless it follows already",
        run=operator_step(_rejoin, FAILURES),
    ),
}
