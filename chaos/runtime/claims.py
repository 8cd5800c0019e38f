"""What faults want of one and the same thing, so that overlapping faults compose.

A fault that ends gives up its own claim only; what is then in force follows from those that remain.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any


class Claims:
    """Thing → {fault: what it wants of it}."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._things: dict[Hashable, dict[str, Any]] = {}
        self._changing: dict[Hashable, threading.Lock] = {}

    def of(self, thing: Hashable, but: str = "") -> dict[str, Any]:
        """A copy of the claims on `thing`, without those of the fault `but`."""
        with self._lock:
            claims = self._things.get(thing, {})
            return {fault: value for fault, value in claims.items() if fault != but}

    def put(self, thing: Hashable, fault: str, value: Any = True) -> None:
        """Claim; a fault has one claim on a thing."""
        with self._lock:
            self._things.setdefault(thing, {})[fault] = value

    def drop(self, thing: Hashable, fault: str) -> dict[str, Any]:
        """Give up a claim, if there is one; a copy of the others."""
        with self._lock:
            claims = self._things.get(thing, {})
            claims.pop(fault, None)
            return dict(claims)

    @contextmanager
    def changing(self, thing: Hashable) -> Iterator[None]:
        """Nobody else who asks for this holds `thing`: change claims and apply the result in it.

        Without it two faults that end together could apply their results in the wrong order.
        """
        with self._lock:
            lock = self._changing.setdefault(thing, threading.Lock())
        with lock:
            yield
