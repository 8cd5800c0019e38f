"""What a peer is told: who it is, by which rule it goes, and whom it dials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.systems._common import DURATION, Setting, milliseconds, problems, resolve
from chaos.systems.base import ContainerSpec, Node

PORT = 7600
DATA = "/var/lib/localfirst"
CONFIG = "/etc/localfirst/peer.json"
ARBITER, RELAY = "arbiter", "relay"  # roles of nodes

SETTINGS = {
    "rule": Setting(
        about="whose edits a peer shows: naive (of who is a member when the edit arrives, or was "
        "one when it says it was made), causal (unless the author's revocation precedes it) or "
        "arbiter (by the order in which one peer has revocations)",
        values="naive|causal|arbiter",
        default="causal",
    ),
    "heartbeat": Setting(
        about="how often a peer tells its neighbours what it has", values=DURATION, default="250ms"
    ),
    "silence": Setting(
        about="how long a neighbour may say nothing before its link is made anew",
        values=DURATION,
        default="2s",
    ),
}


def members(nodes: Sequence[Node]) -> list[Node]:
    """The peers that have an owner, who is a member; the first is the admin."""
    return [node for node in nodes if node.role != RELAY]


def arbiter(nodes: Sequence[Node]) -> str:
    """The name of the peer whose order decides, "" if there is none."""
    return next((node.name for node in nodes if node.role == ARBITER), "")


def topology_problems(nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
    """A sentence for each thing wrong with these nodes and settings."""
    if not members(nodes):
        yield "there are no members; at least one node without `role: relay` is needed"
    for node in nodes:
        if node.role not in (None, ARBITER, RELAY):
            yield f"nodes.{node.name}.role: expected arbiter or relay, got {node.role!r}"
    wrong = list(problems(settings, SETTINGS))
    yield from wrong
    if wrong:
        return
    rule = resolve(settings, SETTINGS)["rule"]
    named = [node.name for node in nodes if node.role == ARBITER]
    if rule == "arbiter" and len(named) != 1:
        yield f"settings.rule: arbiter needs one node with `role: arbiter`, there are {len(named)}"
    if rule != "arbiter" and named:
        yield f"nodes.{named[0]}.role: nobody asks an arbiter by the rule {rule}"


def dialled(node: Node, nodes: Sequence[Node]) -> list[Node]:
    """Whom `node` connects to, so that one of each two neighbours dials: members dial every relay,
    and relays, or members where there is none, those of their kind before them."""
    relays = [other for other in nodes if other.role == RELAY]
    if relays and node.role != RELAY:
        return relays
    alike = relays or list(nodes)
    return alike[: alike.index(node)]


def seed(node: Node) -> str:
    """Of its owner's key. It is no secret, and made from the name alone: a peer whose disk was
    wiped is the same owner's, as one restored from a paper key would be."""
    return hashlib.sha256(f"aftershock localfirst {node.name}".encode()).hexdigest()


def container(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> ContainerSpec:
    """The peer on `node`."""
    used = resolve(settings, SETTINGS)
    told = {
        "name": node.name,
        "seed": seed(node),
        "rule": used["rule"],
        "relay": node.role == RELAY,
        "port": PORT,
        "folder": DATA,
        "urls": {o.name: f"ws://{o.address}:{PORT}/sync" for o in dialled(node, nodes)},
        "heartbeat_ms": milliseconds(used["heartbeat"]),
        "silence_ms": milliseconds(used["silence"]),
    }
    return ContainerSpec(
        name="peer",
        image="localfirst",
        command=["node", "/opt/peer/main.js", CONFIG],
        files={CONFIG: json.dumps(told, indent=2) + "\n"},
        data_dir=DATA,
    )
