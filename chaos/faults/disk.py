"""Faults of whole disks: power loss, full, read-only. All need `disk:` in the topology.

A power loss is a shut-down filesystem (FS_IOC_SHUTDOWN without a flush of its journal) and killed
processes. What was written and not synced is only in memory then, and goes when the engine unmounts
the filesystem; the next mount replays the journal, as after a real one. What has reached the disk
stays: a drive that loses what its own cache holds is not imitated.

Power loss and the end of read-only unmount the disk, and with that end whatever fills it.
"""

from __future__ import annotations

import time
from typing import Any

from chaos.agent.link import ask_all
from chaos.errors import FaultError
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.nodes import OnNodes
from chaos.runtime.cluster import FROZEN, HINDERED
from chaos.runtime.helper import Helper

UNMOUNT_S = 10.0
SLACK_BYTES = 1 << 20  # a filesystem keeps some blocks to itself
DEAD = ("EROFS", "EIO")  # what a filesystem says that takes no writes any more
TRY_BYTES = 64 * 1024
State = dict[str, dict[str, dict[str, Any]]]  # node → disk → {free_bytes, write}


class OnDisks(OnNodes):
    """What these faults share: what the disks take, unmounting, starting again."""

    needs = ("disk",)
    needs_shutdown = False

    def available(self, scene: Scene) -> str:
        """Why these nodes' disks cannot have it."""
        if not scene.cluster.disks:
            return "the topology has no `disk:`; write `set: {disk.size: 256MB}`"
        able = [hello.get("disk", {}).get("shutdown") for hello in scene.cluster.hello.values()]
        if self.needs_shutdown and not any(able):
            return "the agents were not granted SYS_ADMIN, to shut a filesystem down"
        return ""

    def disks(self, scene: Scene, more_bytes: int = TRY_BYTES) -> State:
        """What each disk of our nodes takes now; none where no database runs."""
        asked = ("disk_state", {"more_bytes": more_bytes})
        answers = ask_all(scene.cluster.agents(), dict.fromkeys(self.nodes, asked), 10.0)
        return {node: answer["disks"] for node, answer in answers.items()}

    def wait_unmounted(self, scene: Scene) -> None:
        """Until no disk of a node without processes is mounted; FaultError after a deadline."""
        end = time.monotonic() + UNMOUNT_S
        while True:
            dead = [n for n, states in self.states(scene).items() if not states.strip("ZX")]
            asked = dict.fromkeys(dead, ("mounted", dict[str, Any]()))
            answers = ask_all(scene.cluster.agents(), asked)
            still = {n: a["mounted"] for n, a in answers.items() if a["mounted"]}
            if not still:
                return
            if time.monotonic() > end:
                named = ", ".join(f"{d} of {n}" for n, ds in still.items() for d in ds)
                raise FaultError(f"{named} is still mounted {UNMOUNT_S:g} s after its processes")
            time.sleep(0.01)

    def thaw(self, scene: Scene) -> None:
        """The frozen do not die."""
        for node in self.nodes:
            if scene.cluster.claims.of((FROZEN, node)):
                scene.cluster.pods[node].thaw()


