"""Plays a script on sessions of a live database: who waits, who is refused, what is read."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from chaos.errors import ClusterError
from chaos.isolation.scripts import FIXTURE, PROBES, Probe, Script, Trace
from chaos.systems.base import Reachable
from chaos.systems.sql import SpeaksSql, SqlAnswer, SqlSession

LOOK_S = 0.02  # between two looks at a statement that has not been answered
LOOKS_MIN = 2  # so often in a row a statement must be seen waiting
PATIENCE_S = 10.0  # the longest a statement may take; deadlocks are found within a second or so


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one level made of one phenomenon."""

    probe: str
    about: str
    level: str
    verdict: str  # prevented | possible
    how: str  # how it was prevented, or what was seen
    scripts: Sequence[tuple[Script, Trace]]


def probe(system: SpeaksSql, cluster: Reachable, levels: Sequence[str]) -> Iterator[Outcome]:
    """Every phenomenon at each of `levels` (of `system.levels`). ClusterError: a statement was
    refused for no reason of isolation, or never answered. The table `test` is ours, and dropped."""
    with contextlib.closing(system.sql(cluster)) as watcher:
        _told(watcher, "drop table if exists test")
        _told(watcher, "create table test (id int primary key, value int)")
        for level in levels:
            for each in PROBES:
                played = [(s, Play(system, cluster, watcher, level).run(s)) for s in each.scripts]
                yield _outcome(each, level, played)
        _told(watcher, "drop table test")


def _outcome(each: Probe, level: str, played: Sequence[tuple[Script, Trace]]) -> Outcome:
    found = [(script, trace) for script, trace in played if script.found(trace)]
    if found:
        named = [f"{s.name}: {s.shown}" if len(played) > 1 else s.shown for s, _ in found]
        how = "; ".join(named)
    else:
        how = "; ".join(dict.fromkeys(_kept_by(trace) for _, trace in played))
    return Outcome(
        probe=each.name,
        about=each.about,
        level=level,
        verdict="possible" if found else "prevented",
        how=how,
        scripts=played,
    )


def _kept_by(trace: Trace) -> str:
    """How the phenomenon was prevented."""
    parts = [f"{session} waited" for session in dict.fromkeys(trace.waited)]
    codes = {session: why.partition(":")[0] for session, why in trace.refused.items()}
    parts += [f"{session} was refused ({code})" for session, code in codes.items()]
    return ", ".join(parts) or "not seen"


def _told(session: SqlSession, statement: str) -> SqlAnswer:
    session.send(statement)
    answer = session.answer(PATIENCE_S)
    if answer is None or answer.refused:
        said = answer.refused if answer else f"no answer within {PATIENCE_S:g} s"
        raise ClusterError(f"the probe's statement `{statement}` was not done: {said}")
    return answer


@dataclass(slots=True)
class _Actor:
    """One session of a script."""

    name: str
    session: SqlSession
    pending: str = ""  # the statement that was not answered yet
    waiting: deque[str] = field(default_factory=deque)  # what it is to do after that
    over: bool = False  # committed, rolled back or refused


class Play:
    """One script, once."""

    def __init__(
        self, system: SpeaksSql, cluster: Reachable, watcher: SqlSession, level: str
    ) -> None:
        self._system, self._cluster, self._watcher = system, cluster, watcher
        self._begin = system.levels[level]
        self._trace = Trace()

    def run(self, script: Script) -> Trace:
        """What came of it."""
        for statement in ("delete from test", *_filled()):
            _told(self._watcher, statement)
        names = sorted({name for name, _ in script.parsed()})
        with contextlib.ExitStack() as stack:
            actors = {}
            for name in names:
                session = stack.enter_context(contextlib.closing(self._system.sql(self._cluster)))
                _told(session, self._begin)
                actors[name] = _Actor(name, session)
            for name, statement in script.parsed():
                actors[name].waiting.append(statement)
                self._go_on(actors.values())
            self._end(list(actors.values()))
        rows = _told(self._watcher, "select id, value from test order by id").rows
        self._trace.left = {int(key or 0): int(value or 0) for key, value in rows}
        return self._trace

    def _go_on(self, actors: Collection[_Actor]) -> None:
        """Let everyone do what they can; an answer to one may let another go on."""
        moved = True
        while moved:
            moved = False
            for actor in actors:
                moved |= self._step(actor)

    def _step(self, actor: _Actor) -> bool:
        """One statement or answer of `actor`, if there is one; whether there was."""
        if not actor.pending:
            if not actor.waiting or actor.over:
                actor.waiting.clear()
                return False
            actor.pending = actor.waiting.popleft()
            actor.session.send(actor.pending)
        answer = self._answer(actor)
        if answer is None:
            return False
        self._note(actor, answer)
        return True

    def _answer(self, actor: _Actor) -> SqlAnswer | None:
        """The answer, or None: the statement waits for another session."""
        seen, end = 0, time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            answer = actor.session.answer(LOOK_S)
            if answer is not None:
                return answer
            seen = seen + 1 if self._system.waits(self._watcher, actor.session) else 0
            if seen >= LOOKS_MIN:
                if actor.name not in self._trace.waited:
                    self._trace.lines.append(f"{actor.name} {actor.pending} … waits")
                    self._trace.waited.append(actor.name)
                return None
        raise ClusterError(
            f"`{actor.pending}` of {actor.name} was not answered within {PATIENCE_S:g} s, and "
            "waits for nobody"
        )

    def _note(self, actor: _Actor, answer: SqlAnswer) -> None:
        trace, done, name = self._trace, actor.pending, actor.name
        actor.pending = ""
        if answer.refused:
            trace.refused[name] = answer.refused
            trace.lines.append(f"{name} {done} → {answer.refused}")
            actor.over = True
            _told(actor.session, "rollback")
            return
        if done.startswith("select"):
            trace.reads.setdefault(name, []).append(answer.rows)
            trace.lines.append(f"{name} {done} → {list(answer.rows)}")
            return
        if done in ("commit", "rollback"):
            actor.over = True
            if done == "commit":
                trace.committed.add(name)
            trace.lines.append(f"{name} {done}")
            return
        trace.changed.setdefault(name, []).append(answer.changed)
        trace.lines.append(f"{name} {done} → {answer.changed} rows")

    def _end(self, actors: Sequence[_Actor]) -> None:
        """Wait until all are done: a deadlock among those that wait is found by the database."""
        end = time.monotonic() + PATIENCE_S
        while any(actor.pending for actor in actors):
            self._go_on(actors)
            if time.monotonic() > end:
                names = [actor.name for actor in actors if actor.pending]
                raise ClusterError(f"{' and '.join(names)} still waited after {PATIENCE_S:g} s")


def _filled() -> list[str]:
    return [f"insert into test (id, value) values ({key}, {value})" for key, value in FIXTURE]
