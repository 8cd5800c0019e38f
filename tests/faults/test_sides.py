"""Who is cut off from whom, for each form of a partition."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from chaos.errors import FaultError
from chaos.faults.sides import Around, Pair, halves, ring, split
from chaos.spec.entries.partition import PartitionEntry
from chaos.systems.base import Node


def around(zones: str, seed: int = 1) -> Around:
    """Nodes n1, n2, … in the zones of that text; clients in all of a, b and c."""
    nodes = [
        Node(name=f"n{k}", zone=zone, region="r", provider=None, role=None, address="")
        for k, zone in enumerate(zones, 1)
    ]
    return Around(nodes=nodes, client_zones=["a", "b", "c"], roles={"n1": "primary"},
                  rng=random.Random(seed))  # fmt: skip


def entry(**keys: Any) -> PartitionEntry:
    """A partition's entry."""
    return PartitionEntry.model_validate({"at": "1s", "for": "1s", "fault": "partition", **keys})


def both(*pairs: str) -> set[Pair]:
    """ "n1n2" → both directions."""
    return {way for p in pairs for way in ((p[:2], p[2:]), (p[2:], p[:2]))}


def test_isolate_takes_the_clients_of_the_zone_along() -> None:
    found = split(entry(isolate="primary", clients="by-zone"), around("abc"))
    assert found.told == ["n1", "clients@a", "|", "n2", "n3", "clients@b", "clients@c"]
    assert ("clients@a", "n2") in found.pairs
    assert ("n1", "clients@b") in found.pairs
    assert ("clients@a", "n1") not in found.pairs


def test_one_way_cuts_one_way() -> None:
    pairs = split(entry(isolate="n1", one_way=True, direction="in"), around("abc")).pairs
    assert set(pairs) == {("n2", "n1"), ("n3", "n1")}


@pytest.mark.parametrize("count", range(3, 12))
def test_in_a_ring_each_hears_a_majority_and_no_two_the_same(count: int) -> None:
    names = [f"n{k}" for k in range(count)]
    order, pairs = ring(names, random.Random(count))
    assert sorted(order) == sorted(names)
    heard = [frozenset(a for a in names if (a, b) not in pairs) for b in names]
    assert all(len(each) > count // 2 and name in each
               for each, name in zip(heard, names, strict=True))  # fmt: skip
    assert len(set(heard)) == count
    if count > 3:  # what is cut is cut both ways
        assert {(b, a) for a, b in pairs} == set(pairs)


def test_a_ring_of_two_is_none() -> None:
    with pytest.raises(FaultError, match="at least three nodes"):
        ring(["n1", "n2"], random.Random(1))


def test_halves_are_drawn_from_the_seed() -> None:
    names = [f"n{k}" for k in range(1, 6)]
    seen = {tuple(halves(names, random.Random(seed))[0]) for seed in range(50)}
    assert {len(half) for half in seen} == {2}
    assert len(seen) > 5
    assert halves(names, random.Random(3)) == halves(names, random.Random(3))
    one, other = halves(names, random.Random(3))
    assert sorted([*one, *other]) == names


def test_over_a_bridge_the_halves_see_only_the_bridge() -> None:
    found = split(entry(bridge="n3"), around("abcab"))
    told = list(found.told)
    left, (middle,), right = (
        list(side) for bar, side in itertools.groupby(told, lambda x: x == "|") if not bar
    )
    assert middle == "n3"
    assert set(found.pairs) == {(a, b) for a in left for b in right} | {
        (b, a) for a in left for b in right
    }
    assert sorted([*left, *right]) == ["n1", "n2", "n4", "n5"]


def test_a_bridge_of_several_nodes_is_none() -> None:
    with pytest.raises(FaultError, match="a bridge is one node"):
        split(entry(bridge="zone:a"), around("aab"))


def test_clients_share_the_lot_of_the_nodes_of_their_zone() -> None:
    # n1 and n4 live in zone a; nobody lives in c.
    found = split(entry(halves="random", clients="by-zone"), around("ab"))
    assert both("n1n2") < set(found.pairs)
    assert {p for p in found.pairs if "clients@" in "".join(p)} == {
        ("clients@a", "n2"), ("n2", "clients@a"), ("clients@b", "n1"), ("n1", "clients@b")
    }  # fmt: skip


def test_clients_of_a_zone_on_both_sides_see_all() -> None:
    pairs = split(entry(halves="random", clients="by-zone"), around("aa")).pairs
    assert set(pairs) == both("n1n2")


def test_everybody_isolated_leaves_nobody() -> None:
    with pytest.raises(FaultError, match="no one is on the other side"):
        split(entry(isolate="zone:a"), around("aaa"))


def test_a_node_on_both_sides() -> None:
    with pytest.raises(FaultError, match=r"'n1'.* on both sides"):
        split(entry(between=[["n1"], ["primary", "n2"]]), around("abc"))
