"""Local-first peers: every node has the whole document, changes it alone, and syncs when it can.

An edit is acknowledged once it is on the peer's own disk; nobody else is asked. The document is an
Automerge document (a CRDT): peers that have the same changes have the same document. Each change is
signed by its author and names the changes it depends on. Members are listed in the document, and
admitted and revoked in it: so an edit and its author's revocation may be made at once, and whether
the edit counts is a rule's business (M. Kleppmann's keynote at PaPoC 2025,
https://martin.kleppmann.com/2025/03/31/papoc-keynote-byzantine.html; Keyhive,
https://www.inkandswitch.com/keyhive/; ERA, arXiv:2601.22963, for arbiters and roll-backs).
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from chaos.systems._common import operator_step, option_problems, silence
from chaos.systems._connections import Kept
from chaos.systems.base import (
    Address,
    Client,
    ClientSpec,
    ClockReading,
    Cluster,
    ContainerSpec,
    Handshake,
    Node,
    Observation,
    Reachable,
    Step,
    read_clock,
)
from chaos.systems.localfirst.client import CLIENTS, ERRORS, FAILURES, Peer, ask_once
from chaos.systems.localfirst.conf import (
    PORT,
    SETTINGS,
    arbiter,
    container,
    members,
    topology_problems,
)

PORTS = {"db": PORT}
ADMIN_TIMEOUT_S = 2.0
CLOCK_NS = 1_000_000  # what a peer rounds its time to
KNOCK = b"GET /health HTTP/1.1\r\nHost: peer\r\n\r\n"


def _ask(cluster: Reachable, node: str, method: str, path: str, body: Any = None) -> Any:
    return ask_once(cluster.address(node, "db"), ADMIN_TIMEOUT_S, method, path, body)


def _state(cluster: Reachable, node: str) -> dict[str, Any]:
    state: dict[str, Any] = _ask(cluster, node, "GET", "/state")
    return state


def _key(cluster: Reachable, node: str) -> str:
    return str(_ask(cluster, node, "GET", "/health")["key"])


def _answers(cluster: Reachable, node: str) -> bool:
    return bool(_key(cluster, node))


class _Observer:
    """Asks one peer over a kept connection."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._kept = Kept(lambda: Peer(address, timeout_s))

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            with self._kept as peer:
                return observation(peer.ask("GET", "/state"))
        except FAILURES as error:
            return silence(error)

    def clock(self) -> ClockReading | None:
        """The time it says it is, in whole milliseconds. Never raises."""
        try:
            with self._kept as peer:  # connecting is not in the time that is taken
                return read_clock(
                    lambda: int(peer.ask("GET", "/health")["time_ms"]) * CLOCK_NS, CLOCK_NS
                )
        except FAILURES:
            return None


def observation(state: Mapping[str, Any]) -> Observation:
    """A peer's state as an Observation: who is no member takes no edits."""
    heads = ", ".join(head[:8] for head in state["heads"]) or "none: no document"
    lacks = ", ".join(f"{name} lacks {n}" for name, n in sorted(state["unsynced"].items()))
    note = f"heads {heads}; {state['changes']} changes; connected: {lacks or 'nobody'}"
    if state["relay"]:
        return Observation(role="replica", note=f"relay; {note}")
    if state["name"] not in state["members"]:
        return Observation(role="replica", note=f"revoked; {note}")
    return Observation(role="member", note=note)


def _rejoin(cluster: Cluster, node: str) -> None:
    """Start `node` if it is down; it dials the others, and is sent what it missed."""
    cluster.start(node)

    def synced() -> bool:
        state = _state(cluster, node)
        return bool(state["heads"]) and (bool(state["unsynced"]) or len(cluster.nodes) == 1)

    cluster.wait(f"{node} has the document and a link", synced)


STEPS: Mapping[str, Step] = {
    "rejoin": Step(
        about="start this peer if it is down; it dials the others and is sent what it missed",
        run=operator_step(_rejoin, FAILURES),
    ),
}


class LocalFirst:
    """Automerge documents on Node.js peers."""

    name = "localfirst"
    about = "Local-first peers: signed Automerge documents, synced peer to peer, with revocation"
    ports: Mapping[str, int] = PORTS
    knocks: Mapping[str, bytes] = {"db": KNOCK}
    handshakes: Mapping[str, Handshake] = {"db": Handshake(say=KNOCK, served=b"HTTP/1.1 200")}
    images: Sequence[str] = ("localfirst",)
    elects = True  # there is nobody to elect: all others go on
    workloads = frozenset(CLIENTS)
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    client_options: Mapping[str, str] = {}
    errors = ERRORS
    steps = STEPS

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """A request that is read to its end and answered with so many letters."""
        body = b'{"answer_bytes":%d}' % answer_bytes + b" " * request_bytes
        head = b"POST /measure HTTP/1.1\r\nHost: peer\r\nContent-Length: %d\r\n\r\n" % len(body)
        return head + body

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """There are no options."""
        return option_problems(options, {}, workload)

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        return topology_problems(nodes, settings)

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One peer."""
        return [container(node, nodes, settings)]

    def form(self, cluster: Cluster) -> None:
        """Have the first member begin a document with all members in it; wait until all have it."""
        owners = members(cluster.nodes)
        for node in owners:
            cluster.wait(f"{node.name} answers", partial(_answers, cluster, node.name))
        listed = {
            node.name: {"key": _key(cluster, node.name), "admin": node is owners[0]}
            for node in owners
        }
        begun = {"members": listed, "arbiter": arbiter(cluster.nodes)}
        _ask(cluster, owners[0].name, "PUT", "/document", begun)
        cluster.wait("every peer has the document", lambda: self.converged(cluster))

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The client is Python's own http.client."""
        return {"http.client": platform.python_version()}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says: whether its owner may edit, and how far its neighbours are."""
        return _Observer(cluster.address(node, "db"), timeout_s).observe

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time that `node` would put into a change."""
        return _Observer(cluster.address(node, "db"), timeout_s).clock

    def converged(self, cluster: Cluster) -> bool:
        """All peers have the same changes, relays too. What they show of them is another matter."""
        heads = [_state(cluster, node.name)["heads"] for node in cluster.nodes]
        return bool(heads[0]) and all(each == heads[0] for each in heads)


SYSTEM = LocalFirst()
