"""Problems at random: reads of anything, or of replicas that hear of writes one after another."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np

from analysis.transactions.problem import INITIAL, NEVER, Problem


def problem(reads, writes, sessions, times, keys, known=()):
    """From lists of (reader, key, source) and (writer, key); `times` of (start, end)."""
    read = np.array(sorted(reads, key=lambda row: row[0]), np.int64).reshape(-1, 3)
    write = np.array(writes, np.int64).reshape(-1, 2)
    write = write[np.lexsort((write[:, 1], write[:, 0]))]
    when = np.array(times, np.int64)
    return Problem(
        rows=np.arange(len(sessions), dtype=np.int64) * 2 + 10,
        session=np.array(sessions, np.int64),
        start=when[:, 0],
        end=when[:, 1],
        reader=np.ascontiguousarray(read[:, 0]),
        read_key=np.ascontiguousarray(read[:, 1]),
        source=np.ascontiguousarray(read[:, 2]),
        writer=np.ascontiguousarray(write[:, 0]),
        write_key=np.ascontiguousarray(write[:, 1]),
        keys=keys,
        known=np.array(known, np.int64).reshape(-1, 3),
    )


def anything(rng: Random) -> Problem:
    """Each read shows any write."""
    n, keys = rng.randint(2, 6), rng.randint(1, 3)
    writes = [
        (t, k) for t in range(n) for k in rng.sample(range(keys), rng.randint(0, min(2, keys)))
    ]
    reads = []
    for t in range(n):
        for k in rng.sample(range(keys), rng.randint(0, min(2, keys))):
            sources = [INITIAL, *(w for w, key in writes if key == k and w != t)]
            reads.append((t, k, rng.choice(sources)))
    known = []
    if rng.random() < 0.3:
        pairs = [(a, b, k) for a, k in writes for b, key in writes if key == k and a < b]
        known = rng.sample(pairs, min(len(pairs), rng.randint(0, 2)))
    sessions = [rng.randrange(rng.randint(1, 4)) for _ in range(n)]
    return problem(reads, writes, sessions, _times(rng, n), keys, known)


def replicated(rng: Random) -> Problem:
    """Clients of replicas, each of which hears of the others' writes late."""
    n, keys, clients = rng.randint(2, 7), rng.randint(1, 4), rng.randint(1, 4)
    replicas = rng.randint(1, 3)
    view = [dict.fromkeys(range(keys), INITIAL) for _ in range(replicas)]
    news: list[list[tuple[int, int]]] = [[] for _ in range(replicas)]
    reads, writes, sessions, times = [], [], [], _times(rng, n)
    for t in range(n):
        client = rng.randrange(clients)
        home = client % replicas
        for replica in range(replicas):
            while news[replica] and rng.random() < 0.4:
                key, writer = news[replica].pop(0)
                view[replica][key] = writer
        for key in rng.sample(range(keys), rng.randint(0, min(3, keys))):
            reads.append((t, key, view[home][key]))
        for key in rng.sample(range(keys), rng.randint(0, min(2, keys))):
            if Counter(k for _, k in writes)[key] < 5:
                writes.append((t, key))
                view[home][key] = t
                for replica in set(range(replicas)) - {home}:
                    news[replica].append((key, t))
        sessions.append(client)
    return problem(reads, writes, sessions, times, keys)


def _times(rng: Random, n: int) -> list[tuple[int, int]]:
    if rng.random() < 0.4:
        return [(0, 0)] * n
    starts = sorted(rng.randint(0, 2 * n) for _ in range(n))
    ends = [NEVER if rng.random() < 0.08 else s + rng.randint(0, 4) for s in starts]
    return list(zip(starts, ends, strict=True))


def serial(
    seed: int, n: int, keys: int, clients: int, operations: int, *, stale: int = 0
) -> Problem:
    """A serial history without times; so many reads are of the version before the current one."""
    rng = np.random.default_rng(seed)
    key = rng.integers(0, keys, (n, operations)).tolist()
    write = (rng.random((n, operations)) < 0.5).tolist()
    late = set(rng.integers(n // 2, n, stale).tolist())
    current = dict.fromkeys(range(keys), INITIAL)
    before: dict[int, int] = {}
    reads, writes = [], []
    for t in range(n):
        mine: set[int] = set()
        for k, writing in zip(key[t], write[t], strict=True):
            if not writing and k not in mine:
                shown = before.get(k, INITIAL) if t in late and k in before else current[k]
                reads.append((t, k, shown))
            mine.add(k)
        for k in {k for k, writing in zip(key[t], write[t], strict=True) if writing}:
            writes.append((t, k))
            before[k], current[k] = current[k], t
    sessions = rng.integers(0, clients, n).tolist()
    return problem(reads, writes, sessions, [(0, 0)] * n, keys)


def in_turn(count: int, keys: int, *, drift: bool, seed: int = 1) -> Problem:
    """Serial transactions of four operations, without times, by session; each operation is a blind
    write or a read. `drift`: the next session is drawn, some more often than others; else in turn.
    """
    rng = Random(f"in turn {seed}")
    often = [1 + rng.random() for _ in range(20)]
    done = []
    for number in range(count):
        session = rng.choices(range(20), often)[0] if drift else number % 20
        done.append((session, [(rng.randrange(keys), rng.random() < 0.5) for _ in range(4)]))
    rows = sorted(range(count), key=lambda t: (done[t][0], t))
    named = {t: row for row, t in enumerate(rows)}
    last: dict[int, int] = {}
    reads, writes = set(), set()
    for t, (_, operations) in enumerate(done):
        own = {k for k, write in operations if write}
        reads |= {(named[t], k, last.get(k, INITIAL)) for k, _ in operations if k not in own}
        writes |= {(named[t], k) for k in own}
        last.update(dict.fromkeys(own, named[t]))
    sessions = [done[t][0] for t in rows]
    return problem(sorted(reads), sorted(writes), sessions, [(0, 0)] * count, keys)
