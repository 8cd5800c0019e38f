"""The loops of `lifo.py` over plain arrays. Trees are heaps of minima: node p has the children 2p
and 2p + 1, the root is node 1.
"""

from __future__ import annotations

from analysis.checkers.compiled import Scratch
from analysis.history import Ints

FULL = 2**40  # a count that never comes down to 0; the key of a leaf that holds nothing


def awaken(
    watch: Scratch,
    names: Ints,
    since: Ints,
    pending: Ints,
    begin: int,
    end: int,
    need: Scratch,
    ready: Scratch,
) -> int:
    """How many elements the moments `pending[begin:end]` make ready; they are put into `ready`.

    An element whose put (its take, in the second tree) such a moment falls into needs one thing
    less, and leaves that tree. A tree is gone through from leaf `since` on.
    """
    leaves, points, elements = len(watch) // 4, len(since) // 2, len(names) // 2
    found = 0
    for place in range(begin, end):
        point = pending[place]
        for side in range(2):
            base = side * 2 * leaves
            bound = point if side == 0 else points - 1 - point
            node = leaves + since[side * points + point]
            while node > 0:
                if watch[base + node] > bound:  # on to the next subtree on the right
                    while node & 1:
                        node >>= 1
                    node += 1 if node > 0 else 0
                    continue
                while node < leaves:
                    node = 2 * node + (1 if watch[base + 2 * node] > bound else 0)
                name = names[side * elements + node - leaves]
                need[name] -= 1
                if need[name] == 0:
                    ready[found] = name
                    found += 1
                watch[base + node] = FULL
                up = node >> 1
                while up > 0:
                    watch[base + up] = min(watch[base + 2 * up], watch[base + 2 * up + 1])
                    up >>= 1
    return found


def uncover(
    count: Scratch,
    more: Scratch,
    low: Ints,
    high: Ints,
    ready: Ints,
    chosen: int,
    removed: Scratch,
    marked: Scratch,
    pending: Scratch,
    clock: Scratch,
) -> int:
    """Take away the elements `ready[:chosen]`; how many moments are marked now.

    Moments that nothing covers any more are marked at once, and added to `pending`. `clock`: the
    time, which every removal and every mark takes further, and how many are marked.
    """
    half = len(count) // 2
    for place in range(chosen):
        name = ready[place]
        clock[0] += 1
        removed[name] = clock[0]
        left, right = half + low[name] + 1, half + high[name]
        if left >= right:
            continue
        first, last = left, right - 1
        while left < right:
            if left & 1:
                count[left] -= 1
                more[left] -= 1
                left += 1
            if right & 1:
                right -= 1
                count[right] -= 1
                more[right] -= 1
            left >>= 1
            right >>= 1
        for node in (first >> 1, last >> 1):
            while node > 0:
                count[node] = min(count[2 * node], count[2 * node + 1]) + more[node]
                node >>= 1
        while count[1] == 0:
            node = 1
            while node < half:
                node = 2 * node + (1 if count[2 * node + 1] < count[2 * node] else 0)
            count[node] = FULL
            clock[0] += 1
            marked[node - half] = clock[0]
            pending[clock[1]] = node - half
            clock[1] += 1
            node >>= 1
            while node > 0:
                count[node] = min(count[2 * node], count[2 * node + 1]) + more[node]
                node >>= 1
    return int(clock[1])


def grant(
    count: Ints,
    more: Ints,
    low: Ints,
    high: Ints,
    first: Ints,
    looks: Ints,
    marked: Ints,
    seen: Scratch,
    need: Scratch,
    ready: Scratch,
) -> int:
    """How many elements were waiting for their looks only, and need not any longer: each look
    includes a moment between spans, or one that nothing but its element covers. Those are written
    to `seen`. Element i has the looks first[i] … first[i + 1], from looks[2j] to looks[2j + 1].
    """
    half, found = len(count) // 2, 0
    for name in range(len(low)):
        if need[name] != 1 or first[name] == first[name + 1]:
            continue
        fine = True
        for look in range(first[name], first[name + 1]):
            fine = False
            for point in range(looks[2 * look], looks[2 * look + 1] + 1):
                fine = marked[point] > 0
                if not fine and low[name] < point < high[name]:
                    covering, node = count[half + point], (half + point) >> 1
                    while node > 0:
                        covering += more[node]
                        node >>= 1
                    fine = covering == 1
                if fine:
                    seen[look] = point
                    break
            if not fine:
                break
        if fine:
            need[name] = 0
            ready[found] = name
            found += 1
    return found


def nearest(
    order: Ints,
    pending: Ints,
    marked: Ints,
    removed: Ints,
    low: Ints,
    high: Ints,
    down: Scratch,
    up: Scratch,
    begin: Scratch,
    end: Scratch,
) -> int:
    """Write the stays of elements: from the last moment up to `low`, to the first from `high` on,
    of those that were marked before it was removed. `order`: elements by their removal.

    From the last removal back, so that moments only vanish; `down` and `up` lead past them.
    """
    for point in range(len(marked)):
        down[point] = point if marked[point] > 0 else point - 1
        up[point] = point if marked[point] > 0 else point + 1
    last = len(pending) - 1
    for place in range(len(order) - 1, -1, -1):
        name = order[place]
        while marked[pending[last]] > removed[name]:
            down[pending[last]] = pending[last] - 1
            up[pending[last]] = pending[last] + 1
            last -= 1
        point = low[name]
        while down[point] != point:
            down[point] = down[down[point]]
            point = down[point]
        begin[name] = point
        point = high[name]
        while up[point] != point:
            up[point] = up[up[point]]
            point = up[point]
        end[name] = point
    return last
