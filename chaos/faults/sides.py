"""Who is cut off from whom: every form of a partition as pairs of places.

A place is a node's name or `clients@ZONE`; a pair (a, b) says that b hears nothing from a. Choices
are drawn from the fault's seed, so that the same run cuts the same way.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from chaos.errors import FaultError
from chaos.runtime.ways import CLIENTS
from chaos.spec.target import Placed

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The pairs that are cut; `told`: the sides as recorded, with "|" between them."""

    pairs: Sequence[Pair]
    told: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a partition's sides are chosen from."""

    nodes: Sequence[Placed]
    client_zones: Sequence[str]
    roles: Mapping[str, str]
    rng: random.Random = field(default_factory=random.Random)


def split(entry: Any, around: Around) -> Split:
    """The sides that a partition's entry (chaos/spec/entries/partition.py) asks for, now.
    FaultError when there are none."""
    if entry.isolate is not None or entry.between is not None:
        sides = _between if entry.isolate is None else _isolate
        left, right = sides(entry, around)
        return Split(pairs=_both(left, right, entry.ways), told=[*left, "|", *right])
    names = [node.name for node in around.nodes]
    if entry.ring is not None:
        order, pairs = ring(names, around.rng)
        told = order
    elif entry.bridge is not None:
        middle = entry.bridge.resolve(around.nodes, around.roles, around.rng)
        if len(middle) != 1:
            raise FaultError(f"a bridge is one node, but `{entry.bridge}` is now {middle}")
        one, other = halves([name for name in names if name not in middle], around.rng)
        pairs, told = _both(one, other, entry.ways), [*one, "|", *middle, "|", *other]
    else:
        one, other = halves(names, around.rng)
        pairs, told = _both(one, other, entry.ways), [*one, "|", *other]
    if entry.clients == "by-zone":
        pairs = [*pairs, *_clients_of(pairs, around)]
    return Split(pairs=pairs, told=told)


def halves(names: Sequence[str], rng: random.Random) -> tuple[list[str], list[str]]:
    """Two random halves, the first the smaller one, in the order of `names`."""
    if len(names) < 2:
        raise FaultError(f"expected at least two nodes to draw halves from, got {list(names)}")
    chosen = set(rng.sample(list(names), len(names) // 2))
    return [n for n in names if n in chosen], [n for n in names if n not in chosen]


def ring(names: Sequence[str], rng: random.Random) -> tuple[list[str], list[Pair]]:
    """Nodes in a ring, where each hears only its neighbours: a majority with itself, and no two
    the same one. The order, and the pairs that are cut.

    With three nodes two neighbours would be all, so each hears only the one before it.
    (Jepsen's `majorities-ring`.)
    """
    count = len(names)
    if count < 3:
        raise FaultError(f"expected at least three nodes for a ring of majorities, got {count}")
    order = list(names)
    rng.shuffle(order)
    # The fewest neighbours on either side that make a majority; for three nodes that would be all.
    reach = (count // 2 + 1) // 2
    heard = [-1] if count == 3 else [k for k in range(-reach, reach + 1) if k]
    pairs: list[Pair] = []
    for at, listener in enumerate(order):
        near = {order[(at + k) % count] for k in heard} | {listener}
        pairs += [(other, listener) for other in order if other not in near]
    return order, sorted(pairs)


def _both(left: Sequence[str], right: Sequence[str], ways: Iterable[str]) -> list[Pair]:
    pairs: list[Pair] = []
    if "forward" in ways:
        pairs += product(left, right)
    if "backward" in ways:
        pairs += product(right, left)
    return pairs


def _isolate(entry: Any, around: Around) -> tuple[list[str], list[str]]:
    nodes = around.nodes
    left = entry.isolate.resolve(nodes, around.roles, around.rng)
    right = [node.name for node in nodes if node.name not in left]
    if entry.clients == "by-zone":
        inside = {node.zone for node in nodes if node.name in left}
        for zone in around.client_zones:
            (left if zone in inside else right).append(CLIENTS + zone)
    if not right:
        raise FaultError(
            f"`{entry.isolate}` is now every node: {left}; no one is on the other side"
        )
    return left, right


def _between(entry: Any, around: Around) -> tuple[list[str], list[str]]:
    left, right = (
        list(dict.fromkeys(name for member in side for name in _member(member, around)))
        for side in entry.between
    )
    if both := sorted(set(left) & set(right)):
        raise FaultError(f"{both} would be on both sides of the cut, {left} | {right}")
    return left, right


def _member(member: Any, around: Around) -> list[str]:
    if member.clients_zone:
        return [CLIENTS + member.clients_zone]
    names: list[str] = member.target.resolve(around.nodes, around.roles, around.rng)
    return names


def _clients_of(pairs: Sequence[Pair], around: Around) -> list[Pair]:
    """Clients hear, and are heard by, those nodes that some node of their zone does."""
    cut = set(pairs)
    found: list[Pair] = []
    for zone in around.client_zones:
        clients, own = CLIENTS + zone, [n.name for n in around.nodes if n.zone == zone]
        for node in (n.name for n in around.nodes if own and n.name not in own):
            if all((o, node) in cut for o in own):
                found.append((clients, node))
            if all((node, o) in cut for o in own):
                found.append((node, clients))
    return found
