"""Payloads as columns: the plain way, and the kernel, which must agree with it."""

from __future__ import annotations

import json
import random

import numpy as np
import pyarrow as pa
import pytest

from analysis.checkers import compiled
from analysis.history import read_history
from analysis.transactions import parsing
from analysis.transactions.columns import (
    APPEND,
    NEVER,
    NIL,
    READ,
    UNREAD,
    WRITE,
    read_transactions,
)
from chaos.errors import RecordError
from tests.truth.rows import Row, table


def read(*rows):
    return read_transactions(read_history(table(rows)))


def contents(told):
    """The transactions back again."""
    words = {READ: "r", WRITE: "w", APPEND: "append"}
    found = []
    for t in range(len(told)):
        steps = []
        for j in range(int(told.first[t]), int(told.first[t + 1])):
            shown = told.content(told.value[j])
            if told.lists and told.kind[j] == READ and told.value[j] == NIL:
                low, high = told.list_first[j : j + 2]
                shown = [told.content(code) for code in told.element[low:high]] or None
            steps.append([words[int(told.kind[j])], told.key_name(told.key[j]), shown])
        found.append(steps)
    return found


def test_lists_and_registers_come_back_as_they_were():
    lists = [["append", 8, 3], ["r", 8, [1, 3]], ["r", "x", None], ["append", "x", {"a": 1}]]
    told = read(Row("txn", lists, 0, 5), Row("ping", 1, 1, 1), Row("txn", [], 6, 7))
    assert contents(told) == [lists, []]
    assert (told.lists, told.mixed) == (True, False)
    assert told.rows.tolist() == [0, 2]
    registers = [["w", 8, 3], ["r", 8, [1, 3]], ["r", -1, None], ["w", -1, None]]
    told = read(Row("txn", registers, 0, 5))
    assert contents(told) == [registers]
    assert (told.lists, told.mixed) == (False, False)
    assert read(Row("txn", [["w", 1, 1], ["append", 1, 1]], 0, 1)).mixed


def test_reads_of_what_is_not_ok_say_nothing():
    told = read(Row("txn", [["append", 1, 1], ["r", 1, [5]]], 3, 9, "info"))
    assert told.value.tolist() == [1, UNREAD]
    assert told.end.tolist() == [NEVER]
    assert len(told.element) == 0


def test_values_are_equal_as_json():
    values = [1, 1.0, "1", True, [1], {"a": 1, "b": 2}, -1, 2**64, 2**62 + 1]
    steps = [["append", 0, value] for value in values]
    told = read(Row("txn", [*steps, ["r", 0, [{"b": 2, "a": 1}, 1.0, *values]]], 0, 1))
    assert len(set(told.value[told.kind == APPEND].tolist())) == len(values)
    assert told.element[:2].tolist() == [told.value[5], told.value[1]]
    assert [told.content(told.code(value)) for value in values] == values
    assert (told.code("nobody"), told.code(None)) == (-3, NIL)


@pytest.mark.parametrize(
    "payload",
    [None, "{}", "[1]", '[["x",1,1]]', '[["r",1]]', "[[", '[["r",1,01]]', '[["ap pend",1,1]]'],
)
def test_what_is_no_list_of_micro_operations_is_named(payload, monkeypatch):
    whole = ['[["append",1,1]]', payload]
    for least in (0, 10**12):
        monkeypatch.setattr(compiled, "LOADED_FROM", least)
        monkeypatch.setattr(compiled, "COLD_FROM", 0)
        with pytest.raises(RecordError, match="operation 7: "):
            parsing.parse(pa.array(whole * 4), np.array([0, 7]), np.ones(2, bool))


def test_a_list_must_be_read_as_one():
    with pytest.raises(RecordError, match="operation 1: expected a list or null as read, got 5"):
        read(Row("txn", [["append", 1, 1]], 0, 1), Row("txn", [["r", 1, 5]], 2, 3))


def value(rng):
    odd = [-3, "x", 1.5, True, 2**64, 10**18, 10**18 - 1, [1], {"a": 1}]
    return rng.choice(odd) if rng.random() < 0.1 else rng.randint(0, 20)


def drawn(rng, *, lists):
    """Texts of transactions, some not as the kernel likes them."""
    texts = []
    for _ in range(rng.randint(0, 6)):
        steps = []
        for _ in range(rng.randint(0, 4)):
            key = rng.choice([1, 10**9, "k"]) if rng.random() < 0.2 else rng.randint(0, 5)
            if rng.random() < 0.5:
                steps.append(["append" if lists else "w", key, value(rng)])
            elif lists:
                shown = [value(rng) for _ in range(rng.randint(0, 4))]
                steps.append(["r", key, rng.choice([None, shown])])
            else:
                steps.append(["r", key, rng.choice([None, value(rng)])])
        texts.append(json.dumps(steps, separators=rng.choice([(",", ":"), (" , ", ": ")])))
    return texts


def same(one, other):
    for name in parsing.Parsed.__slots__:
        a, b = getattr(one, name), getattr(other, name)
        if name == "keys":  # what stands there for other keys means nothing
            a, b = ([x if x >= 0 else None for x in keys.tolist()] for keys in (a, b))
        elif isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            a, b = a.tolist(), b.tolist()
        assert json.dumps(a) == json.dumps(b), name


def test_the_kernel_reads_what_the_plain_way_reads(monkeypatch):
    monkeypatch.setattr(compiled, "COLD_FROM", 0)
    rng = random.Random(5)
    for _ in range(400):
        texts = drawn(rng, lists=rng.random() < 0.6)
        given = pa.array(texts, pa.string()), np.arange(len(texts))
        ok = np.array([rng.random() < 0.8 for _ in texts], bool)
        monkeypatch.setattr(compiled, "LOADED_FROM", 0)
        fast = parsing.parse(*given, ok)
        monkeypatch.setattr(compiled, "LOADED_FROM", 10**12)
        same(fast, parsing.parse(*given, ok))


def test_wide_offsets_and_slices(monkeypatch):
    monkeypatch.setattr(compiled, "COLD_FROM", 0)
    texts = [f'[["append",{n},{n}],["r",{n},[{n}]]]' for n in range(20)]
    plain = parsing.parse(pa.array(texts), np.arange(5, 20), np.ones(15, bool))
    monkeypatch.setattr(compiled, "LOADED_FROM", 0)
    wide = pa.array(texts, pa.large_string()).slice(5)
    same(plain, parsing.parse(wide, np.arange(15), np.ones(15, bool)))
    words = pa.array(texts).dictionary_encode().slice(5)
    same(plain, parsing.parse(words, np.arange(15), np.ones(15, bool)))
