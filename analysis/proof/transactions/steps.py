"""Claims of a contradiction: step by step, until a transaction comes before itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from analysis.proof.rows import Refused
from analysis.proof.transactions.known import INITIAL, Known

_ANY = {"session", "initial", "reads-from", "versions", "transitive"}
_CASES = {"assume", "either"}
_SERIAL = _ANY | _CASES | {"overwrite", "overwritten"}
_SNAPSHOT = _SERIAL | {"own", "exclusive"}
RULES = {
    "serializable": _SERIAL,
    "strict-serializable": _SERIAL | {"real-time"},
    "snapshot-isolation": _SNAPSHOT,
    "strong-session-snapshot-isolation": _SNAPSHOT,
    "parallel-snapshot-isolation": _ANY | _CASES | {"overwritten", "exclusive"},
    "causal": _ANY | {"visible"},
    "read-atomic": _ANY | {"visible"},
    "read-committed": _ANY | {"visible"},
}


class Step(NamedTuple):
    """x before y; of a reads-from, of which key."""

    x: int
    y: int
    rule: str
    key: int | None
    open: int = 0  # the assumptions that it rests on, as bits


class _Rules:
    """What may be concluded of one model. Snapshots and commits are 2r and 2r + 1 of row r;
    in models that have only commits, r.
    """

    def __init__(self, known: Known, model: str) -> None:
        self.known, self.model = known, model
        self.events = "snapshot-isolation" in model and not model.startswith("parallel")

    def row(self, event: int) -> int:
        """Whose event it is."""
        return event >> 1 if self.events else event  # that of the initial versions is -1, too

    def begin(self, row: int) -> int:
        """When it takes its snapshot."""
        return 2 * row if self.events else row

    def commit(self, row: int) -> int:
        """When it commits."""
        return 2 * row + 1 if self.events else row

    def given(self, x: int, y: int, rule: str, rest: list[Any]) -> bool:
        """Whether it follows from the history alone."""
        a, b, known = self.row(x), self.row(y), self.known
        ends = (self.commit(a), self.commit(b) if rule == "versions" else self.begin(b))
        if rule == "own":
            return self.events and a == b >= 0 and (x, y) == (self.begin(a), self.commit(a))
        if rule == "initial":
            return x == INITIAL != y
        if rule == "assume":
            own = self.model != "parallel-snapshot-isolation" or known.rivals(a, b)
            return x != y and min(a, b) >= 0 and own
        if (x, y) != ends or b < 0 or (a < 0 and rule != "reads-from"):
            return False
        reasons: dict[str, Callable[..., bool]] = {"reads-from": known.wr, "versions": known.ww,
                  "session": known.session, "real-time": known.realtime}  # fmt: skip
        return reasons[rule](a, b, *rest)

    def follows(self, x: int, y: int, rule: str, told: list[Step], rest: list[Any]) -> bool:
        """Whether it follows from these premises."""
        a, b, known = self.row(x), self.row(y), self.known
        p = told[0]
        if rule == "transitive":
            return (p.x, p.y, told[1].y) == (x, told[1].x, y) and len(told) == 2
        (name,) = rest
        if rule == "exclusive" and self.events:
            (q,) = told
            both = a != b and known.writes(a, name) and known.writes(b, name)
            overlap = (q.x, q.y) == (self.begin(a), self.commit(b))
            return both and overlap and (x, y) == (self.commit(a), self.begin(b))
        w, o, q = self.row(p.x), self.row(p.y), told[1]
        if p.rule != "reads-from" or p.key != known.key_code(name):
            return False
        if rule == "visible":
            return x != y == w and known.writes(x, name) and self._sees(x, p, told[1:])
        if len(told) != 2:
            return False
        if rule == "overwritten":  # what b wrote was read after a had committed
            before = (q.x, q.y) == (x, self.begin(o)) and b == w and a not in (w, o)
            return before and (x, y) == (self.commit(a), p.x) and known.writes(a, name)
        after = (q.x, q.y) == (p.x, y) and a == o != b and known.writes(b, name)
        if rule == "exclusive":
            return after and known.writes(a, name)
        return after and (x, y) == (p.y, self.commit(b))

    def _sees(self, x: int, p: Step, chain: list[Step]) -> bool:
        """Whether the reader of p has seen x, as the model means it."""
        links = [(x, x), *((step.x, step.y) for step in chain), (p.y, p.y)]
        linked = all(one[1] == other[0] for one, other in pairwise(links))
        right = all(step.rule in ("reads-from", "session") for step in chain)
        if not chain or not linked or not right or (self.model != "causal" and len(chain) > 1):
            return False
        if self.model != "read-committed":
            return True
        (link,) = chain
        return link.rule == "reads-from" and self.known.read_before(
            (link.x, link.y, link.key or 0), (p.x, p.y, p.key or 0)
        )


def contradiction(known: Known, claim: Any) -> set[str]:
    """Accept steps that end in a transaction before itself; the rules that were needed."""
    rules = _Rules(known, claim["model"])
    told: list[Step] = []
    assumed = 0
    rows = set(known.t.rows.listed(claim["operations"], "the witness").tolist())
    if not all(map(known.committed, rows)):
        raise Refused("a transaction of the witness is not known to have committed")
    for number, (x, y, rule, premises, *rest) in enumerate(claim["steps"]):
        if {type(x), type(y), *map(type, premises)} != {int} or rule not in RULES[claim["model"]]:
            raise Refused(f"step {number} is not about rows and steps, or has no rule of the model")
        if not all(0 <= premise < number for premise in premises):
            raise Refused(f"step {number} rests on one that does not come before it")
        if not {rules.row(x), rules.row(y)} <= rows | {INITIAL} or min(x, y) < INITIAL:
            raise Refused(f"step {number} is about a transaction that the witness does not have")
        bit = 0
        if rule == "assume":
            bit, assumed = 1 << assumed, assumed + 1
        step = _step(rules, x, y, rule, [told[premise] for premise in premises], rest, bit)
        if step is None:
            raise Refused(f"step {number}: that {x} is before {y} does not follow by {rule}")
        told.append(step)
    if not told or told[-1].x != told[-1].y or told[-1].open:
        raise Refused("the last step is not that a transaction comes before itself, in any case")
    if {rules.row(event) for step in told for event in step[:2]} - {INITIAL} != rows:
        raise Refused("the operations of the witness are not those of its steps")
    return {step.rule for step in told}


def _step(rules: _Rules, x: int, y: int, rule: str, told: list[Step], rest: list[Any],
          bit: int) -> Step | None:  # fmt: skip
    """The step, with what it rests on; None if it does not follow."""
    if rule == "either":
        one, p, other, q = told
        cases = one.rule == other.rule == "assume" and (one.x, one.y) == (other.y, other.x)
        absurd = p.x == p.y and q.x == q.y and x == y and not rest
        rests = (p.open & ~one.open) | (q.open & ~other.open)
        return Step(x, y, rule, None, rests) if cases and absurd else None
    if not told:
        key = rules.known.key_code(rest[0]) if rule == "reads-from" else None
        return Step(x, y, rule, key, bit) if rules.given(x, y, rule, rest) else None
    rests = 0
    for step in told:
        rests |= step.open
    return Step(x, y, rule, None, rests) if rules.follows(x, y, rule, told, rest) else None
