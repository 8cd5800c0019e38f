"""Payloads of transactions whose keys and values are integers, read at the speed of memory.

One loop over bytes, which `compiled` turns into machine code. A table says which state follows
which at each class of bytes; what it does not foresee (texts, fractions, negative numbers, nested
values) makes a row one that is read the plain way.
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.compiled import Bytes
from analysis.history import Ints, Mask

WRITES, APPENDS, SHOWS_LIST, SHOWS_VALUE, PLAIN = 1, 2, 4, 8, 16  # what there is in a row
_BYTES = '[],0" rwapendul'  # a class each, in this order; digits are one, others come last
CLASSES, NUMBER, SPACE = 16, 3, 5
BEGIN, END, OUTER, MICRO, QUOTED, READ_NAMED, WRITE_NAMED, APPEND_NAMED, NAMED = range(9)
KEY, KEY_READ, BEFORE_VALUE, VALUE_READ, NULL_READ, LIST, ELEMENT, ELEMENT_READ = range(9, 17)
LIST_READ, MICRO_READ, NEXT, _WORDS = range(17, 21)
_STRUCTURE = {
    BEGIN: {"[": OUTER},
    OUTER: {"[": MICRO, "]": END},
    MICRO: {'"': QUOTED},
    READ_NAMED: {'"': NAMED},
    WRITE_NAMED: {'"': NAMED},
    APPEND_NAMED: {'"': NAMED},
    NAMED: {",": KEY},
    KEY: {"0": KEY_READ},
    KEY_READ: {",": BEFORE_VALUE},
    BEFORE_VALUE: {"0": VALUE_READ, "[": LIST},
    VALUE_READ: {"]": MICRO_READ},
    NULL_READ: {"]": MICRO_READ},
    LIST_READ: {"]": MICRO_READ},
    LIST: {"0": ELEMENT_READ, "]": LIST_READ},
    ELEMENT: {"0": ELEMENT_READ},
    ELEMENT_READ: {",": ELEMENT, "]": LIST_READ},
    MICRO_READ: {",": NEXT, "]": END},
    NEXT: {"[": MICRO},
    END: {},
}
_SPELT = (  # from a state, letter by letter, to another
    (QUOTED, "r", READ_NAMED),
    (QUOTED, "w", WRITE_NAMED),
    (QUOTED, "append", APPEND_NAMED),
    (BEFORE_VALUE, "null", NULL_READ),
)


def transitions() -> Ints:
    """The state after each state and class of bytes, -1: none."""
    table = np.full((40, CLASSES), -1, np.int64)
    fresh = _WORDS
    for state, after in _STRUCTURE.items():
        if state not in (READ_NAMED, WRITE_NAMED, APPEND_NAMED):
            table[state, SPACE] = state
        for byte, then in after.items():
            table[state, _BYTES.index(byte)] = then
    for state, word, then in _SPELT:
        for letter in word[:-1]:
            table[state, _BYTES.index(letter)] = fresh
            state, fresh = fresh, fresh + 1
        table[state, _BYTES.index(word[-1])] = then
    return table.reshape(-1)


def classes() -> Ints:
    """The class of each byte."""
    table = np.full(256, CLASSES - 1, np.int64)
    for number, byte in enumerate(_BYTES):
        table[ord(byte)] = number
    table[ord("0") : ord("9") + 1] = NUMBER
    table[[9, 10, 13]] = SPACE
    return table


def mentions(numbers: Ints, low: int, width: int) -> tuple[Ints, Ints]:
    """(numbers in the order of first mention, the place of each among them); all are at least `low`
    and less than `low + width`.
    """
    known = np.full(width, -1, np.int64)
    found, place = np.empty(width, np.int64), np.empty(len(numbers), np.int64)
    count = 0
    for n in range(len(numbers)):
        cell = numbers[n] - low
        if known[cell] < 0:
            known[cell] = count
            found[count] = numbers[n]
            count += 1
        place[n] = known[cell]
    return found[:count].copy(), place


def parse(
    data: Bytes, offset: Ints, rows: Ints, ok: Mask, table: Ints, kinds: Ints, micros: int,
    elements: int,
) -> tuple[Ints, Bytes, Ints, Ints, Ints, Ints, Bytes]:  # fmt: skip
    """(first, kind, key, value, list_first, element, what there is in each row). There are at most
    `micros` micro-operations and `elements`; `table` and `kinds` are `transitions` and `classes`.
    """
    kind, key = np.empty(micros, np.int8), np.empty(micros, np.int64)
    value, list_first = np.empty(micros, np.int64), np.zeros(micros + 1, np.int64)
    element, form = np.empty(elements, np.int64), np.zeros(len(rows), np.int8)
    first = np.zeros(len(rows) + 1, np.int64)
    m = e = 0
    for n in range(len(rows)):
        p, end, known = offset[rows[n]], offset[rows[n] + 1], ok[n]
        state, found, start = BEGIN, 0, e
        while p < end and state >= 0:
            what, number = kinds[data[p] & 255], data[p] - 48
            state = table[state * CLASSES + what]
            p += 1
            if what == NUMBER:
                low = p
                while p < end and 48 <= data[p] <= 57:
                    number = number * 10 + data[p] - 48
                    p += 1
                if p - low > 17 or (p > low and data[low - 1] == 48):
                    state = -1
            if state == ELEMENT_READ and what == NUMBER:
                element[e] = number
                e += known
                while p + 20 < end and data[p] == 44 and 48 < data[p + 1] <= 57:
                    number, low, p = data[p + 1] - 48, p, p + 2
                    while p - low < 20 and 48 <= data[p] <= 57:
                        number = number * 10 + data[p] - 48
                        p += 1
                    element[e], state = number, ELEMENT_READ if p - low < 20 else -1
                    e += known
            elif what == SPACE:
                continue
            elif READ_NAMED <= state <= APPEND_NAMED:
                kind[m] = state - READ_NAMED
            elif state == KEY_READ:
                key[m] = number
            elif VALUE_READ <= state <= LIST:
                value[m] = number if state == VALUE_READ else -1
                if kind[m] > 0 and (state == LIST or (state == NULL_READ and kind[m] == 2)):
                    state = -1
                elif kind[m] == 0 and not known:
                    value[m] = -2
                elif kind[m] == 0 and state != NULL_READ:
                    found |= SHOWS_LIST if state == LIST else SHOWS_VALUE
            elif state == MICRO_READ:
                found |= kind[m]
                m += 1
                list_first[m] = e
        if state != END:
            m, e, found = first[n], start, PLAIN
        form[n], first[n + 1] = found, m
    return first, kind[:m], key[:m], value[:m], list_first[: m + 1], element[:e], form
