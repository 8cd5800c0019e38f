"""Faults made of others: which parts, of what, and what their probes come to."""

from __future__ import annotations

import itertools
import random
import statistics
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.faults.base import CONFIRMED, INCONCLUSIVE, MISMATCH, Probe
from chaos.faults.correlated import MaintenanceWave, Outage, merged
from chaos.faults.storm import RestartStorm
from chaos.registry import FAULTS
from chaos.spec.entries import FAULT_ENTRIES
from chaos.systems.base import Node

PLACES = {  # zone → region, provider; a3 has clients and no nodes
    "a1": ("a", "x"), "a2": ("a", "x"), "a3": ("a", "x"), "b1": ("b", "y"), "c1": ("c", None),
}  # fmt: skip
NODES = [
    Node(name=f"n{k}", zone=zone, region=PLACES[zone][0], provider=PLACES[zone][1], role=None,
         address="")
    for k, zone in enumerate(("a1", "a2", "b1", "c1", "a1"), 1)
]  # fmt: skip


def make(kind: str, **asked: Any) -> Any:
    """A fault from its entry."""
    lasting = {} if kind == "maintenance-wave" else {"for": "20s"}
    entry = FAULT_ENTRIES[kind].model_validate({"at": "1s", "fault": kind, **lasting, **asked})
    return FAULTS.get(kind)("f1", entry)


def scene(seed: int = 1) -> Any:
    """Five nodes in four zones of three regions of two providers."""

    def place_of(zone: str) -> dict[str, str | None]:
        return {"zone": zone, "region": PLACES[zone][0], "provider": PLACES[zone][1]}

    cluster = SimpleNamespace(nodes=NODES, place_of=place_of)
    return SimpleNamespace(
        cluster=cluster, roles=dict, client_zones=["a1", "a3", "b1"], rng=random.Random(seed)
    )


@pytest.mark.parametrize(
    ("target", "inside", "outside"),
    [
        ("zone:a1", "n1 n5 clients@a1", "n2 n3 n4 clients@a3 clients@b1"),
        ("region:a", "n1 n2 n5 clients@a1 clients@a3", "n3 n4 clients@b1"),
        ("provider:y", "n3 clients@b1", "n1 n2 n4 n5 clients@a1 clients@a3"),
        (["zone:a2", "region:c"], "n2 n4", "n1 n3 n5 clients@a1 clients@a3 clients@b1"),
    ],
)
@pytest.mark.parametrize(("kind", "part"), [("outage", "kill"), ("lockout", "wipe")])
def test_an_outage_takes_nodes_and_clients(
    kind: str, part: str, target: Any, inside: str, outside: str
) -> None:
    parts = make(kind, target=target).make(scene())
    assert list(parts) == [part, "partition"]
    nodes = [name for name in inside.split() if name.startswith("n")]
    assert parts[part].resolve(scene()) == nodes
    sides = parts["partition"]._entry.between
    assert [" ".join(map(str, side)) for side in sides] == [inside, outside]
    assert parts["partition"]._entry.for_ns == parts[part].entry.for_ns == 20_000_000_000


def test_an_outage_of_everything_has_no_outside() -> None:
    fault = make("outage", target=["provider:x", "provider:y", "zone:c1"])
    assert isinstance(fault, Outage)
    assert list(fault.make(scene())) == ["kill"]


def test_confirmed_is_what_every_part_confirms() -> None:
    def probe(outcome: str, at_ns: int | None = 1, why: str = "") -> Probe:
        return Probe(outcome=outcome, at_ns=at_ns, why=why, measured={"n1": 0})

    both = merged({"kill": probe(CONFIRMED, 5), "partition": probe(CONFIRMED, 9)})
    assert (both.outcome, both.at_ns, both.why) == (CONFIRMED, 9, "")
    assert both.measured["kill"] == {"outcome": CONFIRMED, "n1": 0}
    for worse in (INCONCLUSIVE, MISMATCH):
        one = merged({"kill": probe(CONFIRMED), "partition": probe(worse, None, "leaks")})
        assert (one.outcome, one.at_ns, one.why) == (worse, None, "partition: leaks")
    assert merged({"a": probe(INCONCLUSIVE), "b": probe(MISMATCH)}).outcome == MISMATCH
    assert merged({}).outcome == INCONCLUSIVE


def test_a_wave_goes_zone_by_zone() -> None:
    fault = make("maintenance-wave")
    assert isinstance(fault, MaintenanceWave)
    assert fault.resolve(scene()) == ["n1", "n5", "n2", "n3", "n4"]
    assert fault.undo(scene())[0] == {"do": "start", "node": "n1"}


def moments(seed: int) -> dict[str, list[float]]:
    fault = make("restart-storm", target="all", every="500ms")
    assert isinstance(fault, RestartStorm)
    fault.resolve(scene(seed))
    return {node: record.moments_s for node, record in fault._records.items()}


def test_a_storm_follows_from_the_seed() -> None:
    assert moments(1) == moments(1) != moments(2)
    found = [moments(seed) for seed in range(20)]
    gaps = [b - a for seen in found for at in seen.values() for a, b in itertools.pairwise(at)]
    assert statistics.mean(gaps) == pytest.approx(0.5, rel=0.1)
    assert statistics.stdev(gaps) == pytest.approx(0.5, rel=0.15)  # exponential: mean = deviation
    assert all(0 <= at[0] <= 0.25 and at[-1] < 20 for seen in found for at in seen.values())
