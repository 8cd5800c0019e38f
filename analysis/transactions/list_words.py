"""Anomalies of lists in words and as claims (docs/certificates.md). T17 is the history's row 17."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.checkers.prose import Teller, short
from analysis.transactions.flaws import Flaw
from analysis.transactions.list_cycles import Cycle, Hop
from analysis.transactions.list_edges import REALTIME, RW, SESSION, WR, WW
from analysis.transactions.list_versions import Versions

TOLD_MAX = 12  # edges of a cycle that are told
REASONS = {WW: "ww", WR: "wr", RW: "rw", SESSION: "session", REALTIME: "realtime"}


class Words:
    """Words and claims about one history of lists."""

    def __init__(self, versions: Versions) -> None:
        self.versions, self.told = versions, versions.transactions

    def row(self, transaction: int) -> int:
        """The history's row of a transaction."""
        return int(self.told.rows[transaction])

    def owner(self, micro: int) -> str:
        """ "T17", whose micro-operation this is."""
        return f"T{self.row(int(self.versions.owner[micro]))}"

    def key(self, micro: int) -> Any:
        """The key as JSON."""
        return self.told.key_name(int(self.told.key[micro]))

    def value(self, write: int) -> Any:
        """The value appended, as JSON."""
        return self.told.content(int(self.told.value[write]))

    def shown(self, read: int) -> str:
        """The list that was read, shortened."""
        return short(self._list(read))

    def outer(self, read: int) -> str:
        """The external part of what was read."""
        return short(self._list(read)[: int(self.versions.ext[read])])

    def _list(self, read: int) -> list[Any]:
        low, high = self.told.list_first[read : read + 2].tolist()
        return [self.told.content(code) for code in self.told.element[low:high].tolist()]

    def cycle(self, cycle: Cycle) -> str:
        """The contradiction, an edge at a time."""
        told = cycle if len(cycle) <= TOLD_MAX else (*cycle[: TOLD_MAX - 1], cycle[-1])
        parts = [
            f"T{self.row(hop.source)} < T{self.row(hop.target)}, because {self.reason(hop, told)}"
            for hop in told
        ]
        if len(told) < len(cycle):
            parts.insert(-1, f"and so on, {len(cycle) - len(told):,} steps more")
        return f"{'; '.join(parts[:-1])}; however, {parts[-1]}: a contradiction"

    def edges(self, cycle: Cycle) -> tuple[tuple[int, int, str], ...]:
        """The edges in words, for pictures; none of a cycle that is too long to draw."""
        if len(cycle) > TOLD_MAX:
            return ()
        return tuple(
            (
                self.row(hop.source),
                self.row(hop.target),
                f"{REASONS[hop.kind]}: {self.reason(hop, cycle)}",
            )
            for hop in cycle
        )

    def reason(self, hop: Hop, cycle: Cycle) -> str:
        """Why the source of an edge comes before its target."""
        a, b = f"T{self.row(hop.source)}", f"T{self.row(hop.target)}"
        if hop.kind in (SESSION, REALTIME):
            rows = [self.row(other.source) for other in cycle]
            tell = Teller(self.told.history, rows)
            x, y = self.row(hop.source), self.row(hop.target)
            if hop.kind == SESSION:
                return f"{tell.who(x)} did {a} before {b}"
            ended = tell.at(int(self.told.history.end_ns[x]))
            return f"{a} had ended at {ended}, before {b} began at " + tell.at(
                int(self.told.history.start_ns[y])
            )
        key = f"key {short(self.key(hop.one))}"
        if hop.kind == WR:
            return f"{b} read the {short(self.value(hop.one))} that {a} appended to {key}"
        if hop.kind == RW:
            lacks = f"the {short(self.value(hop.other))} that {b} appended"
            return f"{a} read {key} as {self.shown(hop.one)}, without {lacks}"
        read = self.witness(hop)
        reader, ahead = self.owner(read), f"the {short(self.value(hop.one))}"
        behind = f"the {short(self.value(hop.other))} that {b} appended"
        if int(self.versions.place[hop.other]) >= 0:
            return f"{behind} to {key} stands behind {ahead} of {a}, as {reader} read"
        mine = f", and had appended {ahead}" if reader == a else f", with {ahead} of {a}"
        return f"{reader} read {key} as {self.shown(read)}{mine}, without {behind}"

    def witness(self, hop: Hop) -> int:
        """The read that shows a ww: of the later version, else the longest one."""
        versions, key = self.versions, int(self.told.key[hop.one])
        outside, place = int(versions.outside[key]), int(versions.place[hop.one])
        last = max(place, int(versions.place[hop.other])) - int(versions.begin[key])
        if outside >= 0 and versions.good[outside] and int(versions.ext[outside]) > last:
            return outside
        return int(versions.whole[key])

    def edge(self, hop: Hop) -> list[Any]:
        """An edge as claims have it."""
        edge: list[Any] = [self.row(hop.source), self.row(hop.target), REASONS[hop.kind]]
        if hop.kind == WR:
            edge += [self.key(hop.one), self.value(hop.one)]
        elif hop.kind == RW:
            edge += [self.key(hop.one), self.value(hop.other)]
        elif hop.kind == WW:
            reader = self.row(int(self.versions.owner[self.witness(hop)]))
            edge += [self.key(hop.one), self.value(hop.one), self.value(hop.other), reader]
        return edge

    def claim(self, cycle: Cycle) -> dict[str, Any]:
        """A cycle as a claim, but for the anomaly's name."""
        return {
            "kind": "cycle",
            "operations": [self.row(hop.source) for hop in cycle],
            "edges": [self.edge(hop) for hop in cycle],
        }

    def rows_of(self, flaw: Flaw, n: int) -> list[int]:
        """The transactions that show the n-th of these flaws."""
        micros = [int(flaw.read[n])]
        if flaw.name in ("incompatible-order", "G1a", "G1b"):
            micros.append(int(flaw.other[n]))
        return list(dict.fromkeys(self.row(int(self.versions.owner[m])) for m in micros))

    def flaw_claim(self, flaw: Flaw, n: int) -> dict[str, Any]:
        """An impossible read as a claim."""
        claim = {
            "kind": "observed",
            "operations": self.rows_of(flaw, n),
            "key": self.key(int(flaw.read[n])),
        }
        if flaw.name in ("thin-air-read", "future-read", "G1a", "G1b"):
            claim["value"] = self.told.content(int(flaw.value[n]))
        return claim

    def flaw(self, flaw: Flaw, n: int) -> str:
        """An impossible read in words."""
        read, other = int(flaw.read[n]), int(flaw.other[n])
        who, key = self.owner(read), f"key {short(self.key(read))}"
        saw = f"{who} read {key} as {self.shown(read)}"
        value = short(self.told.content(int(flaw.value[n])))
        if flaw.name == "thin-air-read":
            return f"{saw}, but nobody appended {value} to it"
        if flaw.name == "future-read":
            return f"{saw}, and appended {value} only after that"
        if flaw.name == "duplicate-elements":
            return f"{saw}, in which {value} stands more than once, though it was appended once"
        if flaw.name == "G1a":
            return f"{saw}, but {self.owner(other)}, which appended {value}, failed"
        if flaw.name == "G1b":
            later = self._after(other)
            return (
                f"{saw}, which ends amid what {self.owner(other)} appended: after {value} it also "
                f"appended {short(self.value(later))}"
            )
        if flaw.name == "internal":
            return f"{saw}, {self._before(read)}"
        if int(flaw.value[n]) < 0:
            return (
                f"{saw}, and {self.owner(other)} as {self.shown(other)}: neither is a beginning "
                "of the other"
            )
        before = short(self.value(int(self.versions.previous[other])))
        return (
            f"{saw}, which shows the {value} of {self.owner(other)}, but not in front of it the "
            f"{before} that {self.owner(other)} had appended before"
        )

    def _after(self, write: int) -> int:
        """The next append of the same transaction to the same list."""
        return int(np.argmax(self.versions.previous == write))

    def _before(self, read: int) -> str:
        """What a transaction must have seen."""
        told, owner = self.told, int(self.versions.owner[read])
        mine = [at for at in range(int(told.first[owner]), read) if told.key[at] == told.key[read]]
        last = next((at for at in reversed(mine) if self.versions.ext[at] >= 0), -1)
        own = [self.value(at) for at in mine if self.versions.ext[at] < 0 and at > last]
        parts = [f"had read it as {self.shown(last)}"] if last >= 0 else []
        parts += [f"appended {', '.join(map(short, own))} to it"] if own else []
        return f"though it {' and then '.join(parts)}" if parts else "against what it did before"
