"""What an operator does to a Patroni cluster: as `patronictl` does it, through the REST API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from chaos.errors import ClusterError
from chaos.systems._common import operator_step
from chaos.systems.base import Cluster, Step
from chaos.systems.patroni.api import FAILURES, PatroniRefuses, call, status
from chaos.systems.postgres.admin import follows, in_recovery, primaries

HANDOVER_S = 30.0  # Patroni itself waits 20 s for what it began
UNDECIDED = "status unknown"  # and then says this; the order stands
STREAMS_S = 30.0
COPIED_S = 60.0


def _promote(cluster: Cluster, node: str) -> None:
    """A switchover to `node` where a leader answers; else a failover to it, which happens when the
    leader's lease has ended.

    Patroni refuses what its rules forbid: a standby that is not synchronous, too far behind, or
    tagged nofailover.
    """
    if not in_recovery(cluster, node):
        return
    leader = next((m["name"] for m in _members(cluster, node) if m["role"] == "leader"), "")
    order = {"candidate": node}
    if leader and _status(cluster, leader):
        order["leader"] = leader
    path = "/switchover" if "leader" in order else "/failover"
    try:
        call(cluster.address(node, "api"), "POST", path, order, timeout_s=HANDOVER_S)
    except PatroniRefuses as refusal:
        if UNDECIDED not in str(refusal):
            raise
    cluster.wait(f"{node} takes writes", lambda: not in_recovery(cluster, node))


def _members(cluster: Cluster, node: str) -> list[dict[str, Any]]:
    """The cluster's members as etcd has them, asked of `node`."""
    text, _ = call(cluster.address(node, "api"), "GET", "/cluster")
    members: list[dict[str, Any]] = json.loads(text)["members"]
    return members


def _rejoin(cluster: Cluster, node: str) -> None:
    """Start `node` and wait until it streams; if it does not, have Patroni copy it anew."""
    cluster.start(node)

    def joined() -> bool:
        [primary] = primaries(cluster)
        return primary == node or follows(cluster, node, primary)

    try:
        cluster.wait(f"{node} follows the primary", joined, STREAMS_S)
    except ClusterError:
        call(cluster.address(node, "api"), "POST", "/reinitialize", {"force": True})
        cluster.wait(f"{node}, copied anew, follows the primary", joined, COPIED_S)


def _pause_failover(cluster: Cluster, node: str) -> None:
    """Maintenance mode: Patroni watches, and starts, stops and promotes nothing."""
    _set_pause(cluster, node, True)


def _resume_failover(cluster: Cluster, node: str) -> None:
    """End maintenance mode."""
    _set_pause(cluster, node, None)


def _set_pause(cluster: Cluster, node: str, pause: bool | None) -> None:
    call(cluster.address(node, "api"), "PATCH", "/config", {"pause": pause})

    def heard() -> bool:
        answers = filter(None, (_status(cluster, member.name) for member in cluster.nodes))
        return all(bool(found.get("pause")) is bool(pause) for found in answers)

    cluster.wait(f"every member that answers has {'paused' if pause else 'resumed'}", heard)


def _status(cluster: Cluster, node: str) -> dict[str, Any] | None:
    """What the node's Patroni says; None if it does not answer."""
    try:
        return status(cluster.address(node, "api"))[0]
    except FAILURES:
        return None


STEPS: Mapping[str, Step] = {
    "promote": Step(
        about="switch over to this node; where no leader answers, fail over to it",
        run=operator_step(_promote, FAILURES),
    ),
    "rejoin": Step(
        about="start this node and wait until it streams; if it does not, have it copied anew",
        run=operator_step(_rejoin, FAILURES),
    ),
    "pause-failover": Step(
        about="maintenance mode, ordered through this node: nothing is promoted or restarted",
        run=operator_step(_pause_failover, FAILURES),
    ),
    "resume-failover": Step(
        about="end maintenance mode, ordered through this node",
        run=operator_step(_resume_failover, FAILURES),
    ),
}
