"""Ten phenomena of Adya's and Bailis' lists, as interleavings of two or three sessions.

They are the ones that Kleppmann's Hermitage tries by hand
(https://github.com/ept/hermitage); these scripts are our own. Each begins with the table `test`
(id, value) holding (1, 10) and (2, 20). All its sessions have begun a transaction at the level
probed; what a session is to do while its last statement waits, it does when that has been answered.
A phenomenon with several scripts is prevented if none of them shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Rows = Sequence[tuple[int | None, ...]]
FIXTURE = ((1, 10), (2, 20))


@dataclass(slots=True, kw_only=True)
class Trace:
    """What came of one script."""

    reads: dict[str, list[Rows]] = field(default_factory=dict)  # session → what its selects gave
    changed: dict[str, list[int]] = field(default_factory=dict)  # session → rows, by its writes
    committed: set[str] = field(default_factory=set)
    left: Mapping[int, int] = field(default_factory=dict)  # id → value, in the end
    waited: list[str] = field(default_factory=list)  # sessions that waited, as they did
    refused: dict[str, str] = field(default_factory=dict)  # session → "40001: …"
    lines: list[str] = field(default_factory=list)  # what was done, and what was said

    def values(self, session: str) -> list[int | None]:
        """Every value that the session read, in order; its rows end with it."""
        return [row[-1] for rows in self.reads.get(session, []) for row in rows]

    def kept(self, *sessions: str) -> bool:
        """Whether all these committed."""
        return set(sessions) <= self.committed


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One interleaving: a line `T1 statement` each, and whether what came of it is the phenomenon.

    `shown` says in words what a database did that allowed it.
    """

    steps: str
    found: Callable[[Trace], bool]
    shown: str
    name: str = ""

    def parsed(self) -> list[tuple[str, str]]:
        """(session, statement) of each line."""
        lines = [line.strip() for line in self.steps.strip().splitlines()]
        return [(line[:2], line[3:].strip()) for line in lines]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One phenomenon."""

    name: str
    about: str
    scripts: Sequence[Script]


def _backwards(trace: Trace) -> bool:
    """Whether T3 saw a transaction's write and later something older."""
    writer = {10: 0, 20: 0, 11: 1, 19: 1, 12: 2, 18: 2}
    seen = [writer[value] for value in trace.values("T3") if value is not None]
    return seen != sorted(seen)


