"""Session guarantees, session by session: a plain loop that `compiled.py` turns into machine code.

What a session needs to see of a key is kept as one number for each guarantee, the latest start of
a write that must be included, and as marks at versions that a swap replaced. `sessions.py` says
why that is all. What other sessions did before a write that this one saw is taken in once only:
`upto` is how far. So a session costs at most as much as there are events.
"""

from __future__ import annotations

from analysis.checkers.compiled import Scratch
from analysis.history import Ints, Mask

OWN_WRITE, OWN_READ, THEIR_WRITE, THEIR_READ = 1, 2, 4, 8
KINDS = 4


def walk(
    bounds: Ints, check: Mask, insert: Mask, key: Ints, look: Ints, began: Ints, over: Ints,
    since: Ints, writer: Ints, home: Ints, limit: int, keys: int, need: Scratch, need_of: Scratch,
    mark: Scratch, upto: Scratch, upto_of: Scratch, seen: Scratch, broken: Scratch,
) -> tuple[int, int]:  # fmt: skip
    """(events taken in from other sessions, observations that had something to be compared with);
    `broken` gets the guarantees that each event breaks. Ends where more than `limit` were taken in.

    Events, by session from one of the `bounds` to the next: whether what was seen is to be
    `check`ed; whether the operation counts from then on (`insert`); `look`, the version seen (-1:
    none that is judged, -2: nothing at all). Of all events, and then of all once more: when the
    write `began` that it did, or whose value it saw; and what that replaced as a swap, `over`; else
    -1. Versions: `since` when known, the event `writer` and its session, `home`. The arrays after
    `keys` are scratch, filled with -1.
    """
    versions, events = len(since), len(key)
    taken = compared = 0
    for session in range(len(bounds) - 1):
        for event in range(bounds[session], bounds[session + 1]):
            k, v = key[event], look[event]
            if check[event] and v > -2 and seen[k] == session:
                compared += 1
            if check[event] and v >= 0:
                for kind in range(KINDS):
                    cell = kind * keys + k
                    late = need_of[cell] == session and need[cell] > since[v]
                    if late or mark[kind * versions + v] == session:
                        broken[event] = max(broken[event], 0) | 1 << kind
            if not insert[event]:
                continue
            seen[k] = session
            for part in range(2):  # this event; then those of another session before what it saw
                first, last = event, event + 1
                if part == 1:
                    if v < 0 or home[v] < 0 or home[v] == session:
                        break
                    first, last = bounds[home[v]], writer[v]
                    if upto_of[home[v]] == session:
                        first = upto[home[v]]
                    if first >= last:
                        break
                    upto[home[v]], upto_of[home[v]] = last, session
                    taken += last - first
                for side in range(2):
                    for earlier in range(first, last):
                        moment = began[side * events + earlier]
                        if moment < 0:
                            continue
                        cell = (2 * part + side) * keys + key[earlier]
                        if need_of[cell] != session or need[cell] < moment:
                            need[cell], need_of[cell] = moment, session
                        w = over[side * events + earlier]
                        if w >= 0:
                            mark[(2 * part + side) * versions + w] = session
            if taken > limit:
                return taken, compared
    return taken, compared
