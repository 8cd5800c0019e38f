"""Who may edit a document, and what becomes of edits made beside a revocation."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from tests.analysis.counted_histories import Row, counts, judged
from tests.truth import edits

NAME = "authorised-edits"


def add(value, start, end, node="n2", type="ok"):
    return Row("add", value, start, end, type, key="elements", node=node)


def revoke(start, end, member="n2", type="ok", f="revoke"):
    return Row(f, member, start, end, type, key="members", node="n1")


def admit(start, end, member="n2", type="ok"):
    return revoke(start, end, member, type, "admit")


def read(value, start=100, node="n1", key="elements"):
    return Row("read", value, start, start + 1, key=key, node=node)


def report(value, start=100, node="n1"):
    return read(value, start, node, "rolled-back")


KEPT = add(1, 0, 1)


def test_by_every_definition():
    """Each count of each anomaly, as its definition says, one element and one read at a time."""
    rng, seen = random.Random(1), Counter()
    for _ in range(1000):
        final = rng.choice((None, (80, 120)))
        rows = edits.make(rng, final)
        result = judged(NAME, rows, final_ns=final)
        assert str(result.verdict) == edits.truth(rows, final), rows
        assert counts(result) == naive(rows, final), rows
        seen.update(counts(result).keys())
        seen[str(result.verdict)] += 1
    assert min(seen[kind] for kind in ("valid", "invalid", "unknown")) > 100
    assert min(seen[f"{n}"] for n in ("phantom", "unfounded-rollback", "lost-edit")) > 10
    assert seen["unauthorised-edit"] > 25


def naive(rows, final):
    """Anomalies by name."""
    adds = [r for r in rows if r.f == "add" and r.type != "fail"]
    done = [r for r in rows if r.f in ("add", "revoke", "admit") and r.type != "fail"]
    over = max((r.end for r in done), default=-1)
    looks = [r for r in rows if r.f == "read" and r.type == "ok" and r.value is not None]
    looks = [r for r in looks if r.key != "members"]
    last = [r for r in looks if (r.start >= final[0] if final else r.start > over)]
    finals = [r for r in last if r.key == "elements"]
    reports = [r for r in last if r.key == "rolled-back"]

    def who(value, look):
        return [e for e in adds if repr(e.value) == repr(value) and e.start <= look.end]

    def revoked(edit, look):
        return any(
            r.f == "revoke" and r.value == edit.node and r.type != "fail" and r.start <= look.end
            for r in rows
        )

    def told(value, node):
        return any(r.node == node and value in r.value for r in reports)

    wrong = {
        "phantom": [(id(r), v) for r in looks for v in r.value if not who(v, r)],
        "unfounded-rollback": {
            repr(v)
            for r in reports
            for v in r.value
            if who(v, r) and not any(revoked(e, r) for e in who(v, r))
        },
        "lost-edit": [
            e
            for e in adds
            if e.type == "ok"
            and not edits.unauthorised(rows, e)
            and any(e.end < r.start and e.value not in r.value and not told(e.value, r.node)
                    for r in finals)
        ],
        "unauthorised-edit": {
            repr(v)
            for r in finals
            for v in r.value
            if who(v, r) and all(edits.unauthorised(rows, e) for e in who(v, r))
        },
    }  # fmt: skip
    return {name: len(found) for name, found in wrong.items() if found}


@pytest.mark.parametrize(
    ("rows", "verdict", "words"),
    [
        # An edit after the revocation, which only its author's peer shows.
        ([KEPT, revoke(5, 6), add(2, 7, 8), read([1]), read([1, 2], node="n2")], "invalid",
         "n1 had acknowledged the revocation of n2 at 0.000000006 s; process 0's add of 2 at n2 "
         "began at 0.000000007 s, and in the end n2 shows it"),
        ([KEPT, revoke(5, 6), add(2, 7, 8), read([1]), report([2])], "valid", "1 were rolled back"),
        ([KEPT, revoke(5, 6), add(2, 7, 8), read([1])], "valid", "0 were rolled back"),
        # Beside the revocation, or touching it: it may be shown, or rolled back, and not be lost.
        ([KEPT, revoke(5, 6), add(2, 6, 8), read([1, 2])], "valid", "2 are in final reads"),
        ([KEPT, revoke(5, 6), add(2, 4, 8), read([1]), report([2])], "valid", "1 were rolled"),
        ([KEPT, revoke(5, 6), add(2, 4, 8), read([1])], "invalid", "1 lost-edit"),
        ([KEPT, revoke(5, 6), add(2, 4, 8), read([1]), report([2], node="n2")], "invalid",
         "1 lost-edit"),
        ([KEPT, revoke(5, 6), add(2, 4, 8, type="info"), read([1])], "valid", "of 1 acknowledged"),
        # Admitted again, or perhaps; an edit without an answer may come after that.
        ([KEPT, revoke(5, 6), admit(7, 8), add(2, 9, 9), read([1, 2])], "valid", "2 are in"),
        ([KEPT, revoke(5, 6), admit(7, 8, type="info"), add(2, 9, 9), read([1, 2])], "valid", ""),
        ([KEPT, revoke(5, 6), admit(7, 8, type="fail"), add(2, 9, 9), read([1, 2])], "invalid",
         "1 unauthorised-edit"),
        ([KEPT, revoke(5, 6), add(2, 9, 9), admit(10, 11), read([1, 2])], "invalid", "unauth"),
        ([KEPT, revoke(5, 6), add(2, 9, 9, type="info"), admit(10, 11), read([1, 2])], "valid", ""),
        ([KEPT, admit(1, 4), revoke(5, 6), add(2, 9, 9), read([1, 2])], "invalid", "unauth"),
        ([KEPT, admit(1, 5), revoke(5, 6), add(2, 9, 9), read([1, 2])], "valid", ""),
        # Somebody else's revocation, or none, is no reason.
        ([KEPT, revoke(5, 6, "n3"), read([]), report([1])], "invalid",
         "1 unfounded-rollback"),
        ([KEPT, revoke(5, 6, type="fail"), read([1])], "unknown", "nobody was revoked"),
        ([KEPT, revoke(5, 6), read([1, 9])], "invalid", "was shown 9"),
        ([KEPT, revoke(5, 6), read([1]), report([9])], "invalid", "1 phantom"),
        ([KEPT, revoke(5, 6), report([])], "unknown", "no final read"),
        ([KEPT, revoke(5, 6), read([1], start=6)], "unknown", "no final read"),
        ([add(1, 0, 1, type="info"), revoke(5, 6), read([1])], "unknown", "no final read shows"),
        ([], "unknown", "no final read"),
    ],
)  # fmt: skip
def test_by_hand(rows, verdict, words):
    result = judged(NAME, rows)
    assert str(result.verdict) == verdict, result.why
    assert words in " ".join([result.why, *(a.argument for a in result.anomalies)])


def test_an_element_that_somebody_else_added_too_is_authorised():
    rows = [KEPT, revoke(5, 6), add(2, 7, 8), add(2, 7, 8, node="n3"), read([1, 2])]
    assert judged(NAME, rows).verdict == "valid"


def test_the_witness_is_a_revocation_an_edit_and_a_read():
    rows = [KEPT, revoke(5, 6), add(2, 7, 8), add(3, 8, 9), read([1, 3, 2], node="n2")]
    (anomaly,) = judged(NAME, rows).anomalies
    assert (anomaly.operations, anomaly.count, anomaly.first_ns) == ((1, 2, 4), 2, 8)


def test_a_long_history_is_judged_in_a_second():
    size = 40_000
    rows = [add(n, n, n + 1, node=f"n{n % 3 + 1}") for n in range(size)]
    rows += [revoke(size // 2, size // 2 + 2, "n3")]
    shown = [n for n in range(size) if n % 3 != 2 or n < size // 2]
    late = [n for n in range(size) if n % 3 == 2 and n >= size // 2]
    for node in ("n1", "n2", "n3"):
        rows += [read(shown, 2 * size, node), report(late, 2 * size, node)]
    began = time.process_time()
    result = judged(NAME, rows)
    assert str(result.verdict) == "valid", result.why
    assert f"{len(late):,} were rolled back" in result.why
    assert time.process_time() - began < 15  # with its certificate, which is checked in Python
