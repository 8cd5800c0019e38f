"""The bytes of a certificate are those that Python's own JSON writes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from analysis.certificates import canonical

ARRAYS: dict[str, Any] = {
    "numbers": np.arange(5),
    "every second": np.arange(10)[::2],
    "small, below zero": np.array([-3, 4], np.int8),
    "great": np.array([2**63 + 5], np.uint64),
    "none": np.array([], np.int64),
    "two dimensions": np.ones((2, 3), np.int32),
    "the other end first": np.arange(3, dtype=">i4"),
    "fractions": np.array([1.5, 1e16]),
    "truths": np.array([True]),
    "a number": np.int64(7),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_written_as_its_list(name: str) -> None:
    array = ARRAYS[name]
    assert canonical({"order": array}) == canonical({"order": array.tolist()})


def test_many_arrays_stand_where_they_belong_between_any_texts() -> None:
    body = {"é": "\ud800 [0,1]", "claims": [{"order": array, "a": name} for name, array in
            ARRAYS.items()], "b": None}  # fmt: skip
    plain = json.dumps(
        body, sort_keys=True, separators=(",", ":"), ensure_ascii=False,
        default=lambda array: array.tolist(),
    )  # fmt: skip
    assert canonical(body) == plain.encode("utf-8", "surrogatepass")
