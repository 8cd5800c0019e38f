"""Whether a claim about a register holds, rule by rule as docs/certificates.md has them.

Written for these tests: it knows neither the checkers nor `analysis.proof`.
"""

from __future__ import annotations

from tests.analysis.register_histories import after, happened, has_order, is_refused


class Facts:
    """What a history says by itself."""

    def __init__(self, rows, initial, refusals):
        self.rows, self.initial, self.refusals = rows, initial, refusals

    def key(self, row):
        return self.rows[row]["key"]

    def precedes(self, x, y):
        a, b = self.rows[x], self.rows[y]
        return happened(a, self.refusals) and a["end_ns"] < b["start_ns"]

    def sees(self, row):
        r = self.rows[row]
        return r["value"] if r["f"] == "read" else r["expected"]

    def observes(self, row):
        r = self.rows[row]
        return r["f"] in ("read", "cas") and not is_refused(r) and self.known(row)

    def writers(self, key, value):
        """Who may have written it; -1 if it is the initial value."""
        found = [-1] if value == self.initial else []
        return found + [
            i
            for i, r in enumerate(self.rows)
            if r["key"] == key and r["f"] != "read" and r["type"] != "fail" and r["value"] == value
        ]

    def known(self, row, seen=frozenset()):
        """Whether the row is known to have happened."""
        r = self.rows[row]
        if r["type"] == "ok":
            return True
        if r["type"] == "fail" or r["f"] == "read" or row in seen:
            return self.refusals and is_refused(r)
        if self.writers(r["key"], r["value"]) != [row]:
            return False
        return any(
            i != row
            and o["key"] == r["key"]
            and (o["f"] == "read" or o["f"] == "cas")
            and not is_refused(o)
            and o["type"] != "fail"
            and self.sees(i) == r["value"]
            and self.known(i, seen | {row})
            for i, o in enumerate(self.rows)
        )


def follows(facts, steps, number):
    """Whether a step follows by its rule."""
    before, after_, rule, premises = steps[number]
    assert all(p < number for p in premises)
    if not all(facts.known(x) for x in (before, after_) if x >= 0):
        return False
    if rule == "real-time":
        return before >= 0 and after_ >= 0 and facts.precedes(before, after_)
    if rule == "initial":
        return before == -1 and after_ >= 0
    if rule == "reads-from":
        value, key = facts.sees(after_), facts.key(after_)
        return facts.observes(after_) and facts.writers(key, value) == [before]
    (a, b, first, _), (c, d, _, _) = steps[premises[0]], steps[premises[1]]
    if rule == "transitive":
        return (before, after_) == (a, d) and b == c
    writer, observer = a, b
    changer = after_ if rule == "overwrite" else before
    r = facts.rows[changer] if changer >= 0 else None
    if first != "reads-from" or r is None or changer in (writer, observer):
        return False
    if r["key"] != facts.key(observer) or r["f"] == "read":
        return False
    if is_refused(r) and r["expected"] != facts.sees(observer):
        return False
    if rule == "overwrite":
        return before == observer and (c, d) == (writer, changer)
    return rule == "overwritten" and after_ == writer and (c, d) == (changer, observer)


def contradiction_holds(claim, facts):
    steps = [tuple(step) for step in claim["steps"]]
    assert all(follows(facts, steps, n) for n in range(len(steps))), steps
    assert steps[-1][0] == steps[-1][1] >= 0
    mentioned = {row for step in steps for row in step[:2]} - {-1}
    assert mentioned == set(claim["operations"])
    used = {p for step in steps for p in step[3]}
    assert used == set(range(len(steps) - 1)), "every step but the last is a premise"
    return True


def observed_holds(claim, facts):
    name, rows = claim["anomaly"], claim["operations"]
    saw = rows[1] if name == "aborted-read" else rows[0]
    assert facts.observes(saw)
    value, key = facts.sees(saw), facts.key(saw)
    assert facts.writers(key, value) == []
    failed = [
        i
        for i, r in enumerate(facts.rows)
        if r["key"] == key and r["f"] != "read" and r["type"] == "fail" and r["value"] == value
    ]
    return bool(failed) == (name == "aborted-read") and (not failed or rows[0] in failed)


def no_order_holds(claim, facts):
    """Nothing that began before `until` ended has an order; before that answer there was one."""
    limit = facts.rows[claim["until"]]["end_ns"]
    of_key = [(i, r) for i, r in enumerate(facts.rows) if r["key"] == claim["key"]]

    def cut(done):
        rows = []
        for i, r in of_key:
            if r["start_ns"] <= limit:
                if not happened(r, facts.refusals) or done(i, r):
                    rows.append(r)
                elif not is_refused(r):  # a refused one never has an effect
                    rows.append({**r, "type": "info"})
        return rows

    prefix = cut(lambda i, r: r["end_ns"] <= limit)
    return not has_order(prefix, initial=facts.initial, refusals=facts.refusals)


def holds(claim, rows, *, initial=None, refusals=False):
    facts = Facts(rows, initial, refusals)
    kinds = {
        "contradiction": contradiction_holds,
        "observed": observed_holds,
        "no-order": no_order_holds,
    }
    return kinds[claim["kind"]](claim, facts)


def order_holds(claim, rows, *, initial=None, refusals=False):
    """Whether the claimed order explains every operation, key by key."""
    model = "cas-register" if refusals else "register"
    assert (claim["kind"], claim["model"]) == ("order", model)
    order = [int(i) for i in claim["order"]]
    state, begun = {}, {}
    for i in order:
        r = rows[i]
        assert r["type"] != "fail" or (refusals and is_refused(r))
        key = r["key"]
        end = r["end_ns"] if happened(r, refusals) else float("inf")
        assert end >= begun.get(key, end), "real time is respected"
        begun[key] = max(begun.get(key, r["start_ns"]), r["start_ns"])
        possible, state[key] = after(r, state.get(key, initial))
        assert possible, (i, r)
    assert len(set(order)) == len(order)
    assert {i for i, r in enumerate(rows) if happened(r, refusals)} <= set(order)
    return True
