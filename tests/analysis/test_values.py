"""Values as codes: equal exactly if equal as JSON; integers are themselves."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest

from analysis.history import read_history
from analysis.values import coded, encode
from chaos.errors import RecordError
from chaos.record.schema import HISTORY

DIFFERENT = [1, 1.0, "1", True, 0, False, "", [], {}, [1], ["1"], {"a": 1}, 2**63, -(2**63), 0.5,
             "null", "é", [None], 2**63 - 1, -(2**63) - 1, {"a": 1, "b": [2]}]  # fmt: skip


def history(rows):
    blank = dict.fromkeys(HISTORY.names) | {
        "process": 0, "f": "write", "type": "ok", "start_ns": 0, "end_ns": 1
    }  # fmt: skip
    return read_history(pa.Table.from_pylist([blank | r for r in rows], schema=HISTORY))


def test_codes_are_equal_exactly_if_the_values_are():
    codes, names = encode(DIFFERENT, np.array([5, -7]))
    for (i, a), (j, b) in itertools.combinations(enumerate(DIFFERENT), 2):
        assert codes.values[i] != codes.values[j], (a, b)
    for place, content in enumerate(DIFFERENT):
        code = int(codes.values[place])
        if type(content) is int and -(2**63) <= content < 2**63:
            assert code == content
        else:
            assert names[code] is content
            assert code not in (5, -7)
    same, _ = encode([{"a": 1, "b": 2}, {"b": 2, "a": 1}, 0.1, 0.10], np.array([], np.int64))
    assert same.values[0] == same.values[1] != same.values[2] == same.values[3]
    nothing, _ = encode([None, None], np.array([1]))
    assert nothing.valid.tolist() == [False, False]


@pytest.mark.parametrize(
    "taken", [[2**63 - 1], [2**63 - 1, -(2**63)], [2**63 - 2, -(2**63), 2**63 - 1, -(2**63) + 1]]
)
def test_codes_find_room_beside_extreme_integers(taken):
    codes, names = encode(["a", "b", "c"], np.array(taken, np.int64))
    assert len({*taken, *codes.values.tolist()}) == len(taken) + 3
    assert [names[int(c)] for c in codes.values] == ["a", "b", "c"]


def test_a_history_without_payloads_is_not_copied():
    plain = history([{"value": 1}, {"value": None}])
    values = coded(plain, initial=7)
    assert values.value is plain.value
    assert values.expected is plain.expected
    assert values.initial == 7
    assert values.content(7) == 7
    assert values.content(None) is None


def test_payloads_become_codes_and_a_swap_is_taken_apart():
    rows = [
        {"value": 3},
        {"payload": '"a"'},
        {"f": "cas", "payload": '["a", "b"]'},
        {"f": "read", "payload": ' "b" '},
        {"f": "cas", "payload": "[null, 3]"},
        {"f": "cas", "expected": 3, "value": 4},
        {"f": "read", "payload": "3"},
        {"f": "read", "payload": "null"},
        {"f": "read"},
    ]
    values = coded(history(rows), initial="a")
    shown = [values.content(values.value.at(i)) for i in range(len(rows))]
    assert shown == [3, "a", "b", "b", 3, 4, 3, None, None]
    assert [values.content(values.expected.at(i)) for i in (2, 4, 5)] == ["a", None, 3]
    assert values.initial == values.value.at(1)
    assert values.value.at(2) == values.value.at(3)
    only = coded(history(rows), np.array([1]))
    assert only.content(only.value.at(1)) == "a"
    assert only.value.at(3) is None


@pytest.mark.parametrize("payload", ['["a"]', '"a"', '{"a": 1, "b": 2}'])
def test_a_swap_that_cannot_be_taken_apart_is_an_error_with_its_row(payload):
    rows = [{"value": 1}, {"f": "cas", "payload": payload}]
    with pytest.raises(RecordError, match=r"operation 1: expected \[expected, value\]"):
        coded(history(rows))
    with pytest.raises(RecordError, match="operation 1: the payload is no JSON"):
        coded(history([{"value": 1}, {"payload": "{"}]))


@pytest.mark.parametrize("initial", [None, 4, 2**63 - 1, "a"])
def test_null_gets_a_code_of_its_own(initial):
    for most in (5, 2**63 - 1):
        rows = [{"value": most}, {"f": "cas", "value": 0, "expected": None}, {"f": "read"}]
        value, expected, first = coded(history(rows), initial=initial).solid()
        null = int(value[2])
        assert null not in (0, most)
        assert value.tolist() == [most, 0, null]
        assert expected[1] == null
        assert (first == null) == (initial is None)
        assert (first == most) == (initial == most)
    numbers = coded(history([{"value": 1}]), initial=1)
    assert numbers.solid()[0] is numbers.value.values
