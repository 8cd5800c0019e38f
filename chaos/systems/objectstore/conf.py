"""What MinIO's nodes are started with, and which of them are one cluster.

A cluster of MinIO is one erasure set here: every node has one drive, and an object is cut into as
many parts as there are nodes, of which `parity` may be gone when it is read. A write needs the
others, and one more where that is just half of them
(https://github.com/minio/minio/blob/master/docs/erasure/README.md).

With `replicate-to` the nodes of that region are a second cluster, a site of its own, to which the
first one copies what is written into the bucket.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.systems._common import (
    DURATION,
    YES_NO,
    Setting,
    milliseconds,
    problems,
    resolve,
)
from chaos.systems.base import ContainerSpec, Node

PORT = 9000
DATA = "/var/lib/minio"
DRIVE = f"{DATA}/drive"
USER, PASSWORD = "aftershock", "aftershock"  # of test networks that nothing else is in
NODES_MIN, NODES_MAX = 2, 16  # of one erasure set
SECOND = "replicate-to"

SETTINGS = {
    "parity": Setting(
        about="parts of an object that may be gone when it is read, of one part a node; default: "
        "1 of 2 or 3 nodes, 2 of 4 or 5, 3 of 6 or 7, 4 of 8 or more",
        values="[0-8]",
    ),
    "versioning": Setting(
        about="yes: the bucket keeps every version of an object; default no, or yes with "
        "`replicate-to`, which needs it",
        values=YES_NO,
    ),
    SECOND: Setting(
        about="a region whose nodes are a second site: a cluster of its own, to which the first "
        "copies what is written",
        values="[a-z0-9-]+",
    ),
    "replication": Setting(
        about="async: a write is acknowledged before it is copied to the second site; sync: once "
        "that was tried; default async",
        values="async|sync",
    ),
    "conn-user-timeout": Setting(
        about="how long what one node sent may stay without any answer before the connection is "
        "given up",
        values=DURATION,
        default="10m",
    ),
}


def sites(regions: Mapping[str, str], settings: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The names of the nodes whose site takes the writes, and of those of the second site.

    `regions`: node → region.
    """
    second = settings.get(SECOND)
    return (
        [name for name, region in regions.items() if region != second],
        [name for name, region in regions.items() if region == second],
    )


def regions_of(nodes: Iterable[Node]) -> dict[str, str]:
    """Node → region."""
    return {node.name: node.region for node in nodes}


def site_of(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> list[Node]:
    """The nodes of the cluster that `node` is in."""
    second = settings.get(SECOND)
    return [other for other in nodes if (other.region == second) == (node.region == second)]


def node_problems(nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
    """A sentence for each thing that keeps these nodes from being clusters of MinIO."""
    yield from problems(settings, SETTINGS)
    for node in nodes:
        if node.role is not None:
            yield f"nodes.{node.name}.role: all nodes of MinIO are alike; leave the role out"
    second, given = settings.get(SECOND), resolve(settings, SETTINGS)
    sets = [[n for n in nodes if (n.region == second) is there] for there in (False, True)]
    if second is None:
        sets.pop()
        if "replication" in given:
            yield f"settings.replication: means nothing without {SECOND}"
    elif given.get("versioning") == "no":
        yield f"settings.versioning: {SECOND} needs it; leave it out"
    parity = given.get("parity", "0")
    for members, where in zip(sets, ("in a cluster", f"in {second}"), strict=False):
        if not NODES_MIN <= len(members) <= NODES_MAX:
            yield f"expected {NODES_MIN} to {NODES_MAX} nodes {where}, got {len(members)}"
        elif re.fullmatch(SETTINGS["parity"].values, parity) and int(parity) > len(members) // 2:
            yield f"settings.parity: at most half of the {len(members)} nodes {where}"


def container(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> ContainerSpec:
    """One server; its cluster is named by addresses, in the same order on every node."""
    given = resolve(settings, SETTINGS)
    env = {
        "MINIO_ROOT_USER": USER,
        "MINIO_ROOT_PASSWORD": PASSWORD,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "MINIO_PROMETHEUS_AUTH_TYPE": "public",
        "MINIO_CI_CD": "1",  # else it refuses a drive on the host's root filesystem
        "MINIO_CONN_USER_TIMEOUT": f"{milliseconds(given['conn-user-timeout'])}ms",
    }
    if "parity" in given:
        env["MINIO_STORAGE_CLASS_STANDARD"] = f"EC:{given['parity']}"
    drives = [f"http://{n.address}:{PORT}{DRIVE}" for n in site_of(node, nodes, settings)]
    return ContainerSpec(
        name="minio",
        image="minio",
        command=["minio", "server", "--address", f":{PORT}", *drives],
        env=env,
        data_dir=DATA,
    )


def versioned(settings: Mapping[str, Any]) -> bool:
    """Whether the bucket keeps versions."""
    return SECOND in settings or resolve(settings, SETTINGS).get("versioning") == "yes"
