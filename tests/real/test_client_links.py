"""Client links and correlated faults on real databases; and links that hang, made anew."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.faults.base import CONFIRMED, Scene, request
from chaos.registry import FAULTS
from chaos.runtime.cluster import RunningCluster
from chaos.runtime.toxiproxy import Link
from chaos.spec.entries import FAULT_ENTRIES
from tests.bench.support import running

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

# Each link has its own fault, all at once; the last two are on one link, and so are the two downs.
SCHEDULE = """\
name: client-links
topology: redis-sentinel
workload: {name: register, rate: 50/s, keys: 5}
duration: 24s
settle: 20s
schedule:
  - {at: 1s, for: 4s, fault: client-latency, zones: [us-east-a], nodes: n1, delay: 80ms}
  - {at: 1s, for: 4s, fault: client-bandwidth, zones: [us-east-a], nodes: n2, rate: 800kbit/s}
  - {at: 1s, for: 4s, fault: client-slow-close, zones: [us-east-a], nodes: n3, delay: 300ms}
  - {at: 1s, for: 4s, fault: client-timeout, zones: [us-east-b], nodes: n1, after: 700ms}
  - {at: 1s, for: 4s, fault: client-reset, zones: [us-east-b], nodes: n2, direction: answers}
  - {at: 1s, for: 4s, fault: client-slicer, zones: [us-east-b], nodes: n3, size: 64B, delay: 5ms}
  - {at: 1s, for: 4s, fault: client-limit-data, zones: [us-east-c], nodes: n1, bytes: 10kB}
  - {at: 1s, for: 2s, fault: client-down, zones: [us-east-c], nodes: n2}
  - {at: 2s, for: 3s, fault: client-down, zones: [us-east-c], nodes: n2}
  - {at: 1s, for: 4s, fault: client-latency, zones: [us-east-c], nodes: n3, delay: 60ms}
  - {at: 2500ms, for: 1s, fault: client-latency, zones: [us-east-c], nodes: n3, delay: 90ms}
  - {at: 6500ms, for: 1500ms, fault: outage, target: zone:us-east-a}
  - {at: 10500ms, fault: maintenance-wave, gap: 200ms}
  - {at: 16500ms, for: 2500ms, fault: restart-storm, target: all, every: 1500ms}
  - {at: 21s, for: 1500ms, fault: lockout, target: zone:us-east-c}
"""


def test_all_at_once(command: Any, tmp_path: Path, nothing_left: Any) -> None:
    path = tmp_path / "client-links.yaml"
    path.write_text(SCHEDULE, encoding="utf-8")
    ran = command.finish(command.start(tmp_path / "runs", str(path)))
    assert "Traceback" not in ran.stderr
    faults = ran.run.faults.to_pylist()
    table = [(f["id"], f["fault"], f["outcome"], f["heal_outcome"], f["why"]) for f in faults]
    # The ninth takes down what is down already, and the end of the eighth leaves it so: said.
    outcomes = [row[2] for row in table]
    assert outcomes[8] == "inconclusive", table
    assert set(outcomes) <= {"confirmed", "inconclusive"}, table  # as on a machine too busy to tell
    assert outcomes.count("confirmed") >= 12, table
    assert table[8][4].startswith("us-east-c--n2--db"), table
    assert table[7][3] == "inconclusive", table
    assert "together with f9" in table[7][4], table
    rest = [row for row in table if row[0] != "f8"]
    assert {row[3] for row in rest} <= {"confirmed", "inconclusive"}, table
    assert [row[3] for row in rest].count("confirmed") >= 11, table

    measured = [json.loads(f["measured"]) for f in faults]
    rate = measured[1]["us-east-a--n2--db"]["answers"]["bytes_per_s"]
    assert rate == pytest.approx(100_000, rel=0.2)
    assert measured[6]["us-east-c--n1--db"]["answers"]["received_bytes"] == 10_000
    if (outcomes[10], table[10][4]) == ("confirmed", ""):  # on top of the tenth, on every link
        assert measured[10]["us-east-c--n3--db"]["added_ms"] == pytest.approx(90, abs=20)
    assert {part["outcome"] for part in measured[11].values()} == {"confirmed"}
    assert set(measured[14]["wipe"]) == {"outcome", "n3"}
    nothing_left()


@pytest.fixture(scope="module")
def cluster(engine_client: object) -> Iterator[RunningCluster]:
    with running("redis-sentinel") as (_, _, cluster):
        yield cluster


def scene(cluster: RunningCluster) -> Scene:
    zones = ["us-east-a", "us-east-b", "us-east-c"]
    return Scene(cluster=cluster, roles=dict, client_zones=zones, rng=random.Random(1))


def make(kind: str, **asked: Any) -> Any:
    entry = FAULT_ENTRIES[kind].model_validate({"at": "0s", "for": "6s", "fault": kind, **asked})
    return FAULTS.get(kind)("f1", entry)


def test_a_client_that_does_not_read(cluster: RunningCluster) -> None:
    """Toxiproxy hangs when a toxic of its link is removed; the link is made anew, and says so."""
    link = Link("us-east-a", "n1", "db")
    address = cluster.address(link.node, link.port, link.zone)
    fault = make("client-latency", zones=["us-east-a"], nodes="n1", delay="50ms")
    at = scene(cluster)
    fault.resolve(at)
    fault.prepare(at)
    fault.inject(at)
    cluster.links.add_toxic([link], "f2", "latency", {"latency": 30, "jitter": 0})
    with socket.create_connection(address) as deaf:
        echo = cluster.group("n1").bulk("db", 0, 4_000_000)
        assert echo is not None
        for _ in range(10):
            deaf.sendall(echo)
        time.sleep(0.5)
        began = time.monotonic()
        fault.heal(at)
        assert 1 < time.monotonic() - began < 8
    probe = fault.probe_heal(at)
    assert "had to be made anew: us-east-a--n1--db" in probe.why
    assert cluster.links.toxics(link) == ["f2-downstream", "f2-upstream"]  # of another fault
    cluster.links.remove_toxic([link], "f2")
    probe = fault.probe_heal(at)
    assert probe.outcome == CONFIRMED, probe.why
    assert cluster.links.changed() == []


def test_links_come_up_when_the_last_fault_ends(cluster: RunningCluster) -> None:
    links = cluster.links.matching(["us-east-b"], ["n2"])
    address = cluster.address("n2", "db", "us-east-b")
    cluster.links.take_down(links, "f1")
    cluster.links.take_down(links, "f2")
    assert set(cluster.links.bring_up(links, "f1")) == set(links)
    assert request(address, b"PING\r\n").kind == "refused"
    assert cluster.links.bring_up(links, "f2") == {}
    assert cluster.links.bring_up(links, "f2") == {}
    assert request(address, b"PING\r\n").kind == "answered"


def test_dials_are_tried_each_second(cluster: RunningCluster) -> None:
    """Behind a cut Toxiproxy's dial must not wait for TCP's doubling pauses (clients.py)."""
    toxiproxy = cluster.clients.toxiproxy
    joined = toxiproxy.attrs["HostConfig"]["NetworkMode"].removeprefix("container:")
    agent = toxiproxy.client.containers.get(joined)
    code, tries = agent.exec_run(["cat", "/proc/sys/net/ipv4/tcp_syn_retries"])
    assert (code, tries.strip()) == (0, b"2")
