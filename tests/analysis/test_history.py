"""A history as columns."""

from __future__ import annotations

import pyarrow as pa
import pytest

from analysis.history import FAIL, INFO, OK, read_history
from chaos.errors import RecordError
from chaos.record.schema import HISTORY

ROW = {
    "process": 1, "node": "n1", "zone": "a", "f": "read", "key": "k0", "value": 4,
    "expected": None, "payload": None, "type": "ok", "error": None, "start_ns": 1, "end_ns": 2,
}  # fmt: skip


def table(*changes):
    return pa.Table.from_pylist([{**ROW, **change} for change in changes], schema=HISTORY)


def test_columns_keep_what_the_table_holds():
    history = read_history(
        table({}, {"f": "cas", "expected": 3, "key": None, "type": "info"}, {"value": None})
    )
    assert len(history) == 3
    assert history.type.tolist() == [OK, INFO, OK]
    assert history.f.equals("cas").tolist() == [False, True, False]
    assert [history.key.at(i) for i in range(3)] == ["k0", None, "k0"]
    assert [history.value.at(i) for i in range(3)] == [4, 4, None]
    assert [history.expected.at(i) for i in range(3)] == [None, 3, None]
    assert not history.f.equals("write").any()


def test_an_open_operation_is_indeterminate_even_without_an_end():
    history = read_history(table({"type": "open", "end_ns": None}, {"type": "fail"}))
    assert history.type.tolist() == [INFO, FAIL]
    assert history.end_ns.tolist() == [1, 2]


def test_batches_with_different_dictionaries_and_plain_text_are_one_history():
    joined = pa.concat_tables([table({"f": "write"}), table({"f": "read"}, {"f": "write"})])
    history = read_history(joined)
    assert [history.f.at(i) for i in range(3)] == ["write", "read", "write"]
    assert history.f.equals("write").tolist() == [True, False, True]
    plain = pa.schema(
        [(c.name, pa.string() if pa.types.is_dictionary(c.type) else c.type) for c in HISTORY]
    )
    assert read_history(joined.cast(plain)).f.equals("write").tolist() == [True, False, True]


def test_a_null_inside_a_dictionary_is_a_null():
    keys = pa.DictionaryArray.from_arrays(
        pa.array([0, 1], pa.int32()), pa.array([None, "k1"], pa.string())
    )
    joined = table({}, {})
    joined = joined.set_column(HISTORY.get_field_index("key"), HISTORY.field("key"), keys)
    history = read_history(joined)
    assert [history.key.at(i) for i in range(2)] == [None, "k1"]


def test_an_empty_history_has_columns():
    assert len(read_history(HISTORY.empty_table())) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "maybe"}, "got 'maybe'"),
        ({"type": None}, "got nothing"),
        ({"end_ns": 0}, "ends at 0 ns, before it starts"),
        ({"end_ns": None}, "no time of it"),
        ({"start_ns": None}, "no start time"),
    ],
)
def test_what_makes_no_sense_is_refused(change, message):
    with pytest.raises(RecordError, match=message):
        read_history(table({}, change))


def test_a_missing_column_is_named():
    with pytest.raises(RecordError, match="expected a column f "):
        read_history(table({}).drop_columns(["f"]))
