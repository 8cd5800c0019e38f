"""Addresses of places, and the ways between them."""

from __future__ import annotations

import itertools

import pytest

from chaos.errors import FaultError
from chaos.runtime.ways import CLIENTS, Layout, Way

LAYOUT = Layout("198.18.5", ["n1", "n2"], ["a", "b"])


def test_every_node_has_an_address_and_one_more_for_each_zone_with_clients() -> None:
    own = [*LAYOUT.nodes.values(), *LAYOUT.aliases("n1"), *LAYOUT.aliases("n2")]
    assert len(own) == len({*own, LAYOUT.clients}) - 1 == 6
    assert LAYOUT.alias("n2", "b") in LAYOUT.aliases("n2")


def test_a_way_between_nodes_uses_their_own_addresses() -> None:
    assert LAYOUT.ways(["n1"], ["n2"]) == [
        Way("n1", "n2", LAYOUT.nodes["n1"], LAYOUT.nodes["n2"], receiver="n2", sender="n1")
    ]


def test_clients_are_told_by_the_alias_at_the_node() -> None:
    (there,), (back,) = LAYOUT.ways(["clients@b"], ["n1"]), LAYOUT.ways(["n1"], ["clients@b"])
    assert (there.from_address, there.to_address) == (LAYOUT.clients, LAYOUT.alias("n1", "b"))
    assert (back.from_address, back.to_address) == (there.to_address, there.from_address)
    assert (there.sender, there.receiver) == (back.receiver, back.sender) == (CLIENTS, "n1")


def test_no_two_ways_share_their_pair_of_addresses() -> None:
    every = LAYOUT.ways(LAYOUT.places(), LAYOUT.places())
    # Two nodes both ways, and each node to and from two zones; none between zones, none to itself.
    assert len(every) == 2 + 2 * 2 * 2
    assert len({(way.from_address, way.to_address) for way in every}) == len(every)
    assert all(a != b for a, b in itertools.combinations(every, 2))


def test_a_place_that_is_not_there() -> None:
    with pytest.raises(FaultError, match="expected a place: n1, n2, clients@a, clients@b; got n9"):
        LAYOUT.ways(["n9"], ["n1"])
