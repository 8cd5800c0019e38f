"""Which way checkers go: machine code is for large histories, but must agree on small ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from analysis.checkers import compiled

THRESHOLDS = ("LOADED_FROM", "IMPORTED_FROM", "CACHED_FROM", "COLD_FROM")


@contextmanager
def machine_code(*, always: bool) -> Iterator[None]:
    """Compiled kernels for every history, however small, if `always`; else where they pay."""
    usual = {name: getattr(compiled, name) for name in THRESHOLDS}
    try:
        for name in THRESHOLDS:
            setattr(compiled, name, 0 if always else usual[name])
        yield
    finally:
        for name in THRESHOLDS:
            setattr(compiled, name, usual[name])
