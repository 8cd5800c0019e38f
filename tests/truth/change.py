"""Changes of a history that change no verdict."""

from __future__ import annotations

from random import Random

from tests.truth.properties import Property, Setting
from tests.truth.rows import Row


def harmless(rng: Random, history: list[Row], where: Setting, about: Property) -> list[Row]:
    """The same history told otherwise: other names, later, slower, ties in another order."""
    scale, shift = (1, 0)
    if where.final_ns is None and rng.random() < 0.5:
        scale, shift = rng.choice((1, 7, 1_000_000)), rng.choice((0, 5, 10**15))
    names = dict.fromkeys(row.process for row in history)
    if rng.random() < 0.5:
        fresh = rng.sample(range(len(names) * 3), len(names))
        names = dict(zip(names, fresh, strict=True))
    else:
        names = {name: name for name in names}
    keys = {key: key for key in dict.fromkeys(row.key for row in history)}
    if rng.random() < 0.3:
        shuffled = list(keys)
        rng.shuffle(shuffled)
        keys = dict(zip(keys, shuffled, strict=True))
    told = [
        row._replace(
            start=row.start * scale + shift,
            end=row.end * scale + shift,
            process=names[row.process],
            key=keys[row.key],
        )
        for row in history
    ]
    if about.ties and rng.random() < 0.5:
        told.sort(key=lambda row: (row.end, rng.random()))
    return told
