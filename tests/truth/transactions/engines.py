"""Simulated databases, each of which keeps one promise and no more.

An engine is told when a transaction takes its snapshot, does a micro-operation and commits, in the
order of these moments. All keep what was committed in one order, and differ in what a transaction
sees of it, and in what makes it abort.
"""

from __future__ import annotations

from collections.abc import Container
from random import Random
from typing import Any

from tests.truth.transactions.plans import Plan
from tests.truth.transactions.told import LISTS

There = dict[Any, Any]  # of a key what is there: of lists a tuple
Seen = Container[int]  # numbers of commits


class Engine:
    """Snapshots of what is committed when they are taken; the first committer wins (SI)."""

    locks = False
    conflicts = True  # whether of two writers of one key that do not see each other one aborts

    def __init__(self, rng: Random, kind: str, initial: Any, processes: int) -> None:
        self.rng, self.lists = rng, kind == LISTS
        self.nothing = () if self.lists else initial
        self.commits: list[Plan] = []
        self.seen: dict[Plan, Seen] = {}  # which commits a running transaction sees
        self.last: dict[int, int] = {}  # of a process its last commit
        self._writers: dict[Any, list[int]] = {}  # of a key the commits that wrote it
        self._values: dict[Any, list[Any]] = {}  # all that they wrote
        self._length: dict[tuple[Any, int], int] = {}  # how many values after a commit

    def begin(self, plan: Plan) -> None:
        """Take the snapshot."""
        self.seen[plan] = range(len(self.commits))

    def step(self, plan: Plan, at: int) -> None:
        """Do one micro-operation."""
        f, key, _ = plan.steps[at]
        if f == "r":
            plan.steps[at][2] = self.own(plan, at, self.there(self.seen[plan], key))

    def commit(self, plan: Plan) -> bool:
        """Whether it commits; if so from now on its writes are there."""
        seen = self.seen.pop(plan)
        if not plan.happens or (self.conflicts and self.overtaken(plan, seen)):
            return False
        number = len(self.commits)
        self.commits.append(plan)
        self.last[plan.process] = number
        for key in plan.writes():
            self._writers.setdefault(key, []).append(number)
            values = self._values.setdefault(key, [])
            values += written(plan, key)
            self._length[key, number] = len(values)
        return True

    def overtaken(self, plan: Plan, seen: Seen) -> bool:
        """Whether somebody else has written one of its keys, and it does not see that."""
        return any(n not in seen for key in plan.writes() for n in self._writers.get(key, ()))

    def there(self, seen: Seen, key: Any) -> Any:
        """What the last of these commits that wrote the key left there."""
        last = next((n for n in reversed(self._writers.get(key, ())) if n in seen), None)
        if last is None:
            return self.nothing
        length = self._length[key, last]
        return tuple(self._values[key][:length]) if self.lists else self._values[key][length - 1]

    def own(self, plan: Plan, at: int, there: Any) -> Any:
        """The same with what the transaction itself wrote before."""
        mine = [value for f, k, value in plan.steps[:at] if f != "r" and k == plan.steps[at][1]]
        if self.lists:
            return (*there, *mine)
        return mine[-1] if mine else there


def written(plan: Plan, key: Any) -> list[Any]:
    """The values that a transaction writes to a key, in order."""
    return [value for f, k, value in plan.steps if f != "r" and k == key]


class Serial(Engine):
    """All of a transaction at the moment when it commits."""

    def begin(self, plan: Plan) -> None:
        self.seen[plan] = ()

    def step(self, plan: Plan, at: int) -> None:
        pass

    def commit(self, plan: Plan) -> bool:
        self.seen[plan] = range(len(self.commits))
        for at in range(len(plan.steps)):
            super().step(plan, at)
        return super().commit(plan)


class Old(Engine):
    """Snapshots of any moment in the past; `session`: not of before the session's last commit."""

    session = False

    def begin(self, plan: Plan) -> None:
        back = int(self.rng.random() * 4)
        least = self.last.get(plan.process, -1) + 1 if self.session else 0
        self.seen[plan] = range(max(least, len(self.commits) - back))


class OldSession(Old):
    """Strong session snapshot isolation."""

    session = True


