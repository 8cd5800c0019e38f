"""Certificates of right verdicts are accepted, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from tests.truth.properties import Property, Setting
from tests.truth.rows import Row

if TYPE_CHECKING:
    from tests.truth.runner import Tally


def judge(
    about: Property,
    where: Setting,
    drawn: Sequence[list[Row]],
    truths: Sequence[str],
    rng: Random,
    tally: Tally,
) -> None:
    pass
