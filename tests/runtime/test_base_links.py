"""The topology's links as delays on ways: which link a way takes, and who is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.errors import ClusterError
from chaos.runtime import base_links
from chaos.runtime.ways import CLIENTS, Layout
from chaos.spec.topology import Topology

REGIONS = {"east": ["e1", "e2"], "west": ["w1"], "north": ["o1", "o2"]}
ZONES = [zone for zones in REGIONS.values() for zone in zones]


def topology(*links: dict[str, Any], clients: tuple[str, ...] = ("e1", "w1")) -> Topology:
    return Topology.model_validate({
        "name": "far", "system": "fake",
        "regions": {name: {"zones": zones} for name, zones in REGIONS.items()},
        "links": list(links),
        "nodes": {"n1": {"zone": "e1"}, "n2": {"zone": "e2"}, "n3": {"zone": "w1"},
                  "n4": {"zone": "e1"}},
        "clients": dict.fromkeys(clients, 1),
    })  # fmt: skip


def layout(made: Topology) -> Layout:
    return Layout("198.18.7", list(made.nodes), list(made.clients))


def delays(made: Topology) -> dict[str, float]:
    """{way: one-way delay in ms}."""
    return {str(w): x.delay_ns / 1e6 for w, x in base_links.delayed(made, layout(made))}


def test_regions_zones_and_clients() -> None:
    made = topology(
        {"between": ["east", "west"], "delay": "30ms"},
        {"between": ["e1", "e2"], "delay": "0.5ms"},
    )
    assert delays(made) == {
        "n1→n2": 0.5, "n2→n1": 0.5, "n4→n2": 0.5, "n2→n4": 0.5,
        "n1→n3": 30, "n3→n1": 30, "n2→n3": 30, "n3→n2": 30, "n4→n3": 30, "n3→n4": 30,
        "clients@e1→n2": 0.5, "n2→clients@e1": 0.5,
        "clients@e1→n3": 30, "n3→clients@e1": 30,
        "clients@w1→n1": 30, "n1→clients@w1": 30,
        "clients@w1→n2": 30, "n2→clients@w1": 30,
        "clients@w1→n4": 30, "n4→clients@w1": 30,
    }  # fmt: skip


def test_a_zones_link_beats_that_of_the_regions_in_its_own_directions() -> None:
    made = topology(
        {"between": ["east", "west"], "delay": "30ms"},
        {"between": ["w1", "e2"], "from": "e2", "delay": "9ms"},
        clients=(),
    )
    found = delays(made)
    assert (found["n2→n3"], found["n3→n2"], found["n1→n3"]) == (9, 30, 30)


def test_one_direction_only() -> None:
    made = topology({"between": ["east", "west"], "from": "west", "delay": "7ms"}, clients=())
    assert delays(made) == {"n3→n1": 7, "n3→n2": 7, "n3→n4": 7}


def test_each_receiver_is_told_its_own_ways() -> None:
    made = topology({"between": ["e1", "e2"], "delay": "2ms", "jitter": "0.1ms"})
    place = layout(made)
    bases = base_links.bases(made, place)
    assert set(bases) == {"n1", "n2", "n4", CLIENTS}
    assert sorted(bases["n2"]) == sorted([
        (place.nodes["n1"], place.nodes["n2"], 2000.0, 100.0),
        (place.nodes["n4"], place.nodes["n2"], 2000.0, 100.0),
        (place.clients, place.alias("n2", "e1"), 2000.0, 100.0),
    ])  # fmt: skip
    assert bases[CLIENTS] == [(place.alias("n2", "e1"), place.clients, 2000.0, 100.0)]


def test_without_links_nobody_is_asked() -> None:
    made = topology()
    assert base_links.bases(made, layout(made)) == {}
    nobody: Any = None
    base_links.apply(made, layout(made), "n1", nobody, {"line": "", "line_why": "no"})


def test_a_host_that_cannot_says_so() -> None:
    made = topology({"between": ["e1", "e2"], "delay": "2ms"})
    nobody: Any = None
    with pytest.raises(ClusterError, match="cannot delay packets") as caught:
        base_links.apply(made, layout(made), "n1", nobody, {"line": "", "line_why": "no NFQUEUE"})
    assert caught.value.detail == "no NFQUEUE"


PAIRS = [(a, b) for places in (ZONES, list(REGIONS)) for a in places for b in places if a < b]


@given(st.dictionaries(st.sampled_from(PAIRS), st.integers(1, 99), max_size=8))
def test_symmetric_links_make_symmetric_ways(links: dict[tuple[str, str], int]) -> None:
    made = topology(*({"between": list(pair), "delay": f"{ms}ms"} for pair, ms in links.items()))
    region = {zone: name for name, zones in REGIONS.items() for zone in zones}
    for a in ZONES:
        for b in ZONES:
            there, back = (base_links.link_between(made, *x) for x in ((a, b), (b, a)))
            assert there is back
            by_zone = links.get((min(a, b), max(a, b)))
            regions = sorted((region[a], region[b]))
            by_region = links.get((regions[0], regions[1]))
            wanted = None if a == b else by_zone or by_region
            assert (there.delay_ns // 1_000_000 if there else None) == wanted
