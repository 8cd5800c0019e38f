"""Orderly restarts, as an operator would do them: SIGTERM, wait, start again.

They are over when the database answers, and have no duration. A node that another fault keeps down
is left alone.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chaos.faults.base import (
    CONFIRMED,
    INCONCLUSIVE,
    MISMATCH,
    Probe,
    Scene,
    own_link,
    wait_answer,
)
from chaos.faults.nodes import BACK_S, OnNodes


class Restart(OnNodes):
    """All targets at once."""

    heals_itself = True

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._pids: dict[str, set[int]] = {}
        self._left_alone: dict[str, str] = {}  # node → why it was not restarted
        self._took_ms: dict[str, float] = {}  # node → from the order to the start

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Start what did not start again."""
        return self.starting()

    def inject(self, scene: Scene) -> None:
        """Restart the node's containers."""
        self._pids = self._running(scene)
        self.restart(scene)
        self.effect_ns = time.monotonic_ns()

    def restart(self, scene: Scene) -> None:
        """All nodes, side by side."""
        with ThreadPoolExecutor(len(self.nodes) or 1) as pool:
            list(pool.map(lambda node: self.restart_one(scene, node), self.nodes))

    def restart_one(self, scene: Scene, node: str) -> bool:
        """One node, unless another fault keeps it down; whether it was restarted."""
        began = time.monotonic()
        if others := scene.cluster.restart(node):
            self._left_alone[node] = f"kept down by {', '.join(sorted(others))}"
            return False
        self._took_ms[node] = round((time.monotonic() - began) * 1000, 1)
        return True

    def probe(self, scene: Scene) -> Probe:
        """No process of before is left."""
        after = self._running(scene)
        done = [n for n in self.nodes if n not in self._left_alone]
        outlived = [n for n in done if self._pids[n] & after[n]]
        outcome, why = CONFIRMED, ""
        if outlived:
            outcome, why = MISMATCH, f"processes outlived the restart: {', '.join(outlived)}"
        elif self._left_alone:
            said = [f"{node} ({why})" for node, why in sorted(self._left_alone.items())]
            outcome, why = INCONCLUSIVE, f"not restarted: {', '.join(said)}"
        return Probe(
            outcome=outcome,
            requested={"processes": "all new"},
            measured={
                n: {
                    "before": len(self._pids[n]),
                    "after": len(after[n]),
                    "kept": len(self._pids[n] & after[n]),
                    "restart_ms": self._took_ms[n],
                }
                for n in done
            },
            why=why,
            at_ns=self.effect_ns,
        )

    def heal(self, scene: Scene) -> None:
        """Start what did not start again."""
        self.release(scene)

    def _running(self, scene: Scene) -> dict[str, set[int]]:
        seen = self.processes(scene)
        return {n: {p.pid for p in processes} for n, processes in seen.items()}


class RollingRestart(Restart):
    """One target after the other, each when the one before answers again."""

    def restart(self, scene: Scene) -> None:
        """Stop rolling at the first node that does not come back, as an operator would."""
        for k, node in enumerate(self.nodes):
            if k and self.entry.gap_ns:
                time.sleep(self.entry.gap_ns / 1e9)
            if not self.restart_one(scene, node):
                continue
            if wait_answer(scene, own_link(node), BACK_S).kind != "answered":
                why = f"{node} had not come back within {BACK_S:g} s"
                self._left_alone |= dict.fromkeys(self.nodes[k + 1 :], why)
                return
