"""Exhaustion: the database runs out of connections, or of files it may open.

Connections: the agent opens real ones from inside the pod, with as much of a handshake as the
database needs to count each, until it refuses, and takes every place that becomes free. They close
with the agent. Files: the agent lowers the soft limit of the database's processes to what is open
now, and raises it again.

What was connected before stays connected, clients, replicas and our own observer alike; whoever
comes anew is refused, and the observer may lose a node's role that way. Measured by a new client's
request, and by the kernel's own view of the limits.
"""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chaos.agent.link import ask_all
from chaos.errors import FaultError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene, own_link
from chaos.faults.nodes import BACK_S, OnNodes
from chaos.runtime.cluster import HINDERED

COUNT_MAX = 12_000  # more than Redis's 10,000; a server without a limit is not filled further
FILL_S = 10.0  # how long that may take
NEWCOMER_S = 0.4
SERVED = "served"


def newcomer(scene: Scene, node: str, within_s: float = NEWCOMER_S) -> str:
    """What a new client gets: served, or how it was turned away (refused, closed, silent, …)."""
    link = own_link(node)
    handshake = scene.cluster.group(node).handshake(node, link.port)
    try:
        address = scene.cluster.address(link.node, link.port, link.zone)
        with socket.create_connection(address, timeout=within_s) as line:
            line.sendall(handshake.say)
            line.settimeout(within_s)
            answer = line.recv(256)
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "reset"
    if not answer:
        return "closed"
    return SERVED if answer.startswith(handshake.served, handshake.after) else "refused"


class _Exhaustion(OnNodes):
    """What both have in common: a newcomer is not served, and is served again at the end."""

    still: dict[str, list[str]]  # node → other faults that exhaust it too

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self.still = {}

    def newcomers(self, scene: Scene) -> dict[str, str]:
        """A new client at every node."""
        with ThreadPoolExecutor(len(self.nodes) or 1) as pool:
            seen = pool.map(lambda node: newcomer(scene, node), self.nodes)
            return dict(zip(self.nodes, seen, strict=True))

    def outcome(self, newcomers: dict[str, str]) -> tuple[str, str]:
        """Judged by what newcomers got alone."""
        served = [n for n, got in newcomers.items() if got == SERVED]
        if served:
            return MISMATCH, f"a new client is still served: {', '.join(served)}"
        if self.before:
            return INCONCLUSIVE, self.already_down()
        return CONFIRMED, ""

    def probe_heal(self, scene: Scene) -> Probe:
        """A new client is served again at each node that nobody else exhausts or silences."""
        end = time.monotonic() + BACK_S
        got = self.newcomers(scene)

        def waiting() -> list[str]:
            return [n for n, kind in got.items() if kind != SERVED
                    and not scene.cluster.hindered_by(n, self.id)]  # fmt: skip

        while (again := waiting()) and time.monotonic() < end:
            time.sleep(0.03)
            got |= {node: newcomer(scene, node) for node in again}
        missing = waiting()
        held = {n: scene.cluster.hindered_by(n, self.id) for n, kind in got.items()
                if kind != SERVED and n not in missing}  # fmt: skip
        outcome, why = CONFIRMED, ""
        if missing:
            outcome, why = MISMATCH, f"no new client is served: {', '.join(missing)}"
        elif held:
            said = [f"{node} ({', '.join(by)})" for node, by in sorted(held.items())]
            outcome, why = INCONCLUSIVE, f"held by another fault: {', '.join(said)}"
        measured = {node: {"newcomer": kind} for node, kind in got.items()}
        return Probe(outcome=outcome, measured=measured, why=why, at_ns=time.monotonic_ns())


