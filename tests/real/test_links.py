"""Links of real pods: the topology's delays hold, faults on top of them are proven and end, and
whatever becomes of the helper that holds packets back, traffic flows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chaos.faults.trains import Measurement, Seen, Train
from chaos.runtime.cluster import RunningCluster
from chaos.runtime.ways import Way
from tests.bench.support import MemoryJournal, inject, running

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

TOPOLOGY = """\
name: far
system: fake
regions:
  east: {zones: [e1, e2]}
  west: {zones: [w1]}
links:
  - {between: [east, west], delay: 20ms, jitter: 0.5ms}
  - {between: [e1, e2], from: e2, delay: 5ms}
nodes:
  n1: {zone: e1}
  n2: {zone: e2}
  n3: {zone: w1}
  n4: {zone: e1}
clients: {e1: 1, w1: 1}
"""
FAR_MS = {
    "n1→n3": 20, "n3→n1": 20, "n2→n3": 20, "n3→n2": 20, "n2→n1": 5, "n1→n2": 0, "n1→n4": 0,
    "clients@w1→n1": 20, "n1→clients@w1": 20, "clients@e1→n1": 0, "n2→clients@e1": 5,
    "clients@e1→n2": 0,
}  # fmt: skip


TAKE = """
import hashlib, socket
listener = socket.socket()
listener.bind(("0.0.0.0", 5007))
listener.listen(1)
flow, data = listener.accept()[0], b""
while more := flow.recv(65536):
    data += more
print(len(data), hashlib.sha256(data).hexdigest())
"""
SEND = """
import hashlib, random, socket, sys, time
data = random.Random(1).randbytes(2_000_000)
for _ in range(100):
    try:
        line = socket.create_connection((sys.argv[1], 5007), 1)
        break
    except OSError:
        time.sleep(0.05)
