"""What an operator does to PostgreSQL servers that do not fail over by themselves."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.errors import ClusterError
from chaos.systems._common import address_of, operator_step, primary_to_rejoin
from chaos.systems.base import Cluster, Node, Step
from chaos.systems.postgres.admin import ask, follows, in_recovery, primaries
from chaos.systems.postgres.client import FAILURES, USER
from chaos.systems.postgres.conf import PORT, REJOIN

LOGGED = (
    "SELECT CASE WHEN pg_is_in_recovery()"
    " THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0') END"
)


def _promote(cluster: Cluster, node: str) -> None:
    """Make the standby `node` primary, as an operator would who believes the primary lost.

    With `sync` or `quorum` the new primary would wait for standbys it does not have yet, and take
    no write: its synchronous_standby_names is emptied first. The other standbys are then told to
    follow it, and the setting comes back as soon as enough of them do (`rejoin` does the same).
    It first fetches what another standby has more of. With `sync` promote the topology's first.
    """
    if not in_recovery(cluster, node):
        return
    waits = ask(cluster, node, "SHOW synchronous_standby_names")[0]
    if waits:
        _catch_up(cluster, node)
        ask(
            cluster,
            node,
            "ALTER SYSTEM SET synchronous_standby_names = ''",
            "SELECT pg_reload_conf()",
        )
    promoted = ask(cluster, node, "SELECT pg_promote(true, 10)", timeout_s=12.0)
    if promoted != ["t"]:
        raise ClusterError(f"{node} did not end its recovery within 10 s")
    followers = [
        other.name
        for other in cluster.nodes
        if other.name != node and _turned(cluster, other, node)
    ]
    if waits and followers:
        _guard_again(cluster, node, deadline_s=5.0)


def _catch_up(cluster: Cluster, node: str) -> None:
    """Have `node` follow the standby that has most until it has as much: with `quorum` a commit
    was acknowledged when any of them had it. Standbys that do not answer cannot be asked."""
    has = {other.name: _logged(cluster, other.name) for other in cluster.nodes}
    furthest = max(has, key=lambda name: (has[name], name == node))
    own = next(other for other in cluster.nodes if other.name == node)
    if furthest != node and _turned(cluster, own, furthest):
        cluster.wait(
            f"{node} has what {furthest} has",
            lambda: _logged(cluster, node) >= has[furthest],
            10.0,
        )


def _logged(cluster: Cluster, node: str) -> int:
    """How far the log on a standby's disk goes, in bytes; -1 if it is none, or does not answer."""
    try:
        return int(ask(cluster, node, LOGGED)[0] or -1)
    except FAILURES:
        return -1


def _turned(cluster: Cluster, standby: Node, primary: str) -> bool:
    """Tell `standby` to follow `primary`; False if it does not answer or is a primary itself."""
    conninfo = " ".join(
        [
            f"host={address_of(cluster, primary)} port={PORT} user={USER}",
            f"application_name={standby.name} connect_timeout=2 keepalives_idle=1",
            "keepalives_interval=1 keepalives_count=3 tcp_user_timeout=5000",
        ]
    )
    try:
        if not in_recovery(cluster, standby.name):
            return False
        ask(
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
        return ask(cluster, primary, count) != ["0"]

    try:
        cluster.wait(f"a standby streams from {primary}", streaming, deadline_s)
    except ClusterError:  # cut off as well: the primary goes on alone, which is what it was told
        return
    ask(
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
    primary = primary_to_rejoin(node, primaries(cluster, besides=node))
    cluster.start(node)
    order = f"echo {address_of(cluster, primary)} > {REJOIN}"
    cluster.execute(node, ["sh", "-c", order])
    cluster.stop(node)
    cluster.start(node)
    cluster.wait(f"{node} follows {primary}", lambda: follows(cluster, node, primary), 60.0)
    _guard_again(cluster, primary, deadline_s=5.0)


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