class ConnectionExhaustion(_Exhaustion):
    """Every connection the database takes is taken."""

    def available(self, scene: Scene) -> str:
        """The agent has to be able to hold as many."""
        if self.entry.count is not None:
            for node, hello in scene.cluster.hello.items():
                if hello["connections_max"] < self.entry.count:
                    most = hello["connections_max"]
                    return f"the agent of {node} may hold {most} connections at most"
        return ""

    def inject(self, scene: Scene) -> None:
        """Open connections on all nodes, and wait until they are full or have enough."""
        self.claim(scene, HINDERED)
        up = [node for node in self.nodes if node not in self.before]
        requests = {node: ("crowd", self._asked(scene, node)) for node in up}
        ask_all(scene.cluster.agents(), requests)
        end = time.monotonic() + FILL_S
        while time.monotonic() < end:
            states = self._states(scene)
            if all(s["full"] or s["enough"] for s in states.values()):
                break
            time.sleep(0.01)
        since = [s["since_ns"] for s in self._states(scene).values() if s["since_ns"]]
        self.effect_ns = max(since, default=time.monotonic_ns())

    def _asked(self, scene: Scene, node: str) -> dict[str, Any]:
        """What the agent of a node is to do."""
        group = scene.cluster.group(node)
        if "db" not in group.ports(node):
            raise FaultError(f"{node} listens nowhere that could be filled")
        handshake = group.handshake(node, "db")
        return {
            "fault": self.id,
            "address": next(n.address for n in scene.cluster.nodes if n.name == node),
            "port": group.ports(node)["db"],
            "say": handshake.say.hex(),
            "served": handshake.served.hex(),
            "after": handshake.after,
            "count": self.entry.count or COUNT_MAX,
        }

    def _states(self, scene: Scene) -> dict[str, Any]:
        up = [node for node in self.nodes if node not in self.before]
        return ask_all(scene.cluster.agents(),
                       dict.fromkeys(up, ("crowd_state", {"fault": self.id})))  # fmt: skip

    def probe(self, scene: Scene) -> Probe:
        """How many are held, and that one more is not served; or that as many are held as asked."""
        newcomers, states = self.newcomers(scene), self._states(scene)
        measured: dict[str, Any] = {
            node: {"held": s["held"], "refused": s["refused"], "newcomer": newcomers[node]}
            for node, s in states.items()
        }
        for node, state in states.items():
            if state["said"]:
                measured[node]["said"] = state["said"]
        outcome, why = self.outcome(newcomers)
        requested: dict[str, Any] = {"newcomer": "not served"}
        if self.entry.count is not None:  # that many were asked for, not that it be full
            requested = {"held": self.entry.count}
            few = [n for n, s in states.items() if not s["enough"] and not s["full"]]
            outcome, why = CONFIRMED, ""
            if few:
                outcome, why = MISMATCH, f"fewer are held: {', '.join(few)}"
            elif self.before:
                outcome, why = INCONCLUSIVE, self.already_down()
            elif full := [n for n, s in states.items() if not s["enough"]]:
                why = f"full before that: {', '.join(full)}"
        elif outcome == MISMATCH and all(s["enough"] for s in states.values()):
            why = f"no limit was met with {COUNT_MAX} connections; {why}"
        others = sorted({fault for s in states.values() for fault in s["others"]})
        if others and outcome == CONFIRMED:
            outcome, why = INCONCLUSIVE, f"already full because of {', '.join(others)}"
        return Probe(outcome=outcome, requested=requested, measured=measured, why=why,
                     at_ns=self.effect_ns)  # fmt: skip

    def heal(self, scene: Scene) -> None:
        """Close them."""
        self.unclaim(scene, HINDERED)
        nodes = dict.fromkeys(self.nodes, ("disperse", {"fault": self.id}))
        answers = ask_all(scene.cluster.agents(), nodes)
        self.still = {n: a["still"] for n, a in answers.items() if a["still"]}


