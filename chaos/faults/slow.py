"""Slow: the kernel holds the node's containers back once they have used their part of a CPU.

A quota is set by the engine and read back from the kernel. It is felt only by who wants more than
it, so the probe asks for more for half a second: what the database then used is its quota, and the
kernel has counted how often and how long it was held back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.limits import Counters, EngineLimit, Wanted
from chaos.faults.press import press

PERIOD_US = 100_000
QUOTA_US_MIN = 1000
PRESS_S = 0.5
ROUNDS = 3  # a busy machine may not get round to asking for enough, or to counting, at once
OVER = 1.25  # a quota is kept over periods: the first and the last are cut by the measurement


class Slow(EngineLimit):
    """At most so many cores for each container of the node."""

    kind = "cpu"

    def setting(self, value: float) -> dict[str, int]:
        """A quota of each period."""
        quota_us = max(QUOTA_US_MIN, round(value * PERIOD_US))
        return {"cpu_period": PERIOD_US, "cpu_quota": quota_us}

    def no_setting(self, before: Mapping[str, Any]) -> dict[str, int]:
        """What it was; the engine's word for none is -1, and 0 means: leave it."""
        period_us, quota_us = before.get("CpuPeriod"), before.get("CpuQuota")
        return {"cpu_period": period_us or PERIOD_US, "cpu_quota": quota_us or -1}

    def wanted(self, scene: Scene, node: str) -> Wanted:
        """The same for each container."""
        cpus: float = self.entry.cpu
        return dict.fromkeys(scene.cluster.pods[node].container_ids(), cpus)

    def inject(self, scene: Scene) -> None:
        """Limit, on all nodes at once."""
        super().inject(scene)
        self.effect_ns = time.monotonic_ns()

    def probe(self, scene: Scene) -> Probe:
        """The quota as the kernel has it, and what the database gets when it wants more."""
        for _ in range(ROUNDS):
            before, began = self.counters(scene), time.monotonic()
            answers_ms = press(scene, self.nodes, PRESS_S)
            (after, force), seconds = self.reading(scene), time.monotonic() - began
            if all(_felt(before, after, node) for node in self.nodes) and not any(
                self._too_much(_used(before, after, node), seconds) for node in self.nodes
            ):
                break  # a container whose counters could not be read before seems to use them all
        measured: dict[str, Any] = {}
        wrong, idle = [], []
        lower: dict[str, None] = {}  # in order, once each
        for node in self.nodes:
            for name, now in after[node].items():
                if now["cpus"] is None or abs(now["cpus"] - self._cores(force[node][name])) > 0.005:
                    wrong.append(f"{node} ({name}: {_cores(now['cpus'])})")
                lower |= {f"{node} ({fault})": None for fault in self.lower(scene, node, name)}
            used = _used(before, after, node)
            if not used:
                continue
            most = max(used, key=lambda name: used[name])
            held_s = _grown(before, after, node, most, "throttled_s")
            measured[node] = {
                "cpu": after[node][most]["cpus"],
                "used": round(used[most] / seconds, 3),
                "held_back_ms": round(held_s * 1000, 1),
                "answer_ms": answers_ms[node],
            }
            if self._too_much(used, seconds):
                wrong.append(f"{node} ({most} used {used[most] / seconds:.2f} cores)")
            if not held_s:
                idle.append(node)
        outcome, why = CONFIRMED, ""
        if wrong:
            outcome, why = MISMATCH, f"not as asked: {', '.join(wrong)}"
        elif self.before or len(measured) < len(self.nodes):
            outcome, why = INCONCLUSIVE, self.already_down() or "no database runs there"
        elif lower:
            outcome, why = INCONCLUSIVE, f"held lower by another fault: {', '.join(lower)}"
        elif idle:
            outcome = INCONCLUSIVE
            why = f"the quota is in force, and more was not wanted: {', '.join(idle)}"
        requested = {"cpu": self.entry.cpu}
        return Probe(outcome=outcome, requested=requested, measured=measured, why=why,
                     at_ns=self.effect_ns)  # fmt: skip

    def _too_much(self, used: Mapping[str, float], seconds: float) -> bool:
        """Whether any container used more than its quota."""
        most = max(used.values(), default=0.0) / seconds
        return bool(most > OVER * self.entry.cpu + 0.02)

    def _cores(self, value: float) -> float:
        return self.setting(value)["cpu_quota"] / PERIOD_US

    def probe_heal(self, scene: Scene) -> Probe:
        """The quota is what it was, or another fault's; how long it was felt in all."""
        probe = super().probe_heal(scene)
        now = self.counters(scene)
        wrong, held = [], set()
        measured: dict[str, Any] = {}
        for node, containers in now.items():
            if others := scene.cluster.claims.of((self.kind, node)):
                held |= {f"{node} ({', '.join(sorted(others))})"}
            wrong += [
                f"{node} ({name}: {_cores(group['cpus'])})"
                for name, group in containers.items()
                if group["cpus"] is not None and not others
            ]
            held_s = max((_grown(self.began, now, node, n, "throttled_s") for n in containers),
                         default=0.0)  # fmt: skip
            measured[node] = {**probe.measured.get(node, {}),
                              "held_back_ms": round(held_s * 1000, 1)}  # fmt: skip
        outcome, why = probe.outcome, probe.why
        if wrong:
            outcome, why = MISMATCH, f"the quota stands: {', '.join(wrong)}"
        elif held:
            outcome = INCONCLUSIVE
            why = f"held by another fault: {', '.join(sorted(held))}"
        return Probe(outcome=outcome, measured=measured, why=why, at_ns=probe.at_ns)


def _grown(
    before: Mapping[str, Mapping[str, Counters]],
    after: Mapping[str, Mapping[str, Counters]],
    node: str,
    container: str,
    counter: str,
) -> float:
    """How much a counter grew; since its start, when the container was started in between."""
    now = float(after[node][container][counter] or 0.0)
    then = float(before.get(node, {}).get(container, {}).get(counter) or 0.0)
    return now - then if now >= then else now


def _used(
    before: Mapping[str, Mapping[str, Counters]], after: Mapping[str, Mapping[str, Counters]],
    node: str,
) -> dict[str, float]:  # fmt: skip
    """Seconds of CPU that each of the node's containers used."""
    return {name: _grown(before, after, node, name, "cpu_s") for name in after[node]}


def _felt(
    before: Mapping[str, Mapping[str, Counters]], after: Mapping[str, Mapping[str, Counters]],
    node: str,
) -> bool:  # fmt: skip
    """Whether any of the node's containers was held back; nothing to feel where none runs."""
    return not after[node] or any(
        _grown(before, after, node, name, "throttled_s") for name in after[node]
    )


def _cores(cpus: float | None) -> str:
    return "no quota" if cpus is None else f"{cpus:g} cores"
