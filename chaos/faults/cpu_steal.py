"""CPU steal: other load takes a share of the core that the database is confined to.

The agents do it: a burner beside the database, on one core with it, that uses exactly the asked
share of that core's time, in bursts, and outweighs the database when both want it. No quota holds
the database back: it waits in the run queue, as beside a noisy neighbour. The burner dies with its
agent, which also gives the cores back.

Measured by the burner's own CPU time, and by how long the database's threads were ready to run and
had to wait (/proc/PID/schedstat), while it is asked for more than is left. Where the machine itself
is busy the burner gets less and the database no more; the kernel's idle time of the core shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaos.agent.link import ask_all
from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe, Scene
from chaos.faults.nodes import OnNodes
from chaos.faults.press import press
from chaos.runtime.cluster import HINDERED

PRESS_S = 0.6
NEAR = 0.05  # of a core: a burst more or less within the measurement
SPARE_S = 30.0  # a burner lives this much longer than its fault, should nobody end it


class CpuSteal(OnNodes):
    """Takes `share` of one core from each target."""

    def __init__(self, id: str, entry: Any) -> None:
        super().__init__(id, entry)
        self._cores: dict[str, int] = {}
        self._still: dict[str, list[str]] = {}
        self._in_all: dict[str, float] = {}  # node → share taken from the beginning to the end

    def available(self, scene: Scene) -> str:
        """Needs the kernel's count of waiting times, and agents that may take other users' ids."""
        for node, hello in scene.cluster.hello.items():
            if not hello["schedstat"]:
                return f"the kernel of {node} does not count run queue times (/proc/PID/schedstat)"
            if not hello["set_ids"]:
                return f"the agent of {node} lacks CAP_SETUID or CAP_SETGID"
        return ""

    def inject(self, scene: Scene) -> None:
        """One burner for each node; neighbours in the list burn on different cores."""
        self.claim(scene, HINDERED)
        places = [node.name for node in scene.cluster.nodes]
        common = {"fault": self.id, "share": self.entry.share,
                  "for_s": self.entry.for_ns / 1e9 + SPARE_S}  # fmt: skip
        requests = {n: ("burn", {**common, "core": places.index(n)}) for n in self.nodes}
        answers = ask_all(scene.cluster.agents(), requests)
        self._cores = {node: answer["core"] for node, answer in answers.items()}
        self.effect_ns = max(answer["t_ns"] for answer in answers.values())

    def probe(self, scene: Scene) -> Probe:
        """What the burner took and how long the database waited, while it wants all it can get."""
        before = self._burning(scene)
        answers_ms = press(scene, self.nodes, PRESS_S)
        after = self._burning(scene)
        measured: dict[str, Any] = {}
        wrong, absent, crowded = [], [], []
        for node in self.nodes:
            then, now = before[node], after[node]
            seconds = (now["t_ns"] - then["t_ns"]) / 1e9
            taken, waited, ran, idle = (
                max(0.0, now[key] - then[key]) / seconds
                for key in ("burned_s", "waited_s", "ran_s", "idle_s")
            )
            measured[node] = {
                "share": round(taken, 3),
                "database_ran": round(ran, 3),
                "database_waited": round(waited, 3),
                "core_idle": round(idle, 3),
                "cores": now["cores"],
                "answer_ms": answers_ms[node],
            }
            if not now["cores"]:
                absent.append(node)
                continue
            if now["cores"] != [self._cores[node]]:
                wrong.append(f"{node} may use the cores {now['cores']}")
            if not waited:
                wrong.append(f"{node} never waited")
            if taken < self.entry.share - NEAR:
                if 1 - idle - ran < self.entry.share - NEAR:
                    wrong.append(f"{node} lost {taken:.0%}")
                else:
                    crowded.append(f"{node} ({taken:.0%})")
        return self._judged(measured, wrong, absent, crowded)

    def _judged(
        self,
        measured: Mapping[str, Any],
        wrong: Sequence[str],
        absent: Sequence[str],
        crowded: Sequence[str],
    ) -> Probe:
        outcome, why = CONFIRMED, ""
        more = [n for n in self.nodes if measured[n]["share"] > self.entry.share + NEAR]
        if wrong:
            outcome, why = MISMATCH, f"not as asked: {', '.join(wrong)}"
        elif absent or self.before:
            why = self.already_down() or f"no database runs: {', '.join(absent)}"
            outcome = INCONCLUSIVE
        elif more:
            outcome, why = INCONCLUSIVE, f"another fault takes more: {', '.join(more)}"
        elif crowded:
            why = (
                f"this machine's own load took a part of what was to be taken: {', '.join(crowded)}"
            )
        return Probe(
            outcome=outcome,
            requested={"share": self.entry.share},
            measured=measured,
            why=why,
            at_ns=self.effect_ns,
        )

    def _burning(self, scene: Scene) -> dict[str, Any]:
        return ask_all(scene.cluster.agents(), {n: ("burning", {}) for n in self.nodes})

    def prepare_heal(self, scene: Scene) -> None:
        """How much was taken in all."""
        for node, now in self._burning(scene).items():
            seconds = (now["t_ns"] - self.effect_ns) / 1e9
            self._in_all[node] = round(now["burned_s"] / max(seconds, 0.001), 3)

    def heal(self, scene: Scene) -> None:
        """End the burners; the last one of a node gives its cores back."""
        self.unclaim(scene, HINDERED)
        nodes = dict.fromkeys(self.nodes, ("spare", {"fault": self.id}))
        answers = ask_all(scene.cluster.agents(), nodes)
        self._still = {n: a["still"] for n, a in answers.items() if a["still"]}

    def probe_heal(self, scene: Scene) -> Probe:
        """Nothing burns, the database may use every core, and answers."""
        probe = super().probe_heal(scene)
        seen = self._burning(scene)
        wrong, held = [], []
        for node, now in seen.items():
            if node in self._still:
                held.append(f"{node} ({', '.join(self._still[node])})")
            elif now["burned_s"] or (now["cores"] and now["cores"] != now["all_cores"]):
                wrong.append(f"{node} (cores {now['cores']}, burned {now['burned_s']:.2f} s)")
        outcome, why = probe.outcome, probe.why
        if wrong:
            outcome, why = MISMATCH, f"not as before: {', '.join(wrong)}"
        elif held:
            outcome, why = INCONCLUSIVE, f"held by another fault: {', '.join(held)}"
        measured = {
            n: {
                **probe.measured.get(n, {}),
                "cores": seen[n]["cores"],
                "share_in_all": self._in_all.get(n),
            }
            for n in seen
        }
        return Probe(outcome=outcome, measured=measured, why=why, at_ns=probe.at_ns)
