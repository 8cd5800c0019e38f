"""Changes of a history that change no verdict."""

from __future__ import annotations

from random import Random

from tests.truth.properties import Property, Setting
from tests.truth.rows import FOREIGN, Row

SCALES = (1, 7, 1_000_000)
SHIFTS = (0, 5, -40, 10**15, -(2**61), 2**61)
PROCESSES = 2**31 - 1


def harmless(rng: Random, history: list[Row], where: Setting, about: Property) -> list[Row]:
    """The same history told otherwise: other names, later, slower, ties in another order, with
    operations that mean nothing to the property.
    """
    scale, shift = (1, 0)
    if where.final_ns is None and rng.random() < 0.5:
        scale, shift = rng.choice(SCALES), rng.choice(SHIFTS)
    processes = _renamed(rng, dict.fromkeys(row.process for row in history))
    keys = {key: key for key in dict.fromkeys(row.key for row in history)}
    if about.names and rng.random() < 0.3:
        shuffled = list(keys)
        rng.shuffle(shuffled)
        keys = dict(zip(keys, shuffled, strict=True))
    told = [
        row._replace(
            start=row.start * scale + shift,
            end=row.end * scale + shift,
            process=processes[row.process],
            key=keys[row.key],
            type="open" if row.type == "info" and rng.random() < 0.1 else row.type,
        )
        for row in history
    ]
    if about.foreign and rng.random() < 0.2:
        host = told[int(rng.random() * len(told))]
        kind = "info" if rng.random() < 0.5 else "fail"
        told.append(host._replace(f=FOREIGN, value=1, expected=None, type=kind, error="timeout"))
        told.sort(key=lambda row: row.end)
    if about.ties and rng.random() < 0.5:
        told.sort(key=lambda row: (row.end, rng.random()))
    return told


def _renamed(rng: Random, names: dict[int, None]) -> dict[int, int]:
    if rng.random() < 0.5:
        return {name: name for name in names}
    most = rng.choice((len(names) * 3, PROCESSES))
    return dict(zip(names, rng.sample(range(most), len(names)), strict=True))
