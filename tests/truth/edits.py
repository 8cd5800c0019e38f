"""Edits of a document with members, and whether any was shown that should not be, or lost."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.truth.definitions import is_ok
from tests.truth.rows import Row, carried

NODES = ("n1", "n2", "n3")
NEVER = float("inf")


def make(rng: Random, final: tuple[int, int] | None) -> list[Row]:
    """Edits at three peers, of which two are revoked now and then; final reads of each peer, by a
    rule that holds, or by one that mistakes something."""
    honest = rng.random() < 0.5
    rows = []
    for value in range(1, rng.randint(2, 7)):
        again = rng.choice((value, value, value, 1))
        rows.append(_row(rng, "add", again, "elements", rng.choice((*NODES, "n2", "n2"))))
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        f = rng.choice(("revoke", "revoke", "admit"))
        rows.append(_row(rng, f, rng.choice(("n2", "n2", "n3")), "members", "n1", latest=30))
    if rng.random() < 0.05:
        rows.append(_row(rng, "revoke", rng.choice((None, 3, ["n2"])), "members", "n1"))
    begin = final[0] if final else max((row.end for row in rows), default=0) + 1
    for node in rng.sample(NODES, rng.randint(1, 3)):
        shown, hidden = _view(rng, rows, honest)
        at = begin + rng.randint(0, 3) - (rng.random() < 0.1)
        rows.append(Row("read", shown, at, at + rng.randint(0, 2), key="elements", node=node))
        if rng.random() < 0.9:
            rows.append(Row("read", hidden, at, at + 1, key="rolled-back", node=node))
        if rng.random() < 0.1:
            rows.append(Row("read", ["n1"], at, at + 1, key="members", node=node))
    if rng.random() < 0.1:
        rows.append(_row(rng, "read", rng.choice(([], [1], None)), "elements", "n1"))
    rng.shuffle(rows)
    return sorted(rows, key=lambda row: row.end)


def _row(rng: Random, f: str, value: Any, key: str, node: str, latest: int = 60) -> Row:
    start = rng.randint(0, latest)
    kind = rng.choice((*["ok"] * 8, "info", "fail"))
    error = None if kind == "ok" else "timeout"
    process = rng.randint(0, 9)
    return Row(f, value, start, start + rng.randint(0, 12), kind, process, key, None, error, node)


def _view(rng: Random, rows: Sequence[Row], honest: bool) -> tuple[list[Any], list[Any]]:
    """What a peer shows, and what it has as rolled back."""
    shown, hidden = [], []
    for value in dict.fromkeys(row.value for row in rows if row.f == "add"):
        adds = [row for row in rows if row.f == "add" and row.value == value]
        adds = [row for row in adds if row.type != "fail"] or (adds if rng.random() < 0.02 else [])
        good = any(not unauthorised(rows, row) for row in adds)
        if not adds:
            continue
        if not honest and rng.random() < 0.25:
            good = rng.choice((True, False, None))
        if good is not None:
            (shown if good else hidden).append(value)
    if rng.random() < 0.03:
        shown.append(rng.choice((99, "1", 1)))
    return shown, hidden


def unauthorised(rows: Sequence[Row], edit: Row) -> bool:
    """Whether the author had certainly been revoked before the edit began, and was not admitted
    again by its end."""
    upto = edit.end if edit.type == "ok" else NEVER
    about = [row for row in rows if row.type != "fail" and row.value == edit.node]
    for revoke in about:
        if revoke.f == "revoke" and is_ok(revoke) and revoke.end < edit.start:
            after = [
                row
                for row in about
                if row.f == "admit"
                and not (row.type == "ok" and row.end < revoke.start)
                and row.start <= upto
            ]
            if not after:
                return True
    return False


def truth(rows: Sequence[Row], final: tuple[int, int] | None) -> str:
    """What is shown in the end was added by who was allowed to; what was acknowledged is shown, or
    reported as rolled back, for a reason."""
    adds = [row for row in rows if row.f == "add" and row.key == "elements" and row.type != "fail"]
    adds = [row for row in adds if row.value is not None]
    standing = [row for row in rows if row.f in ("revoke", "admit") and row.type != "fail"]
    over = max((row.end for row in (*adds, *standing)), default=-NEVER)
    looks = [row for row in rows if row.f == "read" and is_ok(row) and row.value is not None]
    looks = [row for row in looks if row.key in ("elements", "rolled-back")]
    ends = [row for row in looks if (row.start >= final[0] if final else row.start > over)]
    finals = [row for row in ends if row.key == "elements"]
    reports = [row for row in ends if row.key == "rolled-back"]
    revokes = [row for row in standing if row.f == "revoke" and isinstance(row.value, str)]

    def has(look: Row, value: Any) -> bool:
        return carried(value) in [carried(shown) for shown in look.value]

    def may_have_added(value: Any, look: Row) -> list[Row]:
        return [e for e in adds if carried(e.value) == carried(value) and e.start <= look.end]

    wrong = any(not may_have_added(value, look) for look in looks for value in look.value)
    for read in finals:
        for value in read.value:
            by = may_have_added(value, read)
            wrong |= bool(by) and all(unauthorised(rows, edit) for edit in by)
        for edit in adds:
            told = any(has(report, edit.value) for report in reports if report.node == read.node)
            owed = is_ok(edit) and edit.end < read.start and not unauthorised(rows, edit)
            wrong |= owed and not has(read, edit.value) and not told
    for report in reports:
        for value in report.value:
            by = may_have_added(value, report)
            cause = [r for e in by for r in revokes if r.value == e.node and r.start <= report.end]
            wrong |= bool(by) and not cause
    if wrong:
        return "invalid"
    kept = any(
        is_ok(edit) and edit.end < read.start and has(read, edit.value)
        for edit in adds
        for read in finals
    )
    return "valid" if kept and any(is_ok(row) for row in revokes) else "unknown"
