"""Each property once more with histories drawn by hypothesis, which shrinks what is wrong."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.truth import rows
from tests.truth.properties import PROPERTIES
from tests.truth.runner import checked

NAMES = list(PROPERTIES)
QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None, suppress_health_check=QUIET, derandomize=True)
@given(rng=st.randoms(use_true_random=False))
def test_checker_and_oracle_agree(name: str, rng: Random):
    about = PROPERTIES[name]
    where = about.setting(rng)
    history = about.make(rng, where)
    result = checked(about, rows.history(history), where)
    assert str(result.verdict) == about.truth(history, where), f"{where}\n{rows.told(history)}"
