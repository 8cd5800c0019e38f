"""All anomalies of a history of lists, the weakest first: counted, told, claimed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.checkers.base import Claim
from analysis.checkers.prose import short
from analysis.checkers.stories import Story
from analysis.history import Ints
from analysis.transactions.flaws import Flaw
from analysis.transactions.list_cycles import SHOWN_MAX, Cycle, shortest_cycles
from analysis.transactions.list_edges import RW, WR
from analysis.transactions.list_models import Models
from analysis.transactions.list_words import Words
from analysis.transactions.tangle import ITEM, NAMES, NONADJACENT, PLAIN, SUFFIXES

RANK = {  # of the weakest model that an anomaly rules out
    "thin-air-read": 0, "future-read": 0, "duplicate-elements": 0, "incompatible-order": 0,
    "G0": 0, "G1a": 1, "G1b": 1, "G1c": 1, "internal": 2, "fractured-read": 2, "G-single": 4,
    "lost-update": 4, "long-fork": 5, "G-nonadjacent": 5, "write-skew": 6, "G2-item": 6,
}  # fmt: skip


def stories(models: Models, more: Sequence[Story] = ()) -> list[Story]:
    """The anomalies, and `more`, the weakest first; those that need sessions or real time last."""
    found = _Finder(models)
    told = [*(found.flaw(flaw) for flaw in models.analysis.flaws), *more]
    if models.analysis.strict is None:
        told += [*found.torn(), *found.lost(), *found.cycles()]
    return sorted(told, key=_order)


def _order(story: Story) -> tuple[int, int, int]:
    suffix = next((n for n in (2, 1) if story.name.endswith(SUFFIXES[n])), 0)
    name = story.name.removesuffix(SUFFIXES[suffix])
    return suffix, RANK[name], list(RANK).index(name)


class _Finder:
    def __init__(self, models: Models) -> None:
        self.models, self.analysis = models, models.analysis
        self.versions = models.analysis.versions
        self.words = Words(self.versions)

    def _story(
        self,
        name: str,
        count: int,
        transactions: Ints,
        argument: str,
        claim: Claim,
        edges: tuple[tuple[int, int, str], ...] = (),
    ) -> Story:
        operations = claim["operations"]
        assert isinstance(operations, list)
        return Story(
            name=name,
            count=count,
            instances=np.unique(self.analysis.rows(transactions)),
            operations=tuple(operations),
            argument=argument,
            claim=claim,
            edges=edges,
        )

    def flaw(self, flaw: Flaw) -> Story:
        """Impossible reads of one kind; told is the one that shows least."""
        n = int(np.argmin(self.versions.length(flaw.read)))
        return self._story(
            flaw.name,
            len(flaw),
            self.versions.owner[flaw.read].astype(np.int64),
            self.words.flaw(flaw, n),
            self.words.flaw_claim(flaw, n),
        )

    def torn(self) -> list[Story]:
        """Fractured reads."""
        edge, read, write = self.models.torn
        if not len(edge):
            return []
        wr, words = self.analysis.dependencies.wr, self.words
        n = int(np.argmin(self.versions.length(read)))
        one, other = int(wr.one[edge[n]]), int(wr.other[edge[n]])
        a, b = words.owner(one), words.owner(other)
        argument = (
            f"{b} read the {short(words.value(one))} that {a} appended to key "
            f"{short(words.key(one))}, but key {short(words.key(int(read[n])))} as "
            f"{words.shown(int(read[n]))}, without the {short(words.value(int(write[n])))} that "
            f"{a} appended"
        )
        first, second = (int(name[1:]) for name in (a, b))
        claim = {
            "kind": "cycle",
            "operations": [first, second],
            "edges": [
                [first, second, "wr", words.key(one), words.value(one)],
                [second, first, "rw", words.key(int(read[n])), words.value(int(write[n]))],
            ],
        }
        lacks = f"the {short(words.value(int(write[n])))} that {a} appended"
        edges = (
            (first, second, f"wr: {b} read the {short(words.value(one))} that {a} appended"),
            (second, first, f"rw: {b} read key {short(words.key(int(read[n])))} without {lacks}"),
        )
        readers = self.versions.owner[read].astype(np.int64)
        return [self._story("fractured-read", len(edge), readers, argument, claim, edges)]

    def lost(self) -> list[Story]:
        """Lost updates."""
        lost, words = self.models.lost, self.words
        if not len(lost):
            return []
        n = int(np.argmin(self.versions.length(lost.first)))
        one, other = int(lost.first[n]), int(lost.second[n])
        a, b = words.owner(one), words.owner(other)
        size = int(self.versions.ext[one])
        seen = words.outer(one) if size else "empty"
        argument = (
            f"{a} and {b} both read key {short(words.key(one))} as {seen}, and both appended to "
            "it: neither saw what the other did"
        )
        claim = {
            "kind": "observed",
            "operations": [int(a[1:]), int(b[1:])],
            "key": words.key(one),
        }
        owners = self.versions.owner[np.concatenate([lost.first, lost.second])]
        return [self._story("lost-update", len(lost), owners.astype(np.int64), argument, claim)]

    def cycles(self) -> list[Story]:
        """Cycles of every kind and level, with their special forms."""
        told: list[Story] = []
        for (kind, level), closing in self.analysis.cycles.counted.items():
            ways = shortest_cycles(self.analysis.cycles, kind, level, closing)
            if not ways:  # a closed way of a weaker kind has been told instead
                continue
            skew = closing[:0]
            if (kind, level) == (ITEM, PLAIN):
                skew = self._mutual(closing)
            if (kind, level) == (NONADJACENT, PLAIN):
                told += self._forks(ways)
            rest = np.setdiff1d(closing, skew)
            if len(skew):
                pairs = [way for way in ways if len(way) == 2 and _kinds(way) == [RW, RW]]
                told += self._cycle("write-skew", skew, pairs) if pairs else []
                ways = [way for way in ways if way not in pairs]
                rest = rest if pairs else closing
                if len(rest) and not ways:
                    ways = shortest_cycles(self.analysis.cycles, kind, level, rest)
            told += self._cycle(NAMES[kind] + SUFFIXES[level], rest, ways) if len(rest) else []
        return told

    def _cycle(self, name: str, closing: Ints, ways: Sequence[Cycle]) -> list[Story]:
        if not ways:
            return []
        graph = self.analysis.cycles.graph
        reader = np.where(graph.kind[closing] == RW, graph.source[closing], graph.target[closing])
        argument = self.words.cycle(ways[0])
        others = [
            " < ".join(f"T{self.words.row(hop.source)}" for hop in (*way, way[0]))
            for way in ways[1:SHOWN_MAX]
        ]
        if others:
            argument += f" (others: {'; '.join(others)})"
        claim, edges = self.words.claim(ways[0]), self.words.edges(ways[0])
        readers = graph.name[reader]
        return [self._story(name, len(closing), readers, argument, claim, edges)]

    def _forks(self, ways: Sequence[Cycle]) -> list[Story]:
        """Long forks among the shortest cycles of their kind."""
        forks = [way for way in ways if _kinds(way) in ([WR, RW] * 2, [RW, WR] * 2)]
        if not forks:
            return []
        members = np.unique([hop.source for way in forks for hop in way if hop.kind == RW])
        argument, claim = self.words.cycle(forks[0]), self.words.claim(forks[0])
        edges = self.words.edges(forks[0])
        return [self._story("long-fork", len(forks), members, argument, claim, edges)]

    def _mutual(self, closing: Ints) -> Ints:
        """Those rw of which the opposite is there, too."""
        graph = self.analysis.cycles.graph
        rw = self.analysis.cycles.layers[PLAIN].rw
        every = np.flatnonzero(rw)
        nodes = np.int64(graph.nodes)
        there = graph.source[every] * nodes + graph.target[every]
        found: Ints = closing[np.isin(graph.target[closing] * nodes + graph.source[closing], there)]
        return found


def _kinds(way: Cycle) -> list[int]:
    return [hop.kind for hop in way]
