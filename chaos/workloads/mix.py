"""What every workload's generators share: drawing operations and keys, and unique values."""

from __future__ import annotations

import itertools
import random
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence

from chaos.errors import SpecError
from chaos.workloads.base import LoadShape

ZIPF_EXPONENT = 0.99  # YCSB's "zipfian constant"


class Draw:
    """Draws one of `items` by weight, from `rng`; a fixed seed gives a fixed sequence."""

    def __init__(self, items: Sequence[str], weights: Sequence[float], rng: random.Random) -> None:
        self._items = items
        total = sum(weights)
        self._bounds = [bound / total for bound in itertools.accumulate(weights)][:-1]
        self._random = rng.random

    def __call__(self) -> str:
        """The next one."""
        return self._items[bisect(self._bounds, self._random())]


def operations(
    shape: LoadShape, known: Mapping[str, str], default: Mapping[str, float], rng: random.Random
) -> Draw:
    """Draws operations of `shape.mix` (empty: `default`), which must all be in `known`."""
    mix = {f: weight for f, weight in (shape.mix or default).items() if weight}
    for f, weight in mix.items():
        if f not in known:
            raise SpecError(f"mix: no operation {f!r}; there are {', '.join(known)}")
        if weight < 0:
            raise SpecError(f"mix: expected a weight of 0 or more for {f}, got {weight}")
    if not mix:
        raise SpecError(f"mix: expected a weight above 0 for one of {', '.join(known)}")
    return Draw(list(mix), list(mix.values()), rng)


def keys(shape: LoadShape, rng: random.Random) -> Draw:
    """Draws keys k0, k1, …: all alike, or by Zipf's law with k0 the most popular."""
    if shape.keys < 1:
        raise SpecError(f"keys: expected 1 or more, got {shape.keys}")
    exponents = {"uniform": 0.0, "zipf": ZIPF_EXPONENT}
    if shape.distribution not in exponents:
        raise SpecError(f"distribution: expected uniform or zipf, got {shape.distribution!r}")
    exponent = exponents[shape.distribution]
    weights = [1 / rank**exponent for rank in range(1, shape.keys + 1)]
    return Draw([f"k{i}" for i in range(shape.keys)], weights, rng)


def unique_values(client: int, clients: int) -> Iterator[int]:
    """Values nobody else writes: 1 + client, 1 + client + clients, …"""
    return itertools.count(1 + client, clients)
