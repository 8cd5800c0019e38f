"""Sequential objects: what a state is, and which operations may happen in it.

A model is all that the general search needs. A user may write one in a few lines and check a
history against it (docs/checkers.md has an example that a test executes).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Op:
    """One operation as a model sees it.

    `ok`: it was acknowledged, and `value` holds its result (reads) or argument (writes).
    Otherwise it may have happened, and its result is unknown: `value` is the argument or None.
    """

    f: str
    value: Any = None  # int, None, or any JSON value
    expected: Any = None  # cas only
    ok: bool = True
    process: int = 0


class Model(Protocol):
    """A sequential object. States are hashable values, never changed in place."""

    initial: Hashable

    def step(self, state: Hashable, op: Op) -> Hashable | None:
        """The state after `op`, None when it is impossible in `state` (no state is ever None)."""
