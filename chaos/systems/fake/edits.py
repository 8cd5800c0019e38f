"""The shared document of the system in memory: one for all nodes, which are its members."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

from chaos.record.op import Invocation, Result
from chaos.systems.base import Definite


class Edits:
    """Elements, and who may add to them. Nothing is ever rolled back: nobody works alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._elements: list[int] = []
        self._members: set[str] = set()
        self._revoked: set[str] = set()

    def join(self, node: str) -> None:
        """Make the owner of `node` a member."""
        with self._lock:
            self._members.add(node)

    def add(self, operation: Invocation, node: str, lie: str) -> Result:
        """Add the value; refused to who was revoked, unless that is the lie."""
        with self._lock:
            if node in self._revoked and lie != "revoked-edits":
                raise Definite("revoked", f"{node} is no longer a member")
            if lie != "lose-acked" and operation.value is not None:
                self._elements.append(operation.value)
        return Result(value=operation.value, node=node)

    def read(self, operation: Invocation, node: str, lie: str) -> Result:
        """A part of the document; or half of it."""
        with self._lock:
            parts: dict[str, Sequence[int | str]] = {
                "elements": self._elements,
                "members": sorted(self._members - self._revoked),
                "rolled-back": [],
            }
            found = parts[operation.key or "elements"]
            if lie == "stale-reads":
                found = found[: len(found) // 2]
            return Result(payload=json.dumps(found, separators=(",", ":")), node=node)

    def revoke(self, operation: Invocation, node: str, lie: str) -> Result:
        """Revoke a member."""
        with self._lock:
            self._revoked.add(json.loads(operation.payload or "null"))
        return Result(node=node)

    def admit(self, operation: Invocation, node: str, lie: str) -> Result:
        """Admit a member again."""
        with self._lock:
            self._revoked.discard(json.loads(operation.payload or "null"))
        return Result(node=node)
