"""The scripts and their player, on SQLite made to isolate everything, and nothing at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import pytest

from chaos.errors import ClusterError
from chaos.isolation.play import Outcome, probe
from chaos.isolation.scripts import PROBES, Trace
from chaos.systems.sql import SpeaksSql, SqlAnswer


class Turns:
    """One SQLite database. A session's turn begins with its first statement and ends with its
    transaction; with `serial`, a statement waits while it is another's turn."""

    def __init__(self, *, serial: bool) -> None:
        self.serial = serial
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.holder: Session | None = None


class Session:
    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._statement = ""
        self._inside = False

    def send(self, statement: str) -> None:
        self._statement = statement

    @property
    def waits(self) -> bool:
        return self._inside and self._turns.holder not in (None, self)

    def answer(self, wait_s: float) -> SqlAnswer | None:
        statement = self._statement
        if statement == "begin":
            self._inside = self._turns.serial
            return SqlAnswer()
        if self.waits:
            return None
        if self._inside and self._turns.holder is None:
            self._turns.holder = self
            self._turns.database.execute("begin")
        if statement in ("commit", "rollback"):
            if self._inside:
                self._turns.database.execute(statement)
                self._turns.holder, self._inside = None, False
            return SqlAnswer()
        done = self._turns.database.execute(statement)
        return SqlAnswer(rows=done.fetchall(), changed=max(0, done.rowcount))

    def close(self) -> None:
        pass


class Sql:
    levels: Mapping[str, str] = {"only": "begin"}

    def __init__(self, *, serial: bool) -> None:
        self._turns = Turns(serial=serial)

    def sql(self, cluster: Any) -> Session:
        return Session(self._turns)

    def waits(self, watcher: Any, session: Any) -> bool:
        return bool(session.waits)


def played(system: Any) -> dict[str, Outcome]:
    assert isinstance(system, SpeaksSql)
    cluster: Any = None
    return {outcome.probe: outcome for outcome in probe(system, cluster, list(system.levels))}


def test_one_at_a_time_prevents_everything() -> None:
    found = played(Sql(serial=True))
    assert len(found) == 10
    for outcome in found.values():
        assert outcome.verdict == "prevented", outcome
        assert "T2 waited" in outcome.how
        for _, trace in outcome.scripts:
            assert "T2" in trace.committed
            assert any(line.endswith("… waits") for line in trace.lines)


def test_no_isolation_at_all_shows_everything() -> None:
    found = played(Sql(serial=False))
    assert {name: outcome.verdict for name, outcome in found.items()} == dict.fromkeys(
        [each.name for each in PROBES], "possible"
    )
    assert found["G1a"].how == "T2 read what T1 rolled back"
    assert all(not trace.waited for o in found.values() for _, trace in o.scripts)


def test_a_refused_transaction_is_rolled_back_and_does_no_more() -> None:
    class Refuses(Session):
        def answer(self, wait_s: float) -> SqlAnswer | None:
            if self._statement.startswith("update test set value = 21"):
                return SqlAnswer(refused="40001: could not serialize")
            return super().answer(wait_s)

    class Sqlite(Sql):
        def sql(self, cluster: Any) -> Session:
            return Refuses(self._turns)

    g2 = played(Sqlite(serial=False))["G2-item"]
    ((_, trace),) = g2.scripts
    assert (g2.verdict, g2.how) == ("prevented", "T2 was refused (40001)")
    assert trace.committed == {"T1"}
    assert trace.lines[-2:] == [
        "T2 update test set value = 21 where id = 2 → 40001: could not serialize",
        "T1 commit",
    ]


def test_a_statement_that_is_not_answered_and_does_not_wait_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(Session):
        def answer(self, wait_s: float) -> SqlAnswer | None:
            return None if "101" in self._statement else super().answer(wait_s)

    class Sqlite(Sql):
        def sql(self, cluster: Any) -> Session:
            return Silent(self._turns)

    monkeypatch.setattr("chaos.isolation.play.PATIENCE_S", 0.05)
    with pytest.raises(ClusterError, match="waits for nobody"):
        played(Sqlite(serial=False))


@pytest.mark.parametrize("each", PROBES, ids=lambda each: each.name)
def test_every_script_is_whole(each: Any) -> None:
    for script in each.scripts:
        steps = script.parsed()
        for session in {name for name, _ in steps}:
            assert [s for n, s in steps if n == session][-1] in ("commit", "rollback")
        assert all(name in ("T1", "T2", "T3") for name, _ in steps)
        assert not script.found(Trace(left={1: 10, 2: 20})), "found though nothing was done"


def test_there_are_the_ten_of_the_published_table() -> None:
    wanted = ("G0", "G1a", "G1b", "G1c", "OTV", "PMP", "P4", "G-single", "G2-item", "G2")
    assert tuple(each.name for each in PROBES) == wanted
