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
    bounds: Ints,
    check: Mask,
    insert: Mask,
    key: Ints,
    look: Ints,
    wrote: Ints,
    over: Ints,
    read: Ints,
    expects: Ints,
    since: Ints,
    writer: Ints,
    home: Ints,
    limit: int,
    keys: int,
    need: Scratch,
    need_of: Scratch,
    mark: Scratch,
    upto: Scratch,
    upto_of: Scratch,
    seen: Scratch,
    broken: Scratch,
) -> tuple[int, int]:
    """(events taken in from other sessions, observations that had something to be compared with);
    `broken` gets the guarantees that each event breaks. Ends where more than `limit` were taken in.

    Events, by session from one of the `bounds` to the next: whether what was seen is to be
    `check`ed; whether the operation counts from then on (`insert`); `look`, the version seen (-1:
    none that is judged, -2: nothing at all). Of those that count: when the write began if it
    `wrote`, what that replaced as a swap (`over`); the same of the version that it `read`
    (`expects`). Else -1. Versions: `since` when known, the event `writer` and its session, `home`.
    The arrays after `keys` are scratch, filled with -1.
    """
    versions = len(since)
    taken = compared = 0
    for session in range(len(bounds) - 1):
        for event in range(bounds[session], bounds[session + 1]):
            k = key[event]
            v = look[event]
            if check[event] and v > -2 and seen[k] == session:
                compared += 1
            if check[event] and v >= 0:
                bad = 0
                for kind in range(KINDS):
                    cell = kind * keys + k
                    late = need_of[cell] == session and need[cell] > since[v]
                    if late or mark[kind * versions + v] == session:
                        bad |= 1 << kind
                broken[event] = bad
            if not insert[event]:
                continue
            seen[k] = session
            if wrote[event] >= 0:
                if need_of[k] != session or need[k] < wrote[event]:
                    need[k] = wrote[event]
                need_of[k] = session
                if over[event] >= 0:
                    mark[over[event]] = session
            if v < 0:
                continue
            if read[event] >= 0:
                cell = keys + k
                if need_of[cell] != session or need[cell] < read[event]:
                    need[cell] = read[event]
                need_of[cell] = session
                if expects[event] >= 0:
                    mark[versions + expects[event]] = session
            other = home[v]
            if other < 0 or other == session:
                continue
            first = upto[other] if upto_of[other] == session else bounds[other]
            last = writer[v]
            for earlier in range(first, last):
                cell = 2 * keys + key[earlier]
                if wrote[earlier] >= 0:
                    if need_of[cell] != session or need[cell] < wrote[earlier]:
                        need[cell] = wrote[earlier]
                    need_of[cell] = session
                    if over[earlier] >= 0:
                        mark[2 * versions + over[earlier]] = session
                if read[earlier] >= 0:
                    cell += keys
                    if need_of[cell] != session or need[cell] < read[earlier]:
                        need[cell] = read[earlier]
                    need_of[cell] = session
                    if expects[earlier] >= 0:
                        mark[3 * versions + expects[earlier]] = session
            if last > first:
                taken += last - first
                upto[other] = last
                upto_of[other] = session
            if taken > limit:
                return taken, compared
    return taken, compared
