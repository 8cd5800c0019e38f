"""Every form of a partition on five real pods: proven by its probe, and seen by our requests."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chaos.nemesis import Nemesis
from chaos.runtime.cluster import RunningCluster
from tests.bench.support import MemoryJournal, inject, running

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

TOPOLOGY = """\
name: five
system: redis
regions:
  r: {zones: [a, b, c]}
nodes:
  n1: {zone: a, role: primary}
  n2: {zone: b}
  n3: {zone: c}
  n4: {zone: a}
  n5: {zone: b}
clients: {a: 1, b: 1, c: 1}
"""

# One after the other: what is asked for, and how many ways it cuts.
FORMS: Mapping[str, tuple[dict[str, Any], int]] = {
    "isolate, with clients": ({"isolate": "n1", "clients": "by-zone"}, 8 + 2 * 4 + 2 * 2),
    "one-way": ({"isolate": "zone:a", "one_way": True, "direction": "in"}, 6),
    "bridge": ({"bridge": "n3"}, 8),
    "ring": ({"ring": "majorities"}, 10),
    "halves": ({"halves": "random"}, 12),
    "replication only": ({"between": [["n1"], ["n2"]], "ports": ["db"]}, 2),
    "clients only, to one port": ({"between": [["clients@a"], ["n1"]], "ports": ["db"]}, 2),
    "flapping": ({"between": [["n1"], ["n2"]], "flap": {"up": "500ms", "down": "500ms"}}, 2),
}
LASTS_S = {"flapping": 2.4}


@pytest.fixture(scope="module")
def cluster(engine_client: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[
    RunningCluster
]:  # fmt: skip
    path: Path = tmp_path_factory.mktemp("five") / "five.yaml"
    path.write_text(TOPOLOGY)
    with running(str(path)) as (_, _, cluster):
        yield cluster


def start(cluster: RunningCluster, *entries: dict[str, Any]) -> tuple[Nemesis, MemoryJournal]:
    """Let these partitions run, at once."""
    return inject(cluster, [{"fault": "partition", **entry} for entry in entries], ["a", "b", "c"])


def test_every_form_is_confirmed_and_healed(cluster: RunningCluster) -> None:
    entries, at_s = [], 0.3
    for name, (asked, _) in FORMS.items():
        lasts_s = LASTS_S.get(name, 0.6)
        entries.append({"at": f"{at_s:g}s", "for": f"{lasts_s:g}s", **asked})
        at_s += lasts_s + 0.4
    nemesis, journal = start(cluster, *entries)
    time.sleep(at_s)
    nemesis.heal()
    for (name, (_, ways)), seen in zip(FORMS.items(), journal.faults.values(), strict=True):
        told = (name, seen.get("why"), seen["measured"])
        assert (seen["outcome"], seen["heal_outcome"]) == ("confirmed", "confirmed"), told
        assert len(seen["measured"]["cut"]) == ways, told
        assert seen["measured"]["leaking"] == seen["measured"]["already_cut"] == [], told
        assert seen["scheduled_ns"] <= seen["effect_ns"] <= seen["injected_at_ns"], told
    measured = {
        name: seen["measured"] for name, seen in zip(FORMS, journal.faults.values(), strict=True)
    }
    assert measured["replication only"]["connects_silent"] == 2
    assert measured["replication only"]["other_ports_silent"] == []
    assert measured["flapping"]["flaps"]["times"] == 3
    assert measured["clients only, to one port"]["cut"] == [
        "clients@a→n1:6379",
        "n1→clients@a:6379",
    ]


def test_cut_off_clients_hang_and_nothing_is_reset(cluster: RunningCluster) -> None:
    with (
        socket.create_connection(cluster.address("n1", "db", "a"), timeout=1.0) as cut,
        socket.create_connection(cluster.address("n1", "db", "b"), timeout=1.0) as other,
        socket.create_connection(cluster.address("n1", "db"), timeout=1.0) as own,
    ):
        for line in (cut, other, own):
            assert ping(line) == b"+PONG\r\n"
        entry = {"between": [["clients@a"], ["n1"]], "at": "100ms", "for": "1s"}
        nemesis, journal = start(cluster, entry)
        time.sleep(0.3)
        assert ping(other) == ping(own) == b"+PONG\r\n"
        cut.settimeout(0.4)
        with pytest.raises(TimeoutError):
            ping(cut)
        cut.settimeout(5.0)
        assert cut.recv(64) == b"+PONG\r\n"  # to the very request that hung
        nemesis.heal()
    assert journal.faults["f1"]["heal_outcome"] == "confirmed"


def ping(line: socket.socket) -> bytes:
    """Ask a Redis over an open connection."""
    line.sendall(b"PING\r\n")
    return line.recv(64)


def test_what_two_partitions_cut_is_told_apart(cluster: RunningCluster) -> None:
    nemesis, journal = start(
        cluster,
        {"at": "200ms", "for": "1s", "between": [["n1", "clients@a"], ["n2"]]},
        {"at": "700ms", "for": "1s", "between": [["n1"], ["n2"]]},
        {"at": "700ms", "for": "500ms", "between": [["n1"], ["n2"]], "ports": ["db"]},
    )
    time.sleep(1.9)
    nemesis.heal()
    first, second, third = journal.faults.values()
    assert (first["outcome"], first["heal_outcome"]) == ("confirmed", "confirmed")
    assert "held by another fault: n1→n2, n2→n1" in first["why"]
    assert (second["outcome"], second["heal_outcome"]) == ("inconclusive", "confirmed")
    assert "before the cut" in second["why"]
    assert (third["outcome"], third["heal_outcome"]) == ("inconclusive", "inconclusive")


def test_bytes_of_clients_are_no_bytes_of_peers(cluster: RunningCluster) -> None:
    agent = cluster.agents()["n2"]
    before = agent.ask("sample")["rx_bytes"]
    with socket.create_connection(cluster.address("n2", "db", "a"), timeout=2.0) as line:
        line.sendall(b"*2\r\n$4\r\nPING\r\n$1000000\r\n" + b"x" * 1_000_000 + b"\r\n")
        assert line.recv(64)
    after = agent.ask("sample")["rx_bytes"]
    assert set(after) == {"n1", "n3", "n4", "n5"}
    assert sum(after.values()) - sum(before.values()) < 200_000


def test_without_its_controller_everything_passes_again(cluster: RunningCluster) -> None:
    entry = {"isolate": "n1", "clients": "by-zone", "flap": {"up": "500ms", "down": "1s"}}
    start(cluster, {"at": "100ms", "for": "50s", **entry})
    address = cluster.address("n1", "db", "b")
    time.sleep(0.4)
    with socket.create_connection(address, timeout=0.3) as line, pytest.raises(TimeoutError):
        ping(line)
    cluster.hang_up()
    for _ in range(4):  # longer than a turn
        time.sleep(0.4)
        with socket.create_connection(address, timeout=2.0) as line:
            assert ping(line) == b"+PONG\r\n"
