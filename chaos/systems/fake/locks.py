"""Counters, locks and documents of the system in memory: as they should be, unless asked to lie."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from chaos.record.op import Invocation, Result
from chaos.systems._locks import held, not_held, stale_token


class Counters:
    """Sums by key; each with the one before it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[str | None, tuple[int, int]] = {}  # (now, before)

    def add(self, operation: Invocation, node: str, lie: str) -> Result:
        """Add the value."""
        with self._lock:
            now, _ = self._now.get(operation.key, (0, 0))
            if lie != "lose-acked":
                self._now[operation.key] = now + (operation.value or 0), now
        return Result(node=node)

    def read(self, operation: Invocation, node: str, lie: str) -> Result:
        """The sum, or the one before the last add."""
        with self._lock:
            return Result(
                value=self._now.get(operation.key, (0, 0))[lie == "stale-reads"], node=node
            )


class Locks:
    """Who holds each lock, and until when."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str | None, int] = {}
        self._until_s: dict[str | None, float] = {}

    def acquire(self, operation: Invocation, lease_s: float, node: str) -> Result:
        """The next token, if nobody holds the lock."""
        key = operation.key
        with self._lock:
            if time.monotonic() < self._until_s.get(key, 0.0):
                raise held()
            self._until_s[key] = time.monotonic() + lease_s
            self._tokens[key] = self._tokens.get(key, 0) + 1
            return Result(value=self._tokens[key], node=node)

    def release(self, operation: Invocation, node: str) -> Result:
        """Set the lock free, if the token is its holder's."""
        key = operation.key
        with self._lock:
            late = time.monotonic() >= self._until_s.get(key, 0.0)
            if late or self._tokens.get(key) != operation.value:
                raise not_held()
            self._until_s[key] = 0.0
        return Result(node=node)


@dataclass(slots=True)
class _Document:
    body: str = "[]"
    token: int = 0


class Documents:
    """Lists by key, and the highest token that each has met."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[str | None, _Document] = {}

    def load(self, operation: Invocation, node: str, lie: str) -> Result:
        """The document."""
        with self._lock:
            return Result(payload=self._met(operation).body, node=node)

    def store(self, operation: Invocation, node: str, lie: str) -> Result:
        """Replace it."""
        with self._lock:
            document = self._met(operation)
            if lie != "lose-acked":
                document.body = operation.payload or "[]"
        return Result(node=node)

    def _met(self, operation: Invocation) -> _Document:
        document = self._now.setdefault(operation.key, _Document())
        if operation.value is not None:
            if operation.value < document.token:
                raise stale_token()
            document.token = operation.value
        return document
