"""Hundreds and thousands of transactions of engines whose promises are known."""

from __future__ import annotations

from random import Random

import pytest

from tests.truth import rows
from tests.truth.runner import Tally
from tests.truth.transactions import judge, medium, proofs
from tests.truth.transactions.told import LISTS, REGISTERS

SIZES = (200, 1_000, 5_000)
SMALL = 200  # up to here all promises are looked at, beyond the strongest one


@pytest.mark.parametrize("transactions", SIZES)
@pytest.mark.parametrize("engine", medium.PROMISES)
@pytest.mark.parametrize("kind", [LISTS, REGISTERS])
def test_what_an_engine_promises_holds_and_is_broken_by_a_small_history(
    kind, engine, transactions
):  # fmt: skip
    rng = Random(f"{kind} {engine.__name__} {transactions}")
    where = judge.Where(kind=kind)
    good = medium.history(rng, engine, kind, transactions)
    promised = medium.PROMISES[engine]
    for name in promised if transactions <= SMALL else promised[-1:]:
        bad = medium.broken(rng, good, kind, name)
        for given, verdict in ((good, "valid"), (bad, "invalid")):
            result = judge.checked(name, rows.history(given), where)
            assert (name, str(result.verdict)) == (name, verdict), result.why
            tally = Tally()
            assert proofs.accept(name, where, given, result, tally), tally.doubted[0].why