line.settimeout(15)
line.sendall(data)
line.close()
print(len(data), hashlib.sha256(data).hexdigest())
"""


@pytest.fixture(scope="module")
def cluster(
    engine_client: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningCluster]:
    path: Path = tmp_path_factory.mktemp("far") / "far.yaml"
    path.write_text(TOPOLOGY)
    with running(str(path)) as (_, _, cluster):
        yield cluster


class Scene:
    """What a measurement needs of a scene."""

    def __init__(self, cluster: RunningCluster) -> None:
        self.cluster = cluster


def measure(cluster: RunningCluster, ways: Sequence[Way], count: int = 60) -> Mapping[Way, Seen]:
    measurement = Measurement(ways, Train(count=count, every_us=2_000))
    scene: Any = Scene(cluster)
    measurement.begin(scene)
    return measurement.end(scene, 0.15)


def counters(cluster: RunningCluster, place: str) -> dict[str, Any]:
    return cluster.agents()[place].ask("line_counters")


def replaced(cluster: RunningCluster, place: str, before: dict[str, Any]) -> dict[str, Any]:
    """The helper that has taken the place of another."""
    end = time.monotonic() + 5.0
    while time.monotonic() < end:
        now: dict[str, Any] = counters(cluster, place)["helper"]
        if now["pid"] not in (None, before["pid"]):
            return now
        time.sleep(0.05)
    raise AssertionError(f"none after {before}, but {now}")


def rules(cluster: RunningCluster, node: str) -> str:
    output: bytes = cluster.pods[node]._agent.exec_run(["nft", "list", "ruleset"])[1]
    return output.decode()


def test_the_topologys_links_hold_before_any_fault(cluster: RunningCluster) -> None:
    places = cluster.layout.places()
    ways = cluster.ways(places, places)
    seen = {str(way): s.quantile_ms(0.2) or 0.0 for way, s in measure(cluster, ways).items()}
    off = {way: (seen[way], ms) for way, ms in FAR_MS.items() if not ms - 1 < seen[way] < ms + 3}
    assert off == {}


def test_a_pod_without_delays_has_no_rule_and_no_helper(cluster: RunningCluster) -> None:
    agent = cluster.agents()["n2"]
    assert counters(cluster, "n2")["helper"]["pid"] is not None
    assert "queue" in rules(cluster, "n2")
    base = [
        (way.from_address, way.to_address, 20_000, 500)
        for way in cluster.ways(["n3", "clients@w1"], ["n2"])
    ]
    agent.ask("base", ways=[])
    assert counters(cluster, "n2")["helper"]["pid"] is None
    assert "mangle" not in rules(cluster, "n2")
    agent.ask("base", ways=base)
    assert counters(cluster, "n2")["helper"]["pid"] is not None


FAULTS: Sequence[dict[str, Any]] = (
    {"fault": "delay", "between": [["n1"], ["n3", "clients@e1"]], "delay": "30ms"},
    {"fault": "delay", "from": ["n1"], "to": ["n2"], "delay": "25ms", "jitter": "3ms",
     "distribution": "pareto"},
    {"fault": "loss", "between": [["n1"], ["n2", "n4"]], "rate": "10%"},
    {"fault": "loss", "from": ["n1"], "to": ["n2"], "rate": "30%", "burst": 4},
    {"fault": "duplicate", "between": [["n1"], ["n2"]], "rate": "10%"},
    {"fault": "reorder", "between": [["n1"], ["n2"]], "rate": "10%"},
    {"fault": "corrupt", "between": [["n1"], ["n2"]], "rate": "10%"},
    {"fault": "bandwidth", "between": [["n1"], ["n2"]], "rate": "2Mbit/s"},
)  # fmt: skip


def start(cluster: RunningCluster, entries: Sequence[dict[str, Any]]) -> MemoryJournal:
    """Run these faults to the end."""
    began = time.monotonic()
    nemesis, journal = inject(cluster, entries, ["e1", "w1"])
    end_ns = max(fault["heal_scheduled_ns"] for fault in journal.faults.values())
    time.sleep(max(0.0, began + end_ns / 1e9 + 0.3 - time.monotonic()))
    nemesis.heal()
    return journal


def outcomes(journal: MemoryJournal) -> list[tuple[Any, ...]]:
    """(fault, outcome, outcome of the heal, why, what was measured)."""
    return [
        (f["fault"], f.get("outcome"), f.get("heal_outcome"), f.get("why"), f.get("measured"))
        for f in journal.faults.values()
    ]


def test_every_fault_of_links_is_confirmed_and_healed(cluster: RunningCluster) -> None:
    entries = [
        {"at": f"{0.3 + 1.3 * k:.1f}s", "for": "600ms", **asked} for k, asked in enumerate(FAULTS)
    ]
    told = outcomes(start(cluster, entries))
    assert [t[1:3] for t in told] == [("confirmed", "confirmed")] * len(FAULTS), told
    assert all(q["stages"] == 1 for q in counters(cluster, "n1")["ways"])  # the base again


def test_overlapping_delays_add_up_and_end_one_by_one(cluster: RunningCluster) -> None:
    both = {"fault": "delay", "from": ["n2"], "to": ["n1"]}
    told = outcomes(start(cluster, [
        {"at": "0.3s", "for": "1500ms", "delay": "20ms", **both},
        {"at": "1.0s", "for": "1500ms", "delay": "10ms", **both},
    ]))  # fmt: skip
    assert [t[1:3] for t in told] == [("confirmed", "confirmed")] * 2, told


def test_traffic_flows_when_the_helper_dies_and_is_delayed_again(cluster: RunningCluster) -> None:
    ways = cluster.ways(["n3"], ["n1"])
    before = counters(cluster, "n1")["helper"]
    measurement = Measurement(ways, Train(count=300, every_us=1_000))
    scene: Any = Scene(cluster)
    measurement.begin(scene)
    time.sleep(0.05)
    killed = cluster.pods["n1"]._agent.exec_run(
        ["python3", "-c", f"import os; os.kill({before['pid']}, 9)"]
    )
    assert killed[0] == 0, killed
    seen = measurement.end(scene, 0.15)[ways[0]]
    # The kernel drops what the dead helper held, and a killed process takes a while to be gone.
    assert seen.received > 100
    after = replaced(cluster, "n1", before)
    assert measure(cluster, ways)[ways[0]].quantile_ms(0.2) == pytest.approx(20, abs=3)
    assert (after["ended"], after["given_up"]) == (before["ended"] + 1, "")
    assert after["pid"] not in (None, before["pid"])


def test_a_helper_that_hangs_is_replaced(cluster: RunningCluster) -> None:
    ways = cluster.ways(["n3"], ["n1"])
    before = counters(cluster, "n1")["helper"]
    stop = f"import os; os.kill({before['pid']}, 19)"
    assert cluster.pods["n1"]._agent.exec_run(["python3", "-c", stop])[0] == 0
    time.sleep(3.0)  # a second until the agent speaks to it, two in which it should answer
    after = replaced(cluster, "n1", before)
    assert measure(cluster, ways)[ways[0]].quantile_ms(0.2) == pytest.approx(20, abs=3)
    assert (after["ended"], after["given_up"]) == (before["ended"] + 1, "")


def test_tcp_keeps_working_under_everything_at_once(cluster: RunningCluster) -> None:
    ways = cluster.ways(["n1"], ["n4"])
    pairs = [(way.from_address, way.to_address) for way in ways]
    agents = cluster.agents()
    agents["n4"].ask("line", fault="f1", ways=pairs, stage={"loss": 0.01, "corrupt": 0.01})
    agents["n4"].ask("line", fault="f2", ways=pairs, stage={"duplicate": 0.05, "delay_us": 500})
    agents["n4"].ask("line", fault="f3", ways=pairs, stage={"reorder": 0.02, "late_us": 2_000})
    agents["n4"].ask(
        "line", fault="f4", ways=pairs, stage={"rate_bps": 60e6, "backlog_bytes": 300_000}
    )
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(cluster.pods["n4"]._agent.exec_run, ["python3", "-c", TAKE])
        address = next(node.address for node in cluster.nodes if node.name == "n4")
        sent = cluster.pods["n1"]._agent.exec_run(["python3", "-c", SEND, address])[1]
        assert taken.result(20.0)[1] == sent
    assert sent.decode().split()[0] == "2000000", sent
    counted = next(c for c in counters(cluster, "n4")["ways"] if c["from"] == pairs[0][0])
    assert min(counted[kind] for kind in ("dropped", "duplicated", "reordered", "corrupted")) > 0
    agents["n4"].ask("heal")
    assert pairs[0][0] not in [c["from"] for c in counters(cluster, "n4")["ways"]]


def test_faults_end_with_the_controller_and_the_topologys_links_stay(
    cluster: RunningCluster,
) -> None:
    ways = cluster.ways(["n3", "n2"], ["n1"])
    agent = cluster.agents()["n1"]
    pairs = [(way.from_address, way.to_address) for way in ways]
    agent.ask("line", fault="f9", ways=pairs, stage={"delay_us": 40_000})
    assert all(q["stages"] == 2 for q in counters(cluster, "n1")["ways"] if q["from"] in
               {way.from_address for way in ways})  # fmt: skip
    agent.ask("heal")
    seen = {str(way): s.quantile_ms(0.2) or 0.0 for way, s in measure(cluster, ways).items()}
    assert seen["n3→n1"] == pytest.approx(20, abs=2)
    assert seen["n2→n1"] == pytest.approx(5, abs=2)
