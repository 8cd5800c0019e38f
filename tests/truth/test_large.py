"""Histories of thousands of operations, valid as simulated and invalid with one fault."""

from __future__ import annotations

from random import Random

import pytest

from analysis.checkers import CHECKERS
from analysis.checkers.base import Context, Verdict, run_checker
from tests.truth import large, proofs, rows

NAMES = list(large.THINGS)
SIZES = [(1_000, (None,), 0.0), (2_000, (None,), 0.02), (20_000, ("a", "b", "c", "d"), 0.005)]


@pytest.mark.parametrize(("operations", "keys", "info"), SIZES, ids=lambda size: str(size))
@pytest.mark.parametrize("name", NAMES)
def test_a_simulated_history_is_valid_and_a_fault_in_it_is_found(name, operations, keys, info):
    rng = Random(f"{name} {operations}")
    good = large.history(rng, name, operations, keys=keys, info=info)
    bad = large.broken(rng, name, good)
    assert bad is not None
    for given, verdict in ((good, Verdict.VALID), (bad, Verdict.INVALID)):
        result = run_checker(name, CHECKERS, rows.history(given), Context())
        assert result.verdict is verdict, result.why
        assert proofs.is_accepted(result, given)
