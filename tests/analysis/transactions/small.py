"""Small histories of transactions at random, of engines good and bad, and what is true of them."""

from __future__ import annotations

import json
from random import Random

import pyarrow as pa

from tests.truth.rows import Row, table

KEYS = 2


def history(rng: Random, *, lists: bool, size: int) -> list[Row]:
    """Transactions that run at once on one state; some see old states, or theirs too late."""
    clock, rows, states, fresh = 0, [], [{}], 0
    running: list[list] = []  # of each process: what it is to do, what it has seen
    lag = rng.choice((0, 0, 1, 2))
    together = rng.randint(1, 3)
    timeless, wild = rng.random() < 0.2, rng.random() < 0.4
    while len(rows) + len(running) < size or running:
        clock += rng.randint(0, 1)
        idle = [p for p in range(together) if p not in [run[0] for run in running]]
        if idle and len(rows) + len(running) < size and rng.random() < 0.6:
            process = rng.choice(idle)
            seen = dict(states[max(0, len(states) - 1 - rng.randint(0, lag))])
            running.append([process, clock, [], seen, rng.randint(1, 3), []])
            continue
        if not running:
            continue
        run = rng.choice(running)
        process, start, done, seen, left, wrote = run
        if left:
            run[4] -= 1
            if rng.random() < 0.15:
                seen.update(states[-1])
            key = rng.randrange(KEYS)
            if rng.random() < 0.5:
                fresh += 1
                value = fresh if rng.random() < 0.97 else rng.randint(1, fresh)
                seen[key] = [*seen.get(key, []), value] if lists else value
                done.append(["append" if lists else "w", key, value])
                wrote.append((key, value))
                if rng.random() < 0.1:
                    states.append({**states[-1], key: seen[key]})
            else:
                shown = seen.get(key)
                done.append(["r", key, _any(rng, states, key, shown, lists) if wild else shown])
            continue
        running.remove(run)
        kind = rng.choices(("ok", "fail", "info"), (8, 1, 1))[0]
        if kind == "ok" or rng.random() < 0.5:
            state = dict(states[-1])
            for key, value in wrote:
                state[key] = [*state.get(key, []), value] if lists else value
            states.append(state)
        if kind != "ok":
            done = [[f, k, None if f == "r" else v] for f, k, v in done]
        at = (0, 0) if timeless else (start, clock)
        rows.append(Row("txn", _spoilt(rng, done, fresh, lists), *at, type=kind, process=process))
    return rows


def _any(rng: Random, states: list, key: int, shown: object, lists: bool) -> object:
    """A read of any state that the key was in."""
    if key in (whole := rng.choice(states)):
        return whole[key][: rng.randint(0, len(whole[key]))] if lists else whole[key]
    return shown


def _spoilt(rng: Random, done: list, fresh: int, lists: bool) -> list:
    """The same with a read that is otherwise, now and then."""
    reads = [at for at, micro in enumerate(done) if micro[0] == "r" and micro[2] is not None]
    if reads and rng.random() < 0.15:
        at = rng.choice(reads)
        f, key, value = done[at]
        if lists:
            value = list(value)
            value[rng.randrange(len(value) + 1) :] = [rng.randint(1, fresh + 1)] * rng.randint(0, 1)
        else:
            value = rng.choice((None, rng.randint(1, fresh + 1)))
        done = [*done[:at], [f, key, value], *done[at + 1 :]]
    return done


def compact(rows: list[Row]) -> pa.Table:
    """The table with payloads as they are written by our clients, without spaces."""
    whole = table(rows)
    texts = [json.dumps(row.value, separators=(",", ":")) for row in rows]
    place = whole.schema.get_field_index("payload")
    return whole.set_column(place, "payload", pa.array(texts, pa.string()))