PROBES: Sequence[Probe] = (
    Probe(
        name="G0",
        about="dirty write: two transactions write over each other's writes",
        scripts=[
            Script(
                steps="""
                    T1 update test set value = 11 where id = 1
                    T2 update test set value = 12 where id = 1
                    T2 update test set value = 22 where id = 2
                    T1 update test set value = 21 where id = 2
                    T1 commit
                    T2 commit
                """,
                found=lambda t: t.left in ({1: 11, 2: 22}, {1: 12, 2: 21}),
                shown="one row is T1's in the end, the other T2's",
            )
        ],
    ),
    Probe(
        name="G1a",
        about="aborted read: a value is read that was rolled back",
        scripts=[
            Script(
                steps="""
                    T1 update test set value = 101 where id = 1
                    T2 select id, value from test order by id
                    T1 rollback
                    T2 select id, value from test order by id
                    T2 commit
                """,
                found=lambda t: t.kept("T2") and 101 in t.values("T2"),
                shown="T2 read what T1 rolled back",
            )
        ],
    ),
    Probe(
        name="G1b",
        about="intermediate read: a value is read that its writer wrote over",
        scripts=[
            Script(
                steps="""
                    T1 update test set value = 101 where id = 1
                    T2 select id, value from test order by id
                    T1 update test set value = 11 where id = 1
                    T1 commit
                    T2 select id, value from test order by id
                    T2 commit
                """,
                found=lambda t: t.kept("T2") and 101 in t.values("T2"),
                shown="T2 read the first of two writes of T1",
            )
        ],
    ),
    Probe(
        name="G1c",
        about="circular information flow: each of two transactions reads the other's write",
        scripts=[
            Script(
                steps="""
                    T1 update test set value = 11 where id = 1
                    T2 update test set value = 22 where id = 2
                    T1 select value from test where id = 2
                    T2 select value from test where id = 1
                    T1 commit
                    T2 commit
                """,
                found=lambda t: (
                    t.kept("T1", "T2") and t.values("T1") == [22] and t.values("T2") == [11]
                ),
                shown="T1 read T2's write and T2 read T1's",
            )
        ],
    ),
    Probe(
        name="OTV",
        about="observed transaction vanishes: of a transaction once seen, something older is read",
        scripts=[
            Script(
                steps="""
                    T1 update test set value = 11 where id = 1
                    T1 update test set value = 19 where id = 2
                    T2 update test set value = 12 where id = 1
                    T1 commit
                    T3 select value from test where id = 1
                    T3 select value from test where id = 2
                    T2 update test set value = 18 where id = 2
                    T2 commit
                    T3 select value from test where id = 2
                    T3 select value from test where id = 1
                    T3 commit
                """,
                found=lambda t: t.kept("T3") and _backwards(t),
                shown="T3 saw a transaction's write and then a row without it",
            )
        ],
    ),
    Probe(
        name="PMP",
        about="predicate-many-preceders: a condition is evaluated twice and means other rows",
        scripts=[
            Script(
                name="read",
                steps="""
                    T1 select id, value from test where value = 30
                    T2 insert into test (id, value) values (3, 30)
                    T2 commit
                    T1 select id, value from test where value % 3 = 0
                    T1 commit
                """,
                found=lambda t: t.kept("T1") and bool(t.values("T1")),
                shown="T1 found a row that T2 added between its two reads",
            ),
            Script(
                name="write",
                steps="""
                    T1 update test set value = value + 10
                    T2 select id, value from test where value = 20
                    T2 delete from test where value = 20
                    T1 commit
                    T2 commit
                """,
                found=lambda t: t.kept("T2") and any(row[0] in t.left for row in t.reads["T2"][0]),
                shown="T2 read a row and did not delete it by the same condition",
            ),
        ],
    ),
    Probe(
        name="P4",
        about="lost update: two transactions read a row, then both write it",
        scripts=[
            Script(
                steps="""
                    T1 select value from test where id = 1
                    T2 select value from test where id = 1
                    T1 update test set value = 11 where id = 1
                    T2 update test set value = 12 where id = 1
                    T1 commit
                    T2 commit
                """,
                found=lambda t: t.kept("T1", "T2") and t.values("T1") == t.values("T2") == [10],
                shown="both committed, having read the same",
            )
        ],
    ),
    Probe(
        name="G-single",
        about="read skew: one row is read before another's writes, the other row after them",
        scripts=[
            Script(
                name="rows",
                steps="""
                    T1 select value from test where id = 1
                    T2 select value from test where id = 1
                    T2 select value from test where id = 2
                    T2 update test set value = 12 where id = 1
                    T2 update test set value = 18 where id = 2
                    T2 commit
                    T1 select value from test where id = 2
                    T1 commit
                """,
                found=lambda t: t.kept("T1", "T2") and t.values("T1") == [10, 18],
                shown="T1 read one row before T2's writes and one after",
            ),
            Script(
                name="condition",
                steps="""
                    T1 select id, value from test where value % 5 = 0
                    T2 update test set value = 12 where value = 10
                    T2 commit
                    T1 select id, value from test where value % 3 = 0
                    T1 commit
                """,
                found=lambda t: t.kept("T1", "T2") and 12 in t.values("T1"),
                shown="T1 read without T2's write, then with it",
            ),
            Script(
                name="write",
                steps="""
                    T1 select value from test where id = 1
                    T2 update test set value = 12 where id = 1
                    T2 update test set value = 18 where id = 2
                    T2 commit
                    T1 delete from test where value = 20
                    T1 commit
                """,
                found=lambda t: (
                    t.kept("T1", "T2") and t.values("T1") == [10] and t.changed["T1"] == [0]
                ),
                shown="T1 read before T2's writes, and deleted after them",
            ),
        ],
    ),
    Probe(
        name="G2-item",
        about="write skew: each of two transactions writes a row that the other one has read",
        scripts=[
            Script(
                steps="""
                    T1 select id, value from test where id in (1, 2) order by id
                    T2 select id, value from test where id in (1, 2) order by id
                    T1 update test set value = 11 where id = 1
                    T2 update test set value = 21 where id = 2
                    T1 commit
                    T2 commit
                """,
                found=lambda t: t.kept("T1", "T2") and t.values("T1") == t.values("T2") == [10, 20],
                shown="both committed, each having read what the other wrote over",
            )
        ],
    ),
    Probe(
        name="G2",
        about="anti-dependency cycles: write skew of conditions, or through a reader",
        scripts=[
            Script(
                name="condition",
                steps="""
                    T1 select id, value from test where value % 3 = 0
                    T2 select id, value from test where value % 3 = 0
                    T1 insert into test (id, value) values (3, 30)
                    T2 insert into test (id, value) values (4, 42)
                    T1 commit
                    T2 commit
                """,
                found=lambda t: t.kept("T1", "T2") and not t.values("T1") + t.values("T2"),
                shown="both committed, neither having found the other's row",
            ),
            Script(
                name="reader",
                steps="""
                    T1 select id, value from test order by id
                    T2 update test set value = 25 where id = 2
                    T2 commit
                    T3 select id, value from test order by id
                    T3 commit
                    T1 update test set value = 0 where id = 1
                    T1 commit
                """,
                found=lambda t: (
                    t.kept("T1", "T2", "T3")
                    and t.values("T1") == [10, 20]
                    and t.values("T3") == [10, 25]
                ),
                shown="T3 saw T2's write and not T1's, though T1 had not seen T2's",
            ),
        ],
    ),
)
