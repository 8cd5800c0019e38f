"""What a fault is. A fault that is not probed is not believed.

`inject` and `heal` do it; `probe` and `probe_heal` measure whether it took effect and whether it is
gone, by a means other than the one that made it. `prepare` and `prepare_heal` run shortly before,
so that measuring can begin while everything is still as it was.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from chaos.runtime.cluster import RunningCluster
from chaos.runtime.knock import REACTION_S as REACTION_S  # with what faults import from here
from chaos.runtime.knock import Reaction as Reaction
from chaos.runtime.knock import request
from chaos.runtime.toxiproxy import OBSERVER, Link

CONFIRMED = "confirmed"
MISMATCH = "mismatch"
INCONCLUSIVE = "inconclusive"
SKIPPED = "skipped"  # not injected on purpose: the host cannot, or the faults were ended early


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where a fault acts: the cluster, who claims which role now, the client zones, a seed."""

    cluster: RunningCluster
    roles: Callable[[], Mapping[str, str]]
    client_zones: Sequence[str]
    rng: random.Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was measured. `at_ns` is on the monotonic clock: when the effect was first complete."""

    outcome: str
    requested: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    at_ns: int | None = None
    why: str = ""


class Fault(Protocol):
    """One scheduled fault, made from its schedule entry; `resolve` is called once, first."""

    id: str
    heals_itself: bool  # True: a restart is over when it is done
    # A class may say in `needs` what it needs of the host (chaos/faults/needs.py).

    def available(self, scene: Scene) -> str:
        """Why this host or cluster cannot do it; "" when it can."""

    def resolve(self, scene: Scene) -> list[str]:
        """Choose the targets now; their names as recorded. FaultError when nothing matches."""

    def prepare(self, scene: Scene) -> None:
        """Begin measuring, some 100 ms before the injection."""

    def inject(self, scene: Scene) -> None:
        """Do it."""

    def probe(self, scene: Scene) -> Probe:
        """Measure the effect, right after injecting."""

    def prepare_heal(self, scene: Scene) -> None:
        """Begin measuring the end."""

    def heal(self, scene: Scene) -> None:
        """Undo it. Idempotent, and safe when injecting failed half-way."""

    def probe_heal(self, scene: Scene) -> Probe:
        """Measure that it is gone."""


@runtime_checkable
class Undoable(Protocol):
    """A fault that changes what no agent undoes by itself when the controller dies: the engine's
    settings of a container, a stopped container, Toxiproxy's toxics.

    Any other process can undo it later from the journal alone (chaos/healing).
    """

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """What undoes it, as plain JSON: [{"do": "start", "node": "n1"}, …].

        Called after `resolve` and `prepare`, before `inject`, while everything is still as it was;
        the items are on disk before anything is injected. chaos/healing/undo.py has the words.
        """


@runtime_checkable
class Reviewed(Protocol):
    """A fault that can only be judged over its whole length, such as one that comes and goes."""

    def review(self, scene: Scene) -> Probe | None:
        """Called when it is healed: takes the place of what `probe` measured; None: of nothing."""


def own_link(node: str) -> Link:
    """The controller's own way to a node's database, which no fault touches."""
    return Link(OBSERVER, node, "db")


def react(scene: Scene, link: Link, within_s: float = REACTION_S) -> Reaction:
    """Connect through `link`, send what a live server answers at once, see what comes back.

    A node that listens nowhere is judged by its processes.
    """
    group = scene.cluster.group(link.node)
    if link.port not in group.ports(link.node):
        return _runs(scene, link.node)
    address = scene.cluster.address(link.node, link.port, link.zone)
    return request(address, group.knock(link.node, link.port), within_s)


def _runs(scene: Scene, node: str) -> Reaction:
    """What the kernel says of the node's processes, in the words of an answer: there is one that
    runs; all stand still; there is none."""
    began_ns = time.monotonic_ns()
    states = {row[2] for row in scene.cluster.agents()[node].ask("processes")["processes"]}
    kind = "answered" if states - set("ZXTtD") else "silent" if states - set("ZX") else "refused"
    now_ns = time.monotonic_ns()
    return Reaction(kind, (now_ns - began_ns) / 1e6, now_ns)


def wait_answer(scene: Scene, link: Link, deadline_s: float) -> Reaction:
    """Ask again until there is an answer, or the deadline; the last reaction."""
    end = time.monotonic() + deadline_s
    while True:
        reaction = react(scene, link)
        if reaction.kind == "answered" or time.monotonic() > end:
            return reaction
        time.sleep(0.02)
