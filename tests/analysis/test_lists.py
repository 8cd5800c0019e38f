"""Lists in payloads as codes: the quick way for integers, and the exact one for everything else."""

from __future__ import annotations

import json
import random

import numpy as np
import pyarrow as pa
import pytest

from analysis.checkers.lists import NO_LIST, carried
from analysis.history import read_history
from chaos.errors import RecordError
from tests.truth.rows import Row, history, table


def read(single, listed):
    """What rows of single values and of lists carry: (values, lists) as JSON again."""
    rows = [Row("add", value, 0, 1) for value in single]
    rows += [Row("read", value, 0, 1) for value in listed]
    told = carried(history(rows), range_of(0, len(single)), range_of(len(single), len(rows)))
    values = [
        told.content(value) if valid else None
        for value, valid in zip(told.single.values, told.single.valid, strict=True)
    ]
    bounds, codes = told.lists.bounds, told.lists.codes
    lists = [
        None if n == NO_LIST else [told.content(c) for c in codes[bounds[n] : bounds[n + 1]]]
        for n in told.lists.place
    ]
    return told, values, lists


def range_of(begin, end):
    return np.arange(begin, end)


def same(a, b):
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


@pytest.mark.parametrize(
    ("single", "listed"),
    [
        ([1, 2], [[1, 2], [], [-7, 0, 5], None, [1, 2]]),
        ([], []),
        ([3], []),
        ([], [[]]),
        ([], [None]),
        ([1, None, "x"], [[1, "x", "x"], ["y", None, 1.0], [True, [1], {"b": 1, "a": 2}]]),
        ([2**63 - 1, -(2**63)], [[2**63 - 1, -(2**63), 1]]),
        ([1], [[2**63], [10**30, 1]]),
        ([2**63], [[2**63, 1]]),
    ],
)
def test_what_goes_in_comes_out(single, listed):
    _, values, lists = read(single, listed)
    assert same(values, single)
    assert same(lists, listed)


def test_equal_values_have_equal_codes_and_others_differ():
    things = [1, 1.0, "1", True, None, [1], {"a": 1}, 2**70, 0, ""]
    told, _, _ = read([thing for thing in things if thing is not None], [things, things[::-1]])
    first, second = told.lists.codes[:10], told.lists.codes[10:]
    assert len(set(first.tolist())) == 10
    assert first.tolist() == second[::-1].tolist()
    assert told.single.values.tolist() == [code for n, code in enumerate(first.tolist()) if n != 4]


def test_rows_with_the_same_text_share_a_list():
    told, _, _ = read([], [[1, 2], [3], [1, 2]])
    assert told.lists.place.tolist() == [0, 1, 0]
    assert len(told.lists) == 2


def test_the_quick_way_equals_the_exact_one():
    rng = random.Random(1)
    for _ in range(50):
        listed = [[rng.randint(-99, 10**17) for _ in range(rng.randint(0, 3))] for _ in range(5)]
        quick, _, lists = read([], listed)
        assert lists == listed
        assert not quick.names
        _, _, exact = read([], [*listed, ["x"]])
        assert exact == [*listed, ["x"]]


def texts(*payloads):
    """A history whose payloads are written as given."""
    whole = table([Row("read", [0], 0, 1) for _ in payloads])
    at = whole.schema.get_field_index("payload")
    return read_history(whole.set_column(at, "payload", pa.array(payloads, pa.string())))


def test_white_space_and_minus_zero():
    told = carried(texts(" [ 1 ,\n2 ] ", "[ ]", "[-0]"), range_of(0, 0), range_of(0, 3))
    assert told.lists.codes.tolist() == [1, 2, 0]
    assert told.lists.bounds.tolist() == [0, 2, 2, 3]


@pytest.mark.parametrize("text", ["[1,]", "[,1]", "[1 2]", "[01]", "[--1]", "[1", "1]", "", "[-]"])
def test_what_is_no_json_is_named(text):
    with pytest.raises(RecordError, match="operation 1: its payload is not JSON"):
        carried(texts("[1]", text), range_of(0, 0), range_of(0, 2))


@pytest.mark.parametrize("text", ["7", '{"a": 1}', '"x"', "true"])
def test_what_is_no_list_is_named(text):
    with pytest.raises(RecordError, match="operation 1: expected a list"):
        carried(texts("[1]", text), range_of(0, 0), range_of(0, 2))


def test_an_integer_where_a_list_belongs_is_named():
    with pytest.raises(RecordError, match="operation 0: expected a list, got 7"):
        read([], [7])


def test_a_payload_of_null_is_no_list():
    told = carried(texts("null", "[1]"), range_of(0, 0), range_of(0, 2))
    assert told.lists.place.tolist() == [NO_LIST, 1]
    assert told.lists.bounds.tolist() == [0, 0, 1]
