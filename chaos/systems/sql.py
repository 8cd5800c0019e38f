"""The optional power to play statements of SQL one by one, as `chaos.isolation` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from chaos.systems.base import Reachable


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlAnswer:
    """What a database said to one statement."""

    rows: Sequence[tuple[int | None, ...]] = ()
    changed: int = 0  # rows inserted, updated or deleted
    refused: str = ""  # "40001: …": it ended the transaction to keep its promise, or gave up a lock


class SqlSession(Protocol):
    """A connection that can be left waiting. Statements give integers only."""

    def send(self, statement: str) -> None:
        """Begin one statement."""

    def answer(self, wait_s: float) -> SqlAnswer | None:
        """Its answer; None if there is none after `wait_s`. Any other error is raised."""

    def close(self) -> None:
        """Drop the connection."""


@runtime_checkable
class SpeaksSql(Protocol):
    """Has transactions of SQL statements, and levels of isolation to begin them at."""

    levels: Mapping[str, str]  # level, weakest first → the statement that begins a transaction

    def sql(self, cluster: Reachable) -> SqlSession:
        """A session on the node that takes writes."""

    def waits(self, watcher: SqlSession, session: SqlSession) -> bool:
        """Whether `session`'s statement waits for another transaction, as `watcher` is told."""
