"""Small histories of lists from a database that keeps few promises."""

from __future__ import annotations

import random
from typing import Any

from tests.truth.rows import Row

Lists = dict[Any, list[int]]


def weak_history(rng: random.Random, size: int = 5) -> list[Row]:
    """Transactions that read some state from before, and rarely something that never was."""
    keys: list[Any] = [7, "x"][: rng.randint(1, 2)]
    states: list[Lists] = [{key: [] for key in keys}]
    fresh = iter(range(1, 1000))
    rows: list[Row] = []
    clock = 0
    style = rng.choice(["serial", "snapshot", "weak", "chaos"])
    for _ in range(rng.randint(1, size)):
        kind = rng.choices(["ok", "info", "fail"], [8, 2, 1])[0]
        back = {"serial": 0, "snapshot": rng.randint(0, 1), "weak": rng.randint(0, 3)}.get(style, 9)
        snapshot = states[max(0, len(states) - 1 - back)]
        steps: list[Any] = []
        mine: Lists = {key: [] for key in keys}
        for _ in range(rng.randint(1, 4)):
            key = rng.choice(keys)
            if rng.random() < 0.5:
                value = next(fresh)
                if rng.random() < 0.02:
                    value = rng.randint(1, 9)
                mine[key].append(value)
                steps.append(["append", key, value])
                continue
            if style in ("weak", "chaos") and rng.random() < 0.4:
                snapshot = rng.choice(states)
            shown = [*snapshot[key], *mine[key]]
            if style == "chaos" and rng.random() < 0.3:
                shown = _spoilt(rng, shown)
            steps.append(["r", key, (shown or None) if kind == "ok" else None])
        applied = kind == "ok" or (kind == "info" and rng.random() < 0.6)
        if applied or rng.random() < 0.05:
            after = {key: list(values) for key, values in states[-1].items()}
            for key in rng.sample(keys, len(keys)):
                after[key] += mine[key]
            states.append(after)
        start = clock - rng.choice([0, 0, 1, 3])
        clock += rng.choice([0, 0, 1, 2])
        end = max(start, clock)
        rows.append(Row("txn", steps, start, end, kind, process=rng.randint(0, 2)))
    if rng.random() < 0.2:
        rows = [row._replace(start=0, end=0) for row in rows]
    if rng.random() < 0.3:
        rng.shuffle(rows)
    return rows


def _spoilt(rng: random.Random, shown: list[int]) -> list[int]:
    shown = list(shown)
    change = rng.randint(0, 4)
    if change == 0 and shown:
        shown.pop(rng.randrange(len(shown)))
    elif change == 1 and shown:
        shown.append(rng.choice(shown))
    elif change == 2:
        shown.insert(rng.randint(0, len(shown)), rng.randint(1, 12))
    elif change == 3:
        rng.shuffle(shown)
    return shown