class FdExhaustion(_Exhaustion):
    """The database's processes may open nothing more."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._least: dict[str, int] = {}  # node → the lowest limit of its processes, before
        self._others: list[str] = []  # faults that had lowered the same limits already

    def available(self, scene: Scene) -> str:
        """Needs agents that may take other users' ids."""
        for node, hello in scene.cluster.hello.items():
            if not hello["set_ids"]:
                return f"the agent of {node} lacks CAP_SETUID or CAP_SETGID"
        return ""

    def prepare(self, scene: Scene) -> None:
        """See what does not answer already, and that a process of that name runs."""
        super().prepare(scene)
        self.check_name(scene, self.entry.process)
        for node, answer in self._limits(scene).items():
            self._least[node] = min((soft for _, _, soft, *_ in answer["limits"]), default=0)

    def _limits(self, scene: Scene) -> dict[str, Any]:
        return self._on_up(scene, "file_limits", process=self.entry.process)

    def _on_up(self, scene: Scene, do: str, **arguments: Any) -> dict[str, Any]:
        up = [node for node in self.nodes if node not in self.before]
        return ask_all(scene.cluster.agents(), dict.fromkeys(up, (do, arguments)))

    def inject(self, scene: Scene) -> None:
        """Lower the limits on all nodes."""
        self.claim(scene, HINDERED)
        answers = self._on_up(scene, "starve", fault=self.id, process=self.entry.process)
        self.effect_ns = max((a["t_ns"] for a in answers.values()), default=time.monotonic_ns())
        self._others = sorted({fault for a in answers.values() for fault in a["others"]})

    def probe(self, scene: Scene) -> Probe:
        """No free number is below the limit, as the kernel says; a new client is not served."""
        newcomers = self.newcomers(scene)
        limits = self._limits(scene)
        measured: dict[str, Any] = {}
        loose = []
        for node, answer in limits.items():
            rows = answer["limits"]
            free = [name for _, name, soft, _, first in rows if first < soft]
            measured[node] = {"processes": len(rows), "limit": max((r[2] for r in rows), default=0),
                              "open": max((r[3] for r in rows), default=0),
                              "may_open_more": len(free), "newcomer": newcomers[node]}  # fmt: skip
            if rows and len(free) == len(rows):
                loose.append(f"{node} ({', '.join(sorted(set(free)))})")
        outcome, why = self.outcome(newcomers)
        if self.entry.process is not None and outcome == MISMATCH:
            outcome, why = CONFIRMED, ""  # another process may serve clients
        if (ended := [n for n, a in limits.items() if not a["limits"]]) and outcome == CONFIRMED:
            why = f"the database's process has ended: {', '.join(ended)}"
        if self._others and outcome == CONFIRMED:
            outcome = INCONCLUSIVE
            why = f"already exhausted because of {', '.join(self._others)}"
        if loose:
            outcome, why = MISMATCH, f"more can be opened: {', '.join(loose)}"
        return Probe(outcome=outcome, requested={"newcomer": "not served"}, measured=measured,
                     why=why, at_ns=self.effect_ns)  # fmt: skip

    def heal(self, scene: Scene) -> None:
        """Give the limits back that no other fault holds; start what could not live with them."""
        self.unclaim(scene, HINDERED)
        nodes = dict.fromkeys(self.nodes, ("feed", {"fault": self.id}))
        answers = ask_all(scene.cluster.agents(), nodes)
        self.still = {n: a["still"] for n, a in answers.items() if a["still"]}
        for node in self.nodes:
            scene.cluster.start_ended(node)

    def probe_heal(self, scene: Scene) -> Probe:
        """The limits are what they were, and a new client is served."""
        probe = super().probe_heal(scene)
        low = []
        for node, answer in self._limits(scene).items():
            least = min((soft for _, _, soft, *_ in answer["limits"]), default=None)
            probe.measured.get(node, {})["limit"] = least
            if least is not None and least < self._least[node] and node not in self.still:
                low.append(f"{node} ({least} files)")
        if low:
            why = f"the limit stands: {', '.join(low)}"
            return Probe(outcome=MISMATCH, measured=probe.measured, why=why)
        return probe
