"""Queues and stacks decided as their derivations are told: plain, quadratic, without trees.

`(put, take, looks)` of each element are (start, end) pairs, `looks` a list of them.
"""

from __future__ import annotations


def shown(element):
    put, take, looks = element
    return min(end for _, end in (put, take, *looks))


def needed(element):
    put, take, looks = element
    return max(start for start, _ in (put, take, *looks))


def queue(elements):
    """Whether no elements go round in a circle: each must precede some of the others."""

    def precedes(a, b):
        (put_a, *rest_a), (put_b, *rest_b) = flat(a), flat(b)
        return (
            put_a[1] < put_b[0]
            or min(end for _, end in rest_a) < max(start for start, _ in rest_b)
            or min(end for _, end in rest_a) < put_b[0]
        )

    left = list(range(len(elements)))
    while left:
        first = [
            b for b in left if not any(precedes(elements[a], elements[b]) for a in left if a != b)
        ]
        if not first:
            return False
        left = [b for b in left if b not in first]
    return True


def flat(element):
    put, take, looks = element
    return [put, take, *looks]


def stack(elements):
    """Whether every span has an element that can lie at the bottom, and so what is left of it."""
    there = [element for element in elements if shown(element) < needed(element)]
    return all(span_has_order(span) for span in spans(there))


def spans(elements):
    """Elements that were there at overlapping times belong together."""
    groups, reach = [], None
    for element in sorted(elements, key=shown):
        if reach is None or shown(element) >= reach:
            groups.append([])
            reach = needed(element)
        groups[-1].append(element)
        reach = max(reach, needed(element))
    return groups


def span_has_order(span):
    begin, end = min(map(shown, span)), max(map(needed, span))
    for place, element in enumerate(span):
        put, take, looks = element
        others = span[:place] + span[place + 1 :]
        if put[0] <= begin and take[1] >= end and all(is_free(look, others) for look in looks):
            return stack(others)
    return False


def is_free(look, others):
    """Whether nothing else was certainly there at some moment of a look."""
    start, end = look
    moments = [start, *(t for o in others for t in (shown(o), needed(o)) if start <= t <= end)]
    return any(not any(shown(o) < t < needed(o) for o in others) for t in moments)
