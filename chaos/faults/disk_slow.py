"""A slow disk: fewer operations, or fewer bytes, a second, for just the node's databases.

The limits are those of the containers' own control groups for the node's own loop device. The
engine has no call that changes them while a container runs, so a helper container writes them; it
sees nothing but these groups. It ends the limits when the controller dies.

Measured by writes of its own to the spare end of the disk, made as a member of the same group.
"""

from __future__ import annotations

from typing import Any

from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.disk import OnDisks
from chaos.runtime.cluster import HINDERED
from chaos.runtime.helper import Helper

BEFORE_S = 0.1
SKIP_S = 0.2
DURING_S_MAX = 1.0
ABOVE = 1.25  # measured over asked: a limit lets a little through that was saved up before
LIMITS = ("iops", "bytes_per_s")


class DiskSlow(OnDisks):
    """Limits on the node's disks; the strictest of several faults is in force."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._asked = {"iops": entry.iops, "bytes_per_s": entry.bandwidth_per_s}
        self._helper: Helper | None = None
        self._groups: dict[str, dict[str, str]] = {}  # node → {disk's device: its group}
        self._before: dict[str, dict[str, float]] = {}
        self._after: dict[str, dict[str, float]] = {}

    def prepare(self, scene: Scene) -> None:
        """Start the helper, and measure how fast the disks are."""
        super().prepare(scene)
        mounts, rights = [], dict[str, Any]()
        for node in self.nodes:
            for name, disk in scene.cluster.disks.get(node, {}).items():
                if group := scene.cluster.pods[node].io_group(name):
                    inside, rights = f"/groups/{node}-{name}", group[1]
                    mounts.append((group[0], inside))
                    self._groups.setdefault(node, {})[disk.device] = inside
        if mounts:
            devices = [d for groups in self._groups.values() for d in groups]
            self._helper = scene.cluster.helper(
                mounts=mounts,
                devices=[f"{device}:{device}:rw" for device in devices],
                **rights,
            )
            self._before = self._measure(BEFORE_S)

    def inject(self, scene: Scene) -> None:
        """Limit, on all nodes at once."""
        self.claim(scene, HINDERED)
        for node in self._groups:
            scene.cluster.claims.put(("disk-slow", node), self.id, self._asked)
        self._apply(scene)

    def probe(self, scene: Scene) -> Probe:
        """No more gets through than asked, and more did before."""
        during = self._measure(min(DURING_S_MAX, self.entry.for_ns / 3e9), SKIP_S)
        fast, slow = [], []
        for node in during:
            for of, asked in self._asked.items():
                if asked and during[node][of] > asked * ABOVE:
                    fast.append(f"{node} ({of} {during[node][of]:.0f})")
                elif asked and self._before[node][of] < asked * ABOVE:
                    slow.append(f"{node} ({of} {self._before[node][of]:.0f})")
        idle = [n for n in self.nodes if n not in during]
        outcome, why = CONFIRMED, ""
        if fast:
            outcome, why = MISMATCH, f"faster than asked: {', '.join(fast)}"
        elif slow or idle:
            outcome = INCONCLUSIVE
            why = f"no faster before: {', '.join(slow)}" if slow else self.already_down()
            why = why or f"no database ran on {', '.join(idle)}"
        return Probe(
            outcome=outcome,
            requested={of: asked for of, asked in self._asked.items() if asked},
            measured={
                n: {
                    of: {"before": round(self._before[n][of]), "during": round(during[n][of], 1)}
                    for of in LIMITS
                    if self._asked[of]
                }
                for n in during
            },
            why=why,
            at_ns=self.effect_ns or None,
        )

    def heal(self, scene: Scene) -> None:
        """End our limits; those of other faults stay."""
        self.unclaim(scene, HINDERED)
        self.held = {}
        for node in self._groups:
            if others := scene.cluster.claims.drop(("disk-slow", node), self.id):
                self.held[node] = set(others)
        self._apply(scene)

    def probe_heal(self, scene: Scene) -> Probe:
        """As fast as before, where no other fault limits the disk, and the database answers."""
        try:
            if self._helper is not None:
                self._after = self._measure(BEFORE_S)
        finally:
            if self._helper is not None:
                self._helper.close()
                self._helper = None
        limited = [
            f"{n} ({of} {after[of]:.0f})"
            for n, after in self._after.items()
            for of, asked in self._asked.items()
            if asked and n not in self.held and after[of] < min(asked * ABOVE, self._before[n][of])
        ]
        if limited:
            why = f"still slow: {', '.join(limited)}"
            return Probe(outcome=MISMATCH, why=why, measured=dict(self._after))
        probe = super().probe_heal(scene)
        measured = {n: {**m, **self._after.get(n, {})} for n, m in probe.measured.items()}
        gone = [n for n in self._groups if n not in self._after]
        ended = f"ended by a restart before: {', '.join(gone)}" if gone else ""
        return Probe(
            outcome=probe.outcome,
            measured=measured,
            why="; ".join(filter(None, [probe.why, ended])),
            at_ns=probe.at_ns,
        )

    def _apply(self, scene: Scene) -> None:
        """Have the strictest limits that any fault wants in force."""
        if self._helper is None:
            return
        limits = []
        for node, groups in self._groups.items():
            wanted = scene.cluster.claims.of(("disk-slow", node)).values()
            strictest = {of: min((w[of] for w in wanted if w[of]), default=None) for of in LIMITS}
            for device, group in groups.items():
                number = f"7:{device.removeprefix('/dev/loop')}"
                limits.append({"group": group, "device": number, **strictest})
        self.effect_ns = self._helper.ask("limit", limits=limits)["t_ns"]

    def _measure(self, seconds: float, skip_s: float = 0.0) -> dict[str, dict[str, float]]:
        """{node: {iops, bytes_per_s}} of the first disk of each, as its own group gets them; not
        those whose containers have ended since."""
        if self._helper is None:
            return {}
        jobs = []
        for node, groups in self._groups.items():
            device, group = next(iter(groups.items()))
            wanted = [of for of in LIMITS if self._asked[of]]
            jobs += [{"node": node, "group": group, "device": device, "of": of} for of in wanted]
        rates = self._helper.ask("measure", 30.0, jobs=jobs, seconds=seconds, skip_s=skip_s)[
            "per_s"
        ]
        found: dict[str, dict[str, float]] = {}
        for job, rate in zip(jobs, rates, strict=True):
            if rate is not None:
                found.setdefault(job["node"], {})[job["of"]] = rate
        return found
