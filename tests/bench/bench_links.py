"""Links: how exact delays, losses and limits are, how fast a delayed flow is, what it all costs.

Between bare pods, so that nothing but the link is measured. The delay is on one of a round trip's
two ways; round trips with and without it are measured in the same run, by datagrams that overlap.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from chaos.agent.link import ask_all
from chaos.faults.trains import Measurement, Train, binomial_range
from chaos.paths import topologies
from chaos.runtime.cluster import RunningCluster
from chaos.runtime.ways import Way
from tests.bench.support import Row, quantile, row, running, say

SCRIPT = (Path(__file__).parent / "in_pod.py").read_text()
DELAYS_MS = (10, 50, 200)
PINGS, EVERY_MS = 500, 5
FLOW_S, WARM_S = 6.0, 2.0  # of a flow, the first seconds are TCP finding its pace
PAYLOAD = 1448 / 1500  # of a full packet, with TCP's timestamps
LOSSES, PACKETS = (0.01, 0.1, 0.3), 10_000
RATES_MBIT = (1, 10, 100)
IDLE_S = 10.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

TOPOLOGY = """\
name: bare
system: fake
regions:
  r: {zones: [a, b]}
nodes:
  n1: {zone: a}
  n2: {zone: b}
  n3: {zone: a}
  n4: {zone: b}
"""


class Bare:
    """Bare pods, and what is done in them."""

    def __init__(self, cluster: RunningCluster) -> None:
        self.cluster = cluster
        self.addresses = {node.name: node.address for node in cluster.nodes}

    def run(self, node: str, *arguments: object, detach: bool = False) -> Any:
        """tests/bench/in_pod.py in the pod of `node`; its answer."""
        command = ["python3", "-c", SCRIPT, *map(str, arguments)]
        done = self.cluster.pods[node]._agent.exec_run(command, detach=detach)
        return None if detach else json.loads(done[1] or b"null")

    def stage(self, ways: Sequence[Way], stage: dict[str, Any]) -> None:
        """Put it on these ways, in place of the one before."""
        ask_all(self.cluster.agents(), {
            receiver: ("line", {"fault": "bench", "stage": stage, "ways": [
                (w.from_address, w.to_address) for w in ways if w.receiver == receiver
            ]})
            for receiver in {way.receiver for way in ways}
        })  # fmt: skip

    def clear(self) -> None:
        """No stage on any way."""
        ask_all(
            self.cluster.agents(), dict.fromkeys(self.addresses, ("unline", {"fault": "bench"}))
        )

    def round_trips_ms(self) -> list[float]:
        """From n1 to n2 and back."""
        found: list[float] = self.run("n1", "ping", self.addresses["n2"], PINGS, EVERY_MS)["rtt_ms"]
        return found

    def flow_mbit_s(self, seconds: float = FLOW_S) -> float:
        """One TCP flow from n1 to n2, as it comes out, when it has found its pace."""
        with ThreadPoolExecutor(1) as pool:
            sink = pool.submit(self.run, "n2", "sink")
            time.sleep(0.5)
            self.run("n1", "flow", self.addresses["n2"], seconds)
            seen = sink.result()
        late = [(t, b) for t, b in zip(seen["t_s"], seen["bytes"], strict=True)
                if WARM_S < t < seconds]  # fmt: skip
        (t0, b0), (t1, b1) = late[0], late[-1]
        return float((b1 - b0) * 8 / (t1 - t0) / 1e6)

    def helper_cpu_s(self, node: str) -> float:
        """CPU time of the node's helper so far; 0 when none runs."""
        pid = self.cluster.agents()[node].ask("line_counters")["helper"]["pid"]
        return 0.0 if pid is None else self.cpu_s(node, pid)

    def cpu_s(self, node: str, pid: int) -> float:
        """CPU time of a process of the pod so far."""
        output = self.cluster.pods[node]._agent.exec_run(["cat", f"/proc/{pid}/stat"])[1]
        fields = output.decode().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bare.yaml"
        path.write_text(TOPOLOGY)
        with running(str(path)) as (_, _, cluster):
            bare = Bare(cluster)
            bare.run("n2", "echo", detach=True)
            time.sleep(0.5)
            there = cluster.ways(["n1"], ["n2"])
            rows = [
                *_delays(bare, there), *_losses(bare, there), *_rates(bare, there), *_many(bare),
            ]  # fmt: skip
        return [*rows, *_idle(Path(folder))]


