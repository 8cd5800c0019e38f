"""What an operator does to MinIO nodes, and how a second site is made. There is no `promote`: every
node takes writes.

What needs MinIO's own client, `mc`, is run on a node: its requests carry bodies that only it can
encrypt.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from chaos.systems._common import address_of, operator_step
from chaos.systems.base import Cluster, Reachable, Step
from chaos.systems.objectstore.conf import PASSWORD, PORT, USER, regions_of, sites
from chaos.systems.objectstore.observer import STORAGE, whole
from chaos.systems.objectstore.wire import BUCKET, FAILURES, Store, asked

ADMIN_TIMEOUT_S = 5.0
REJOIN_S = 60.0
HEAL_S = 120.0
HERE = "here"
PROBE = "probe"  # an object that no client has


def storage(cluster: Reachable, node: str) -> Mapping[str, Any]:
    """What `node` says of the drives of its cluster; the driver's errors (`FAILURES`)."""
    said: Mapping[str, Any] = asked(cluster.address(node, "db"), ADMIN_TIMEOUT_S, STORAGE)
    return said


def takes_writes(cluster: Reachable, node: str) -> bool:
    """True once `node` has acknowledged a write; until then the driver's errors. What it says of
    drives it was told by their nodes: whether it reaches them itself, shows in what it does."""
    Store(node, cluster.address(node, "db"), ADMIN_TIMEOUT_S).put(PROBE, b"")
    return True


def mc(cluster: Cluster, node: str, *words: str, deadline_s: float = 30.0) -> list[dict[str, Any]]:
    """The answers of `mc --json …` on a node, which it knows as `here`; ClusterError."""
    line = shlex.join(["mc", "--config-dir", "/tmp/mc", "--json", *words])
    said = cluster.execute(
        node,
        ["sh", "-c", f"MC_HOST_{HERE}={_url(f'127.0.0.1:{PORT}')} {line}"],
        deadline_s=deadline_s,
    )
    return [json.loads(text) for text in said.splitlines() if text.startswith("{")]


def replicate(cluster: Cluster) -> None:
    """Have the first site copy the bucket to the second, by way of that one's first node."""
    source, target = sites(regions_of(cluster.nodes), cluster.settings)
    there = f"{_url(f'{address_of(cluster, target[0])}:{PORT}')}/{BUCKET}"
    words = ["--remote-bucket", there, "--priority", "1", "--healthcheck-seconds", "1"]
    if cluster.settings.get("replication") == "sync":
        words.append("--sync")
    mc(cluster, source[0], "replicate", "add", f"{HERE}/{BUCKET}", *words)


def _url(place: str) -> str:
    return f"http://{USER}:{PASSWORD}@{place}"


def _rejoin(cluster: Cluster, node: str) -> None:
    """Start `node` if it is down, and wait until it takes writes and all drives are there."""
    cluster.start(node)
    cluster.wait(
        f"{node} takes writes",
        lambda: whole(storage(cluster, node)) and takes_writes(cluster, node),
        REJOIN_S,
    )


def _heal(cluster: Cluster, node: str) -> None:
    """Have every object of the bucket looked at, and what drives lack of it made again."""
    mc(cluster, node, "admin", "heal", "--recursive", f"{HERE}/{BUCKET}", deadline_s=HEAL_S)


STEPS: Mapping[str, Step] = {
    "rejoin": Step(
        about="start this node if it is down and wait until it takes writes and all drives are "
        "there",
        run=operator_step(_rejoin, FAILURES),
    ),
    "heal": Step(
        about="`mc admin heal --recursive` on this node: make again what drives lack of any object",
        run=operator_step(_heal, FAILURES),
    ),
}
