"""`abort_when:` of an experiment: looked at several times a second while faults come and go."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from chaos.spec.experiment import AbortWhen
from chaos.units import format_duration, format_percent

NO_ANSWER = ("unknown", "down")  # roles of a node that did not say its role
TAKES_WRITES = ("primary", "member")


class Totals(Protocol):
    """How many operations have ended so far, and how (chaos.load.pool.LoadStats)."""

    @property
    def ok(self) -> int:
        """Done."""

    @property
    def fail(self) -> int:
        """Certainly not done."""

    @property
    def info(self) -> int:
        """Perhaps done."""


class AbortWatch:
    """Whether one of an experiment's conditions holds. Times are ns since the run's start."""

    def __init__(self, conditions: Sequence[AbortWhen], groups: Sequence[Sequence[str]]) -> None:
        """`groups`: the nodes of each group that clients use; one that lost its majority or its
        primary is enough."""
        self._conditions = conditions
        self._groups = groups
        self._broken: dict[str, Sequence[str]] = {}  # what is lost → the group that has lost it
        self._totals: deque[tuple[int, int, int, int]] = deque()  # time, ok, fail, info
        self._since: dict[str, int] = {}  # what is lost → since when
        windows = [c.window_ns for c in conditions if c.error_rate is not None]
        self._keep_ns = max(windows, default=0)

    def why(self, now_ns: int, totals: Totals, roles: Mapping[str, str]) -> str:
        """Why the faults must end now; "" while they may go on.

        `roles`: what each node claimed last; nothing is concluded until all were asked once.
        """
        if not self._conditions or now_ns < 0:
            return ""
        self._totals.append((now_ns, totals.ok, totals.fail, totals.info))
        # One of them must be as old as the longest window.
        while len(self._totals) > 1 and self._totals[1][0] <= now_ns - self._keep_ns:
            self._totals.popleft()
        if all(node in roles for nodes in self._groups for node in nodes):
            self._look(now_ns, roles)
        return next(filter(None, (self._holds(each, now_ns) for each in self._conditions)), "")

    def _look(self, now_ns: int, roles: Mapping[str, str]) -> None:
        for what, is_lost in (("quorum", _no_quorum), ("primary", _no_primary)):
            lost = [nodes for nodes in self._groups if is_lost([roles[node] for node in nodes])]
            if lost:
                self._since.setdefault(what, now_ns)
                self._broken[what] = lost[0]
            else:
                self._since.pop(what, None)

    def _holds(self, condition: AbortWhen, now_ns: int) -> str:
        if condition.error_rate is not None:
            return self._errors(condition, condition.error_rate, now_ns)
        if condition.no_quorum_ns is not None and self._lasts(
            "quorum", condition.no_quorum_ns, now_ns
        ):
            nodes = len(self._broken["quorum"])
            return (
                f"fewer than {nodes // 2 + 1} of {nodes} nodes said which role they "
                f"have for {format_duration(condition.no_quorum_ns)}"
            )
        if condition.no_primary_ns is not None and self._lasts(
            "primary", condition.no_primary_ns, now_ns
        ):
            return f"no node claimed to be primary for {format_duration(condition.no_primary_ns)}"
        return ""

    def _lasts(self, what: str, length_ns: int, now_ns: int) -> bool:
        since = self._since.get(what)
        return since is not None and now_ns - since >= length_ns

    def _errors(self, condition: AbortWhen, limit: float, now_ns: int) -> str:
        old = [row for row in self._totals if row[0] <= now_ns - condition.window_ns]
        if not old:
            return ""  # the load is younger than the window
        ok, fail, info = (
            new - before for new, before in zip(self._totals[-1][1:], old[-1][1:], strict=True)
        )
        counted = {"fail": fail, "info": info, "both": fail + info}[condition.of]
        total = ok + fail + info
        if not total or counted / total < limit:
            return ""
        ended = "fail or info" if condition.of == "both" else condition.of
        return (
            f"{counted / total:.0%} of the {total:,} operations that ended within "
            f"{format_duration(condition.window_ns)} were {ended}; the limit is "
            f"{format_percent(limit)}"
        )


def _no_quorum(roles: Sequence[str]) -> bool:
    return sum(role not in NO_ANSWER for role in roles) < len(roles) // 2 + 1


def _no_primary(roles: Sequence[str]) -> bool:
    return not any(role in TAKES_WRITES for role in roles)
