"""Claims about transactions against an exhaustive search over small histories.

Whatever the verifier accepts is true; and of every model that holds it accepts some order.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations, permutations, product
from random import Random

import pytest

from analysis.proof.rows import Refused, Rows
from analysis.proof.transactions import claims
from analysis.proof.transactions.known import Known
from analysis.proof.transactions.micros import Transactions
from analysis.proof.transactions.steps import RULES, _Rules, _step
from tests.analysis.transactions.small import KEYS, compact, history
from tests.truth.rows import table
from tests.truth.transactions.oracle import MODELS, truths

DIALECTS = ("adya", "axiomatic")


def drawn(seed, count, size):
    """(rows, initial value, whether of lists, the same as the verifier reads them)."""
    rng = Random(seed)
    while count:
        lists = rng.random() < 0.5
        rows = history(rng, lists=lists, size=rng.randint(2, size))
        initial = None if lists else rng.choice((None, None, 0, 1))
        written = compact(rows) if rng.random() < 0.5 else table(rows)
        try:
            read = Transactions(Rows(written), initial)
        except Refused:
            continue
        count -= 1
        yield rows, initial, lists, read


def properties(lists):
    return (*MODELS, "list-append" if lists else "rw-register")


def model_of(name, dialect):
    model = claims.MODELS["strict-serializable" if name in claims.KINDS else name]
    return model._replace(sessions=model.sessions or dialect == "axiomatic")


def refuted(model, name, dialect):
    """Whether what rules out `model` rules out a property."""
    other = model_of(name, dialect)
    needs = model.sessions <= other.sessions and model.realtime <= other.realtime
    return needs and model.strength <= other.strength


# Orders


def events(rows):
    """Every order of snapshots and commits."""
    open_ = [((), frozenset(rows), frozenset())]
    while open_:
        done, fresh, begun = open_.pop()
        if not fresh and not begun:
            yield list(done)
        open_ += [((*done, row), fresh - {row}, begun | {row}) for row in fresh]
        open_ += [((*done, row), fresh, begun - {row}) for row in begun]


def accepted(read, name, dialect, kind, orders):
    """The first of these orders that is accepted."""
    for order in orders:
        try:
            claims._valid(read, name, model_of(name, dialect), {"kind": kind, "order": order})
        except Refused:
            continue
        return order
    return None


@pytest.mark.parametrize("seed", range(2))
def test_of_all_orders_one_is_accepted_exactly_where_the_model_holds(seed):
    tally = Counter()
    for rows, initial, lists, read in drawn(f"orders {seed}", 40, 3):
        may = [at for at, row in enumerate(rows) if row.type != "fail"]
        must = {at for at in may if rows[at].type == "ok"}
        parts = [part for n in range(len(may) + 1) for part in combinations(may, n)]
        parts = [part for part in parts if must <= set(part)]
        serial = [list(order) for part in parts for order in permutations(part)]
        double = [order for part in parts for order in events(part)]
        for dialect in DIALECTS:
            truth = truths(rows, initial, dialect)
            for name in properties(lists):
                strength = model_of(name, dialect).strength
                found = {"serialization": accepted(read, name, dialect, "serialization", serial)}
                if strength <= 5:
                    found["snapshots"] = accepted(read, name, dialect, "snapshots", double)
                if strength <= 4:
                    found["commit-order"] = accepted(read, name, dialect, "commit-order", serial)
                holds = truth[name] == "valid"
                last = list(found)[-1]  # the kind that can show all that the model allows
                assert (found[last] is not None) == holds, (name, dialect, initial, rows)
                assert holds or set(found.values()) == {None}, (name, dialect, initial, rows)
                tally[truth[name]] += 1
    assert min(tally["valid"], tally["invalid"]) > 20


# Observations and cycles


def holds(reason, *what):
    try:
        return reason(*what)
    except Refused:
        return False


def edges(known, rows, lists):
    """An edge of each reason between each two transactions, if there is one."""
    wrote = {}
    for at, row in enumerate(rows):
        for f, key, value in row.value:
            if f != "r":
                wrote.setdefault((at, key), set()).add(value)
    places = [at for at in range(len(rows)) if known.committed(at)]
    found = {}
    for a, b in permutations(places, 2):
        found |= {(a, b, "session"): []} if known.session(a, b) else {}
        found |= {(a, b, "realtime"): []} if known.realtime(a, b) else {}
        for key in range(KEYS):
            mine, others = wrote.get((a, key), ()), wrote.get((b, key), ())
            for reason, rule, *what in (
                *(("wr", known.wr_of, key, value) for value in mine),
                *(("rw", known.rw, key, value) for value in others),
                *(("ww", known.ww, key, v, w, r) for v in mine for w in others for r in places),
            ):
                if (lists or reason != "ww") and holds(rule, a, b, *what):
                    found[a, b, reason] = what
    return [[*edge, *how] for edge, how in found.items()]


def candidates(rows, found):
    """Claims of every name about any transactions, and about cycles of these edges."""
    places = range(len(rows))
    shown = {v for row in rows for f, _, v in row.value if type(v) is int}
    shown |= {v for row in rows for _, _, part in row.value if type(part) is list for v in part}
    for name, key in product(claims.OBSERVED, range(KEYS)):
        told = {"kind": "observed", "anomaly": name, "key": key}
        for listed in (*([at] for at in places), *map(list, permutations(places, 2))):
            asks = name in ("thin-air-read", "future-read", "G1a", "G1b")
            for value in (*shown, None, 99) if asks else (None,):
                yield {**told, "operations": listed, "value": value}
    names = (*(n for n in claims.ANOMALIES if n[0] == "G" and n[:3] not in ("G1a", "G1b")),
             "fractured-read", "long-fork", "write-skew")  # fmt: skip
    for size in (2, 3, 4):
        for round_ in permutations(places, size):
            steps = zip(round_, (*round_[1:], round_[0]), strict=True)
            ways = [[edge for edge in found if tuple(edge[:2]) == step] for step in steps]
            for cycle, name in product(product(*ways), names):
                told = {"kind": "cycle", "anomaly": name, "edges": list(cycle)}
                yield {**told, "operations": list(round_)}


def judged(known, claim, dialect):
    """The model that an accepted claim rules out."""
    try:
        return claims._refuted(known, claim, dialect)
    except (Refused, TypeError):  # a rule of another number of operations
        return None


def test_whatever_is_observed_or_goes_round_rules_out_what_it_says():
    tally = Counter()
    for rows, initial, lists, read in drawn("cycles", 200, 4):
        known, ruled_out = Known(read), set()
        truth = {dialect: truths(rows, initial, dialect) for dialect in DIALECTS}
        for claim in candidates(rows, edges(known, rows, lists)):
            if model := judged(known, claim, "adya"):
                ruled_out.add(model)
                tally[claim["anomaly"]] += 1
        for dialect, model in product(DIALECTS, ruled_out):
            for name in properties(lists):
                if refuted(model, name, dialect):
                    assert truth[dialect][name] == "invalid", (name, dialect, model, initial, rows)
    assert len(tally) > 12


# Contradictions


def conclusions(known, model, found, assumed=()):
    """All that follows by the rules of a model, until there is no more."""
    rules, told = _Rules(known, model), {(step.x, step.y): step for step in assumed}
    committed = [at for at in range(known.t.rows.count) if known.committed(at)]
    mine = [e for at in committed for e in ((2 * at, 2 * at + 1) if rules.events else (at,))]
    reads, sessions = [], []

    def add(x, y, rule, premises=(), rest=()):
        if rule not in RULES[model] or ((x, y) in told and rule not in ("reads-from", "session")):
            return False
        try:
            step = _step(rules, x, y, rule, list(premises), list(rest), 0)
        except (Refused, ValueError):
            return False
        if step is None:
            return False
        reads.extend([step] if rule == "reads-from" else [])
        sessions.extend([step] if rule == "session" else [])
        fresh = (x, y) not in told
        told.setdefault((x, y), step)
        return fresh

    for x, y in product([-1, *mine], mine):
        for rule in ("initial", "own", "session", "real-time"):
            add(x, y, rule)
        for key in range(KEYS):
            add(x, y, "reads-from", rest=[key])
        for a, b, reason, *how in found:
            if reason == "ww" and (a, b) == (rules.row(x), rules.row(y)):
                add(x, y, "versions", rest=how)
    more = True
    while more:
        known_now, more = list(told.values()), False
        for p, q in product(known_now, known_now):
            more |= p.y == q.x and add(p.x, q.y, "transitive", [p, q])
        for key, q in product(range(KEYS), known_now):
            ends = rules.commit(rules.row(q.x)), rules.begin(rules.row(q.y))
            more |= min(q.x, q.y) >= 0 and add(*ends, "exclusive", [q], [key])
            for p, rule in product(reads, ("overwrite", "overwritten", "exclusive")):
                for x, y in ((p.y, q.y), (q.x, p.x)):
                    more |= add(x, y, rule, [p, q], [key])
        links = [*reads, *sessions]
        for key, p, c in product(range(KEYS), reads, links):
            more |= add(c.x, p.x, "visible", [p, c], [key])
            for d in links:
                more |= add(c.x, p.x, "visible", [p, c, d], [key])
    return told, any(x == y for x, y in told), mine


def absurd(known, model, found):
    """Whether a contradiction follows, of two cases at most."""
    told, wrong, mine = conclusions(known, model, found)
    if wrong or "assume" not in RULES[model]:
        return wrong
    rules = _Rules(known, model)
    for x, y in combinations(mine, 2):
        cases = [_step(rules, x, y, "assume", [], [], 1), _step(rules, y, x, "assume", [], [], 2)]
        if None not in cases and (x, y) not in told and (y, x) not in told:
            first, second = (conclusions(known, model, found, [case])[1] for case in cases)
            if first and second:
                return True
    return False


@pytest.mark.parametrize("model", RULES)
def test_what_contradicts_itself_has_no_order(model):
    count = 0
    for rows, initial, lists, read in drawn(f"steps {model}", 40, 4):
        known = Known(read)
        wrong = absurd(known, model, edges(known, rows, lists))
        # Where the rules of sessions are used they are for models in which sessions count.
        dialect = "adya" if model in ("causal", "strict-serializable") else "axiomatic"
        truth = truths(rows, initial, dialect)[model]
        assert not wrong or truth == "invalid", (initial, rows)
        count += wrong
    assert count
