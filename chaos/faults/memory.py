"""Memory squeeze: the kernel gives the node's containers no more than a limit.

Set by the engine, read back from the kernel. What does not fit is taken from the file cache first;
then allocations fail into the OOM killer, which ends the database: noticed, counted, and the
database is started again when the fault ends. Swap is not a way out: the limit counts it in.

A version 1 kernel refuses a limit below what cannot be given back at that moment. Then the lowest
limit it takes is set instead, and the fault is a mismatch that says so; the next page the database
asks for is too much all the same. A version 2 kernel kills at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from chaos.errors import EngineError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.limits import Counters, EngineLimit, Wanted

PAGE_BYTES = 4096
LIMIT_BYTES_MIN = 6 << 20  # engines take no less
# An engine keeps a limit once it is set: "none" is more than any machine has. The second counts
# swap in; a limit on memory can only be raised below it.
UNLIMITED_BYTES = 1 << 62
UNLIMITED_SWAP_BYTES = (1 << 63) - PAGE_BYTES
TRIES = 12
STEP = 1.04


class MemorySqueeze(EngineLimit):
    """A limit on the memory of each container of the node."""

    kind = "memory"

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._asked: dict[str, Wanted] = {}
        self._refused: list[str] = []
        self._began_s = 0.0

    def setting(self, value: float) -> dict[str, int]:
        """Memory, and memory with swap, which is the same."""
        return {"mem_limit": int(value), "memswap_limit": int(value)}

    def no_setting(self, before: Mapping[str, Any]) -> dict[str, int]:
        """What it was, or more than there is."""
        memory, swap = before.get("Memory") or 0, before.get("MemorySwap") or 0
        return {
            "mem_limit": memory if memory > 0 else UNLIMITED_BYTES,
            "memswap_limit": swap if swap > 0 else UNLIMITED_SWAP_BYTES,
        }

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """The limits of before, and a start for what the kernel has killed."""
        return [*super().undo(scene), *self.starting()]

    def wanted(self, scene: Scene, node: str) -> Wanted:
        """The limit, or the share of what each container uses and cannot give back."""
        names = scene.cluster.pods[node].container_ids()
        if self.entry.limit_bytes is not None:
            asked = dict.fromkeys(names, float(_pages(self.entry.limit_bytes)))
        else:
            uses = self.began[node]
            asked = {
                name: float(_pages(self.entry.share * uses[name]["held_bytes"]))
                for name in names
                if name in uses
            }
        self._asked[node] = asked
        return dict(asked)

    def inject(self, scene: Scene) -> None:
        """Limit, on all nodes at once."""
        self._began_s = time.time()
        super().inject(scene)
        self.effect_ns = time.monotonic_ns()

    def put(self, scene: Scene, node: str) -> None:
        """As asked; where the kernel refuses that, as little as it takes."""
        for _ in range(TRIES):
            try:
                super().put(scene, node)
                return
            except EngineError as error:
                if "current usage" not in error.what and "busy" not in error.what:
                    raise
            for name, group in self.counters(scene)[node].items():
                least = _pages(max(self.granted[node][name], group["held_bytes"] or 0) * STEP)
                if self.granted[node][name] < (group["used_bytes"] or 0):
                    self.granted[node][name] = float(least)
        super().put(scene, node)

    def probe(self, scene: Scene) -> Probe:
        """The limit as the kernel has it, and what is used of it."""
        now, force = self.reading(scene)
        ooms = {n: scene.cluster.pods[n].oom_kills(self._began_s) for n in self.nodes}
        measured: dict[str, Any] = {}
        wrong, more, lower, absent = [], [], [], []
        for node in self.nodes:
            measured[node] = {"oom_kills": ooms[node]}
            for name, asked in self._asked[node].items():
                where, group = f"{node} ({name})", now[node].get(name)
                if group is None:
                    absent.append(where)
                    continue
                measured[node][name] = self._measured(node, name, group)
                if group["limit_bytes"] != force[node].get(name):
                    wrong.append(where)
                elif self.granted[node][name] > asked:
                    more.append(f"{where} {group['limit_bytes']} bytes")
                lower += [f"{where} {fault}" for fault in self.lower(scene, node, name)]
        killed = [n for n, count in ooms.items() if count]
        outcome, why = CONFIRMED, ""
        if wrong:
            outcome, why = MISMATCH, f"the kernel has another limit: {', '.join(wrong)}"
        elif more:
            why = f"this kernel takes no less than what cannot be given back: {', '.join(more)}"
            outcome = MISMATCH
        elif lower:
            outcome, why = INCONCLUSIVE, f"held lower by another fault: {', '.join(lower)}"
        elif absent and not killed:
            why = self.already_down() or f"no database runs: {', '.join(absent)}"
            outcome = INCONCLUSIVE
        elif killed:
            why = f"killed for want of memory: {', '.join(killed)}"
        requested = {n: {c: {"limit": int(v)} for c, v in a.items()} for n, a in
                     self._asked.items()}  # fmt: skip
        return Probe(outcome=outcome, requested=requested, measured=measured, why=why,
                     at_ns=self.effect_ns)  # fmt: skip

    def _measured(self, node: str, name: str, group: Counters) -> dict[str, Any]:
        before = self.began[node].get(name, {}).get("refused") or 0
        return {
            "limit": group["limit_bytes"],
            "used": group["used_bytes"],
            "refused": max(0, (group["refused"] or 0) - before),
        }

    def heal(self, scene: Scene) -> None:
        """Give up the limit; start what the kernel has killed."""
        super().heal(scene)
        for node in self.nodes:
            scene.cluster.start_ended(node)

    def probe_heal(self, scene: Scene) -> Probe:
        """The limit is what it was, or another fault's; how often the kernel killed."""
        probe = super().probe_heal(scene)
        now = self.counters(scene)
        wrong, held, killed = [], [], []
        measured: dict[str, Any] = {}
        for node, containers in now.items():
            others = scene.cluster.claims.of((self.kind, node))
            if others:
                held.append(f"{node} ({', '.join(sorted(others))})")
            for name, group in containers.items():
                before = self.began[node].get(name, {}).get("limit_bytes")
                if not others and group["limit_bytes"] not in (before, None):
                    wrong.append(f"{node} ({name}: {group['limit_bytes']} bytes)")
            count = scene.cluster.pods[node].oom_kills(self._began_s)
            measured[node] = {**probe.measured.get(node, {}), "oom_kills": count}
            if count:
                killed.append(f"{node} killed for want of memory {_times(count)}")
        outcome, said = probe.outcome, [*killed, probe.why]
        if wrong:
            outcome, said = MISMATCH, [f"the limit stands: {', '.join(wrong)}", *killed]
        elif held:
            outcome = INCONCLUSIVE
            said = [f"held by another fault: {', '.join(held)}", *killed]
        why = "; ".join(filter(None, said))
        return Probe(outcome=outcome, measured=measured, why=why, at_ns=probe.at_ns)


def _pages(size_bytes: float) -> int:
    """Whole pages, and no less than an engine takes."""
    return max(LIMIT_BYTES_MIN, int(size_bytes) // PAGE_BYTES * PAGE_BYTES)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
