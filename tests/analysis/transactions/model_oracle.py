"""Definitions of the models, by trying all orders; and a check of every order and every step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, permutations, product

from analysis.transactions.engine import Accepted, Refuted, Rules
from analysis.transactions.problem import NEVER, Problem

Pairs = set[tuple[int, int]]


def sessions(p: Problem) -> Pairs:
    """x before y in a session."""
    found = set()
    for x in range(len(p)):
        for y in range(len(p)):
            if x == y or p.session[x] != p.session[y] or p.end[x] == NEVER:
                continue
            both = p.end[y] != NEVER and p.end[y] <= p.start[x]
            if p.end[x] <= p.start[y] and (not both or x < y):
                found.add((x, y))
    return found


def real_time(p: Problem) -> Pairs:
    """x before y in real time."""
    everyone = range(len(p))
    return {(x, y) for x in everyone for y in everyone if p.end[x] < min(p.start[y], NEVER)}


def closure(n: int, pairs: Pairs) -> list[list[bool]]:
    """Reachability by at least one pair."""
    reach = [[(x, y) in pairs for y in range(n)] for x in range(n)]
    for k in range(n):
        for i in range(n):
            if reach[i][k]:
                reach[i] = [a or b for a, b in zip(reach[i], reach[k], strict=True)]
    return reach


def acyclic(n: int, pairs: Pairs) -> bool:
    """No transaction reaches itself."""
    reach = closure(n, pairs)
    return not any(reach[i][i] for i in range(n))


def reads(p: Problem) -> list[tuple[int, int, int]]:
    """(reader, key, source)."""
    columns = (p.reader.tolist(), p.read_key.tolist(), p.source.tolist())
    return list(zip(*columns, strict=True))


def writers(p: Problem) -> dict[int, list[int]]:
    """Who wrote each key."""
    found: dict[int, list[int]] = {}
    for writer, key in zip(p.writer.tolist(), p.write_key.tolist(), strict=True):
        found.setdefault(key, []).append(writer)
    return found


def holds(p: Problem, rules: Rules) -> bool:
    """Whether some version order keeps the model (docs/transactions.md)."""
    so = sessions(p) if rules.sessions else set()
    wr = {(source, reader) for reader, _, source in reads(p) if source >= 0}
    known = {(a, b) for a, b, _ in p.known.tolist()}
    if rules.model == "read-uncommitted":
        return acyclic(len(p), known)
    if rules.model in ("read-committed", "read-atomic", "causal"):
        return _axiom(p, rules, so, wr, known)
    base = wr | so | (real_time(p) if rules.realtime else set())
    written = writers(p)
    for orders in product(*(list(permutations(written[key])) for key in written)):
        by_key = dict(zip(written, orders, strict=True))
        if _in_order(p, by_key) and _model(p, rules.model, base, by_key):
            return True
    return False


def _in_order(p: Problem, orders: dict[int, tuple[int, ...]]) -> bool:
    return all(orders[k].index(a) < orders[k].index(b) for a, b, k in p.known.tolist())


def _model(p: Problem, model: str, base: Pairs, orders: dict[int, tuple[int, ...]]) -> bool:
    n = len(p)
    depends = base | {pair for order in orders.values() for pair in pairwise(order)}
    anti = set()
    for reader, key, source in reads(p):
        order = orders.get(key, ())
        later = order if source < 0 else order[order.index(source) + 1 :]
        anti |= {(reader, other) for other in later if other != reader}
    if model in ("serializable", "strict-serializable"):
        return acyclic(n, depends | anti)
    if model == "parallel-snapshot-isolation":
        reach = closure(n, depends)
        return acyclic(n, depends) and not any(reach[b][a] for a, b in anti)
    return acyclic(n, depends | {(a, d) for a, b in depends for c, d in anti if b == c})


def _axiom(p: Problem, rules: Rules, so: Pairs, wr: Pairs, known: Pairs) -> bool:
    total = wr | so | known
    reach = closure(len(p), wr | so)
    rows = reads(p)
    for number, (reader, key, source) in enumerate(rows):
        for other in writers(p).get(key, ()):
            if other in (source, reader):
                continue
            if rules.model == "causal":
                seen = reach[other][reader]
            elif rules.model == "read-atomic":
                seen = (other, reader) in wr | so
            else:
                before = [row for row in rows[:number] if row[0] == reader]
                seen = rules.sessions and other in [row[2] for row in before]
            if seen and source < 0:
                return False
            if seen:
                total.add((other, source))
    return acyclic(len(p), total)


def check_order(p: Problem, rules: Rules, accepted: Accepted) -> None:
    """Replay an order that was accepted; AssertionError if it does not explain the problem."""
    place = {int(row): number for number, row in enumerate(p.rows.tolist())}
    order = [place[row] for row in accepted.order.tolist()]
    so = sessions(p) if rules.sessions else set()
    if accepted.kind == "snapshots":
        _replay_snapshots(p, order, so)
        return
    assert sorted(order) == list(range(len(p)))
    at = {transaction: number for number, transaction in enumerate(order)}
    before = so | (real_time(p) if rules.realtime else set())
    before |= {(a, b) for a, b, _ in p.known.tolist()}
    if accepted.kind == "serialization":
        assert all(at[x] < at[y] for x, y in before)
        current = dict.fromkeys(range(p.keys), -1)
        written = writers(p)
        for transaction in order:
            for reader, key, source in reads(p):
                assert reader != transaction or current[key] == source
            current |= {key: transaction for key in written if transaction in written[key]}
        return
    by_key = {k: tuple(sorted(w, key=lambda t: at[t])) for k, w in writers(p).items()}
    if rules.model == "parallel-snapshot-isolation":
        base = {(s, r) for r, _, s in reads(p) if s >= 0} | so
        assert _in_order(p, by_key)
        assert _model(p, rules.model, base, by_key)
    else:
        _check_commits(p, rules, at)


def _check_commits(p: Problem, rules: Rules, at: dict[int, int]) -> None:
    """That the axiom holds in this order of commits."""
    so = sessions(p) if rules.sessions and rules.model != "read-uncommitted" else set()
    wr = {(s, r) for r, _, s in reads(p) if s >= 0}
    if rules.model == "read-uncommitted":
        wr = set()
    in_order = {(x, y) for x in at for y in at if at[x] < at[y]}
    assert wr | so <= in_order
    assert {(a, b) for a, b, _ in p.known.tolist()} <= in_order
    assert rules.model == "read-uncommitted" or _axiom(p, rules, so, wr, in_order)


def _replay_snapshots(p: Problem, order: Sequence[int], so: Pairs) -> None:
    assert sorted(order) == sorted(2 * list(range(len(p))))
    written = writers(p)
    current = dict.fromkeys(range(p.keys), -1)
    snap: dict[int, int] = {}
    done: dict[int, int] = {}
    for number, transaction in enumerate(order):
        if transaction not in snap:
            snap[transaction] = number
            for reader, key, source in reads(p):
                assert reader != transaction or current[key] == source
            continue
        done[transaction] = number
        for key, whose in written.items():
            if transaction in whose:
                current[key] = transaction
                for other in whose:
                    between = other in done and snap[transaction] < done[other] < number
                    assert other == transaction or not between
    assert all(done[x] < snap[y] for x, y in so)
    assert all(done[a] < done[b] for a, b, _ in p.known.tolist())


def check_steps(p: Problem, rules: Rules, refuted: Refuted) -> None:
    """Check every step of a contradiction; AssertionError if one does not follow."""
    _Steps(p, rules, refuted).check()


class _Steps:
    def __init__(self, p: Problem, rules: Rules, refuted: Refuted) -> None:
        self.p, self.rules, self.steps = p, rules, refuted.steps
        self.snapshot = "snapshot-isolation" in rules.model and "parallel" not in rules.model
        rows = p.rows.tolist()
        place = {row: number for number, row in enumerate(rows)}
        self.of = (
            (lambda e: -1 if e < 0 else place[e // 2])
            if self.snapshot
            else (lambda e: -1 if e < 0 else place[e])
        )
        self.sessions = sessions(p) if rules.sessions else set()
        self.real_time = real_time(p) if rules.realtime else set()
        self.reads = set(reads(p))
        self.writes = {(t, k) for k, whose in writers(p).items() for t in whose}
        self.rests: list[frozenset[int]] = []

    def check(self) -> None:
        for number, step in enumerate(self.steps):
            assert all(premise < number for premise in step.premises), step
            check = getattr(self, "_" + step.rule.replace("-", "_"))
            assert check(step, *(self.steps[n] for n in step.premises)), (number, step, self.steps)
            rests = frozenset().union(*(self.rests[n] for n in step.premises))
            if step.rule == "assume":
                rests = frozenset({number})
            if step.rule == "either":
                i, one, j, two = step.premises
                rests = (self.rests[one] - {i}) | (self.rests[two] - {j})
            self.rests.append(rests)
        last = self.steps[-1]
        assert last.before == last.behind
        assert not self.rests[-1]

    def _is(self, event: int, which: int) -> bool:
        return not self.snapshot or event < 0 or event % 2 == which

    def _fact(self, step, pairs, key=None) -> bool:
        right = self._is(step.before, 1) and self._is(step.behind, 0)
        pair = (self.of(step.before), self.of(step.behind))
        return right and (pair if key is None else (pair[1], key, pair[0])) in pairs

    def _session(self, step) -> bool:
        return self._fact(step, self.sessions)

    def _real_time(self, step) -> bool:
        return self._fact(step, self.real_time)

    def _reads_from(self, step) -> bool:
        return self._fact(step, self.reads, step.extra[0])

    def _initial(self, step) -> bool:
        return step.before == -1 and step.behind >= 0

    def _own(self, step) -> bool:
        return self.snapshot and step.before % 2 == 0 and step.behind == step.before + 1

    def _versions(self, step) -> bool:
        row = (self.of(step.before), self.of(step.behind), step.extra[0])
        right = self._is(step.before, 1) and self._is(step.behind, 1)
        return right and row in {tuple(known) for known in self.p.known.tolist()}

    def _transitive(self, step, one, two) -> bool:
        ends = (step.before, step.behind) == (one.before, two.behind)
        return ends and one.behind == two.before

    def _assume(self, step) -> bool:
        return step.before != step.behind and self._is(step.before, 1) and self._is(step.behind, 1)

    def _either(self, step, i, one, j, two) -> bool:
        opposite = (i.before, i.behind) == (j.behind, j.before) and i.rule == j.rule == "assume"
        both = one.before == one.behind and two.before == two.behind
        return opposite and both and step.before == step.behind

    def _overwrite(self, step, p, q) -> bool:
        """p: w reads-from o; w before u, so o before u."""
        key, u = step.extra[0], self.of(step.behind)
        right = p.rule == "reads-from" and p.extra[0] == key and p.before == q.before
        ends = q.behind == step.behind and p.behind == step.before
        who = (u, key) in self.writes and u != self.of(step.before) and self._is(step.behind, 1)
        return right and ends and who and "parallel" not in self.rules.model

    def _overwritten(self, step, p, q) -> bool:
        """p: w reads-from o; u before o, so u before w."""
        key, u = step.extra[0], self.of(step.before)
        right = p.rule == "reads-from" and p.extra[0] == key and p.behind == q.behind
        ends = q.before == step.before and p.before == step.behind
        who = (u, key) in self.writes and u != self.of(step.behind) and self._is(step.before, 1)
        return right and ends and who and u != self.of(p.behind)

    def _exclusive(self, step, *premises) -> bool:
        key, x, y = step.extra[0], self.of(step.before), self.of(step.behind)
        who = (x, key) in self.writes and (y, key) in self.writes and x != y
        if self.snapshot:
            (q,) = premises
            ends = (q.before, q.behind) == (step.before - 1, step.behind + 1)
            return who and ends and self._is(step.before, 1) and self._is(step.behind, 0)
        p, q = premises
        right = p.rule == "reads-from" and p.extra[0] == key and p.before == q.before
        ends = p.behind == step.before and q.behind == step.behind
        return who and right and ends and "parallel" in self.rules.model

    def _visible(self, step, p, *chain) -> bool:
        key, other, source = step.extra[0], self.of(step.before), self.of(step.behind)
        reader = self.of(p.behind)
        right = p.rule == "reads-from" and p.extra[0] == key and self.of(p.before) == source
        right &= (other, key) in self.writes and other not in (source, reader)
        right &= all(fact.rule in ("reads-from", "session") for fact in chain)
        right &= all(one.behind == two.before for one, two in pairwise(chain))
        right &= (self.of(chain[0].before), self.of(chain[-1].behind)) == (other, reader)
        if self.rules.model != "causal":
            right &= len(chain) == 1
        if self.rules.model == "read-committed":
            rows = reads(self.p)
            first = rows.index((reader, chain[0].extra[0], other))
            right &= chain[0].rule == "reads-from" and self.rules.sessions
            right &= first < len(rows) - 1 - rows[::-1].index((reader, key, source))
        return right and self.rules.model in ("read-committed", "read-atomic", "causal")