class PowerLoss(OnDisks):
    """The nodes lose power, all at once; they stay down until the fault ends.

    Two witnesses, files of our own, are on each disk: one that was synced when the cluster came up,
    one that is written in the last moment and not synced. Afterwards the first must be there, with
    its contents, and the second must not.
    """

    needs_shutdown = True

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._off: dict[str, dict[str, Any]] = {}
        self._unwritten: list[str] = []  # disks without a witness, and why
        self._witnessed: dict[str, dict[str, Any]] = {}

    def prepare(self, scene: Scene) -> None:
        """See that the synced witness is there."""
        super().prepare(scene)
        asked = ("witness", dict[str, Any]())
        answers = ask_all(scene.cluster.agents(), dict.fromkeys(self.nodes, asked), 10.0)
        self._unwritten = [
            f"{node}: {disk} ({why})"
            for node, answer in answers.items()
            for disk, why in answer["witness"].items()
            if why
        ]

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Mount the disks anew."""
        return [{"do": "restart", "node": node} for node in self.nodes]

    def inject(self, scene: Scene) -> None:
        """Shut the disks down and kill, on all nodes at once."""
        self.keep_down(scene)
        self.thaw(scene)
        self._off = self.ask(scene, "power_off", fault=self.id)

    def probe(self, scene: Scene) -> Probe:
        """The disks of before refuse to be written to, no process is left, nobody answers."""
        states, reactions = self.states(scene), self.reactions(scene)
        refused = {node: answer["refused"] for node, answer in self._off.items()}
        alive = [n for n in self.nodes if states[n].strip("ZX") or reactions[n].kind == "answered"]
        writable = [n for n in self.nodes if not all(refused[n].values())]
        idle = [n for n in self.nodes if not refused[n]]
        wrong = sorted({*alive, *writable})
        outcome, why = self.judged("still there, or still written to", wrong, idle)
        return Probe(
            outcome=outcome,
            requested={"write": "EIO", "processes": 0},
            why=why,
            at_ns=self.effect_ns,
            measured={
                n: {
                    "write": refused[n],
                    "processes": len(states[n].strip("ZX")),
                    "request": reactions[n].kind,
                    **({"fills_ended": f} if (f := self._off[n]["fills_ended"]) else {}),
                }
                for n in self.nodes
            },
        )

    def heal(self, scene: Scene) -> None:
        """Start the nodes again, once their disks are unmounted."""
        self.wait_unmounted(scene)
        self.release(scene)

    def probe_heal(self, scene: Scene) -> Probe:
        """Every node answers; what was synced is there, and what was not is gone."""
        probe = super().probe_heal(scene)
        if probe.outcome == MISMATCH:
            return probe
        back = [n for n in self.nodes if n not in self.held and n not in self._witnessed]
        asked = ("witnessed", {"fault": self.id})
        answers = ask_all(scene.cluster.agents(), dict.fromkeys(back, asked), 10.0)
        self._witnessed |= {node: answer["witnessed"] for node, answer in answers.items()}
        wrong = [
            f"{node}: {disk}: what was synced is {seen['synced']}, what was not is "
            f"{seen['unsynced']}"
            for node, disks in self._witnessed.items()
            for disk, seen in disks.items()
            if seen["unsynced"] == "there" or seen["synced"] != "there"
        ]
        outcome, why = probe.outcome, [probe.why] if probe.why else []
        if self._unwritten and outcome == CONFIRMED:
            outcome, why = INCONCLUSIVE, [*why, f"no witness on {', '.join(self._unwritten)}"]
        elif wrong:
            outcome, why = MISMATCH, [*why, *wrong]
        measured = {n: {**m, "witnesses": self._witnessed.get(n, {})}
                    for n, m in probe.measured.items()}  # fmt: skip
        return Probe(outcome=outcome, measured=measured, why="; ".join(why), at_ns=probe.at_ns)


class DiskFull(OnDisks):
    """The disks are filled, by files without names that the agents hold."""

    def inject(self, scene: Scene) -> None:
        """Fill, on all nodes at once."""
        self.claim(scene, HINDERED)
        for node in self.nodes:
            scene.cluster.claims.put(("disk-full", node), self.id)
        self.ask(scene, "fill", fault=self.id, leave_bytes=self.entry.leave_bytes)

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """The space comes back by itself; a database that ended for want of it does not."""
        return self.starting()

    def probe(self, scene: Scene) -> Probe:
        """No more is free than asked, and a write of more than that fails for want of space."""
        leave = self.entry.leave_bytes
        seen = self.disks(scene, leave + SLACK_BYTES)
        each = [(n, d, s) for n, disks in seen.items() for d, s in disks.items()]
        wrong = [
            f"{n}: {d}"
            for n, d, s in each
            if s["write"] != "ENOSPC" or s["free_bytes"] > leave + SLACK_BYTES
        ]
        idle = [n for n in self.nodes if not seen[n]]
        outcome, why = self.judged("not full", wrong, idle)
        return Probe(
            outcome=outcome,
            requested={"free_bytes": leave, "write": "ENOSPC"},
            measured=dict(seen),
            why=why,
            at_ns=self.effect_ns,
        )

    def heal(self, scene: Scene) -> None:
        """Give the space back, and start what ended without it."""
        self.held = {}
        self.unclaim(scene, HINDERED)
        self.ask(scene, "unfill", fault=self.id)
        for node in self.nodes:
            if others := scene.cluster.claims.drop(("disk-full", node), self.id):
                self.held[node] = set(others)
            scene.cluster.start_ended(node)

    def probe_heal(self, scene: Scene) -> Probe:
        """The databases answer, and their disks can be written to."""
        probe = super().probe_heal(scene)
        if probe.outcome != CONFIRMED:
            return probe
        seen = self.disks(scene)
        full = [f"{n}: {d}" for n in seen if n not in self.held
                for d, s in seen[n].items() if s["write"]]  # fmt: skip
        return Probe(
            outcome=MISMATCH if full else CONFIRMED,
            measured={n: {**m, "disks": seen[n]} for n, m in probe.measured.items()},
            why=f"still not to be written to: {', '.join(full)}" if full else probe.why,
            at_ns=time.monotonic_ns() if full else probe.at_ns,
        )


class DiskReadOnly(OnDisks):
    """The kernel finds an error in the filesystem, and takes no more writes, as it is mounted to do
    (errors=remount-ro). What had not been written is lost, as it is then on any machine."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._helper: Helper | None = None

    def prepare(self, scene: Scene) -> None:
        """Start the helper that can reach the filesystems' switches in /sys."""
        super().prepare(scene)
        up = [node for node in self.nodes if node not in self.before]
        disks = [disk for node in up for disk in scene.cluster.disks.get(node, {}).values()]
        devices = [disk.device.removeprefix("/dev/") for disk in disks]
        if devices:
            self._folders = [f"/filesystems/{device}" for device in devices]
            self._helper = scene.cluster.helper(
                cap_add=["SYS_ADMIN"],  # the kernel asks for it
                mounts=[(f"/sys/fs/ext4/{d}", f"/filesystems/{d}") for d in devices],
            )

    def inject(self, scene: Scene) -> None:
        """Have every filesystem meet an error."""
        self.claim(scene, HINDERED)
        if self._helper is not None:
            with self._helper:
                self.ask(scene, "hold", fault=self.id)
                answer = self._helper.ask("fail", filesystems=self._folders)
            self.effect_ns = answer["t_ns"]

    def undo(self, scene: Scene) -> list[dict[str, Any]]:
        """Mount the disks anew."""
        return [{"do": "restart", "node": node} for node in self.nodes]

    def probe(self, scene: Scene) -> Probe:
        """A write is refused because the filesystem is read-only, also where the database could
        not live with that and has ended."""
        asked = ("held_state", {"fault": self.id})
        answers = ask_all(scene.cluster.agents(), dict.fromkeys(self.nodes, asked), 10.0)
        seen = {node: answer["disks"] for node, answer in answers.items()}
        wrong = [f"{n}: {d}" for n in seen for d, s in seen[n].items() if s["write"] not in DEAD]
        idle = [n for n in self.nodes if not seen[n]]
        outcome, why = self.judged("still written to", wrong, idle)
        return Probe(
            outcome=outcome,
            requested={"write": "EROFS"},
            measured=dict(seen),
            why=why,
            at_ns=self.effect_ns or None,
        )

    def heal(self, scene: Scene) -> None:
        """As an operator would: end the database, unmount, mount, start. Only where it must be."""
        self.unclaim(scene, HINDERED)
        seen = self.disks(scene)
        for node in self.nodes:
            if not seen[node] or any(s["write"] in DEAD for s in seen[node].values()):
                scene.cluster.keep_down(node, self.id)
                scene.cluster.agents()[node].ask("unmount", 10.0)
        self.thaw(scene)
        self.wait_unmounted(scene)
        self.release(scene)

    def probe_heal(self, scene: Scene) -> Probe:
        """The databases answer, and their disks can be written to."""
        probe = super().probe_heal(scene)
        if probe.outcome != CONFIRMED:
            return probe
        seen = self.disks(scene)
        dead = [f"{n}: {d}" for n in seen if n not in self.held
                for d, s in seen[n].items() if s["write"] in DEAD]  # fmt: skip
        return Probe(
            outcome=MISMATCH if dead else CONFIRMED,
            measured={n: {**m, "disks": seen[n]} for n, m in probe.measured.items()},
            why=f"still read-only: {', '.join(dead)}" if dead else probe.why,
            at_ns=probe.at_ns,
        )