class Sites(Engine):
    """Parallel snapshot isolation: a commit reaches other sites later, after what it saw."""

    roaming = 0.1  # share of transactions that go to another site than their process
    spread = 0.4  # chance that a commit has reached a site by the next transaction there

    def __init__(self, rng: Random, kind: str, initial: Any, processes: int) -> None:
        super().__init__(rng, kind, initial, processes)
        self.sites: list[set[int]] = [set() for _ in range(max(2, processes))]
        self.coming: list[dict[int, set[int]]] = [{} for _ in self.sites]  # commits, what they saw
        self.spread = (0.1, 0.3, 0.6)[int(rng.random() * 3)]
        if rng.random() < 0.5:
            self.roaming = 0.0

    def begin(self, plan: Plan) -> None:
        at = plan.process if self.rng.random() >= self.roaming else int(self.rng.random() * 9)
        site, coming = self.sites[at % len(self.sites)], self.coming[at % len(self.sites)]
        for n, saw in list(coming.items()):
            if saw <= site and self.rng.random() < self.spread:
                site.add(n)
                del coming[n]
        self.seen[plan] = set(site)

    def commit(self, plan: Plan) -> bool:
        seen = self.seen[plan]
        if not super().commit(plan):
            return False
        assert isinstance(seen, set)
        mine = plan.process % len(self.sites)
        for at, (site, coming) in enumerate(zip(self.sites, self.coming, strict=True)):
            if at == mine and seen <= site:
                site.add(len(self.commits) - 1)
            else:
                coming[len(self.commits) - 1] = seen
        return True


class Causal(Sites):
    """The same, but the last writer wins."""

    conflicts = False


class Atomic(Engine):
    """Read atomic: all of some transactions, and nothing of the others."""

    conflicts = False

    def begin(self, plan: Plan) -> None:
        seen = {n for n in range(len(self.commits)) if self.rng.random() < 0.7}
        if self.rng.random() < 0.5:
            seen |= {n for n, other in enumerate(self.commits) if other.process == plan.process}
        self.seen[plan] = seen


class Committed(Engine):
    """Read committed: each read sees what is committed then; `past`: or was at any moment."""

    conflicts = False
    past = False

    def step(self, plan: Plan, at: int) -> None:
        count = len(self.commits)
        if self.past:
            count = max(0, count - int(self.rng.random() * 3))
        self.seen[plan] = range(count)
        super().step(plan, at)


class CommittedPast(Committed):
    """Each read sees what is or was committed."""

    past = True


class Dirty(Engine):
    """Read uncommitted: reads see what is being written; a key is locked by who writes it."""

    locks = True

    def __init__(self, rng: Random, kind: str, initial: Any, processes: int) -> None:
        super().__init__(rng, kind, initial, processes)
        self.conflicts = False
        self.place: There = {}
        self.locked: dict[Any, Plan] = {}
        self.before: dict[Plan, There] = {}

    def begin(self, plan: Plan) -> None:
        super().begin(plan)
        self.before[plan] = {}

    def step(self, plan: Plan, at: int) -> None:
        f, key, value = plan.steps[at]
        there = self.place.get(key, self.nothing)
        if f == "r":
            plan.steps[at][2] = there
        elif not self.locks or self.locked.setdefault(key, plan) is plan:
            self.before[plan].setdefault(key, there)
            self.place[key] = (*there, value) if self.lists else value
        else:
            plan.happens = False  # it would have to wait

    def commit(self, plan: Plan) -> bool:
        if not super().commit(plan):
            self.place |= self.before[plan]
        self.locked = {key: who for key, who in self.locked.items() if who is not plan}
        return self.commits[-1:] == [plan]


ENGINES: tuple[type[Engine], ...] = (
    Serial,
    Engine,
    Engine,
    Old,
    OldSession,
    Sites,
    Sites,
    Sites,
    Causal,
    Atomic,
    Committed,
    CommittedPast,
    Dirty,
)


def run(rng: Random, engine: Engine, plans: list[Plan]) -> list[Plan]:
    """Answer every read; what did not commit was refused, or its client does not know."""
    events = []
    for number, plan in enumerate(plans):
        moments = sorted(
            plan.begin + rng.random() * (plan.commit - plan.begin) for _ in plan.steps
        )  # fmt: skip
        events.append((plan.begin, number, -1))
        events += [(moment, number, at) for at, moment in enumerate(moments)]
        events.append((plan.commit, number, len(plan.steps)))
    events.sort(key=lambda event: (event[0], event[1], event[2]))
    for _, number, at in events:
        plan = plans[number]
        if at < 0:
            engine.begin(plan)
        elif at < len(plan.steps):
            engine.step(plan, at)
        elif not engine.commit(plan) and plan.outcome == "ok":
            plan.outcome = "fail" if rng.random() < 0.8 else "info"
    return plans