def _delays(bare: Bare, ways: Sequence[Way]) -> list[Row]:
    """Round trips with the delay, less the median of those without it right before, and the delay.

    What a bulk flow would do to them without a delay (it takes the whole machine then) says nothing
    of the delay: so the flow begins once there is one."""
    rows = []
    for beside in ("idle", "beside a bulk flow"):
        for delay_ms in DELAYS_MS:
            without = bare.round_trips_ms()
            bare.stage(ways, {"delay_us": delay_ms * 1000})
            with ThreadPoolExecutor(1) as pool:
                lasts_s = PINGS * EVERY_MS / 1000 + 4
                flow = pool.submit(bare.flow_mbit_s, lasts_s) if beside != "idle" else None
                time.sleep(2.5 if flow else 0.3)
                seen = bare.round_trips_ms()
                if flow:
                    say(f"  the flow beside it: {flow.result():.0f} Mbit/s")
            bare.clear()
            usual = quantile(without, 0.5)
            say(f"  {delay_ms} ms {beside}: {usual:.2f} ms without, {quantile(without, 0.99):.2f}"
                f" in one of a hundred; {len(seen)} of {PINGS} came")  # fmt: skip
            for name, q, goal in (("median", 0.5, "0.5"), ("p99", 0.99, "1")):
                off = quantile(seen, q) - usual - delay_ms
                rows.append(
                    row(
                        f"delay {delay_ms} ms, {beside}: {name} off by", abs(off), "ms", f"≤ {goal}"
                    )
                )
    bare.stage(ways, {"delay_us": 50_000})
    rows.append(row("one TCP flow at 50 ms", bare.flow_mbit_s(), "Mbit/s", "≥ 400"))
    bare.clear()
    return rows


def _losses(bare: Bare, ways: Sequence[Way]) -> list[Row]:
    rows = []
    scene: Any = bare  # a measurement needs its cluster only
    for share in LOSSES:
        bare.stage(ways, {"loss": share, "seed": round(100 * share)})
        lost = 0
        for _ in range(2):
            measurement = Measurement(ways, Train(count=PACKETS // 2, every_us=200))
            measurement.begin(scene)
            lost += sum(seen.lost for seen in measurement.end(scene, 0.2).values())
        low, high = binomial_range(PACKETS, share, 0.01)
        off = abs(lost - PACKETS * share) / ((high - low) / 2)
        say(f"  loss {share:.0%}: {lost} of {PACKETS} lost, 99 % lie within {low} to {high}")
        name = f"loss {share:.0%}: off by, in halves of the 99 % interval"
        rows.append(row(name, off, "", "≤ 1"))
    bare.clear()
    return rows


def _rates(bare: Bare, ways: Sequence[Way]) -> list[Row]:
    rows = []
    for rate in RATES_MBIT:
        backlog = max(45_000, rate * 12_500)
        bare.stage(ways, {"rate_bps": rate * 1e6, "backlog_bytes": backlog})
        found = bare.flow_mbit_s(8.0) / PAYLOAD
        say(f"  {rate} Mbit/s: {found:.3f}")
        rows.append(row(f"bandwidth {rate} Mbit/s: a TCP flow's packets off by",
                        abs(found / rate - 1) * 100, "%", "≤ 5"))  # fmt: skip
        bare.clear()
    return rows


def _many(bare: Bare) -> list[Row]:
    """Twelve links at once: what their helpers take together."""
    names = list(bare.addresses)
    ways = bare.cluster.ways(names, names)
    bare.stage(ways, {"delay_us": 20_000})
    rows, scene = [], bare
    for per_s, goal in ((1_000, "< 5"), (12_000, "")):
        seconds = 5.0
        each = round(per_s * seconds / len(ways))
        before = sum(bare.helper_cpu_s(name) for name in names)
        measurement = Measurement(ways, Train(count=each, every_us=round(seconds * 1e6 / each)))
        anything: Any = scene
        measurement.begin(anything)
        seen = measurement.end(anything, 0.3)
        took = sum(bare.helper_cpu_s(name) for name in names) - before
        came = sum(s.received for s in seen.values())
        say(f"  {len(ways)} links, {per_s} packets/s over all: {came} of {each * len(ways)} came")
        rows.append(row(f"{len(ways)} directed links, {per_s:,} packets/s over all: helpers' CPU",
                        100 * took / seconds, "% of a core", goal))  # fmt: skip
    bare.clear()
    return rows


def _idle(folder: Path) -> list[Row]:
    """A database that nobody uses, on three zones with links between them."""
    text = (topologies() / "redis-sentinel.yaml").read_text()
    zones = ["us-east-a", "us-east-b", "us-east-c"]
    links = "".join(
        f"  - {{between: [{a}, {b}], delay: 1ms, jitter: 0.1ms}}\n"
        for k, a in enumerate(zones)
        for b in zones[k + 1 :]
    )
    path = folder / "redis-sentinel.yaml"
    path.write_text(f"{text}links:\n{links}")
    with running(str(path)) as (_, _, cluster):
        bare = Bare(cluster)
        time.sleep(2.0)
        before = {name: bare.helper_cpu_s(name) for name in bare.addresses}
        agent = {name: bare.cpu_s(name, 1) for name in bare.addresses}
        time.sleep(IDLE_S)
        took = max(bare.helper_cpu_s(name) - before[name] for name in before)
        agents = max(bare.cpu_s(name, 1) - agent[name] for name in agent)
        say(f"  idle: the agents took {100 * agents / IDLE_S:.2f} % of a core at most")
    what = "base links of an idle node: helper's CPU"
    return [row(what, 100 * took / IDLE_S, "% of a core", "< 2")]
