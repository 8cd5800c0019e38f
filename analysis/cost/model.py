"""What the topology of a run would cost a month.

    monthly = nodes × instance per hour × 730 h
            + nodes × storage GB × price per GB
            + GB between zones × price, at the sender and at the receiver
            + GB between regions × price, at the sender
            + GB to another provider, at the sender, through the volume tiers

Bytes are the nodes' own, counted during the load phase and stretched to a month as if that load
never paused; or, where the topology says `cost.replicated_gb_month`, that many GB from the primary
(the first node, if none is asked to be) to each other node. What clients send is not in it.
A part that is not known is None with a note, and then so is the total: never 0. What is known adds
up to `at_least`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.cost.book import Book, books
from analysis.cost.traffic import Flow, flows, steady
from chaos.record.reader import RunData

STORAGE = "gp3"
TRANSFERS = ("cross_zone", "cross_region", "internet")


@dataclass(slots=True)
class _Bill:
    """Lines and parts as they are found; None where a part is not known."""

    book: Book
    parts: dict[str, float | None] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def line(
        self,
        part: str,
        what: str,
        quantity: float,
        unit: str,
        price: float,
        source: str,
        monthly: float | None = None,
    ) -> None:
        """One priced line, added to its part (`monthly` where it is not quantity × price)."""
        amount = quantity * price if monthly is None else monthly
        self.lines.append(
            {
                "what": what,
                "quantity": round(quantity, 3),
                "unit": unit,
                "price": price,
                "monthly": round(amount, 2),
                "source": source,
            }
        )
        self.parts[part] = (self.parts.get(part) or 0.0) + amount

    def unknown(self, part: str, why: str) -> None:
        """The part has no price, and why."""
        self.parts[part] = None
        self.notes.append(why)


def price(run: RunData, book: Book | None = None) -> dict[str, Any]:
    """Cost as `results.json` holds it (docs/cost.md), with `book` or the newest shipped one."""
    book = book or books()[0]
    bill = _Bill(book=book)
    stated = run.meta["topology"].get("cost")
    stated = stated if isinstance(stated, dict) else {}
    _nodes(bill, run.meta["nodes"], stated)
    measured = _transfer(bill, run, stated.get("replicated_gb_month"))
    known = [part for part in bill.parts.values() if part is not None]
    whole = bool(run.meta["nodes"]) and len(known) == len(bill.parts)
    rounded = {part: None if v is None else round(v, 2) for part, v in bill.parts.items()}
    return {
        "currency": book.currency,
        "book": book.title,
        "monthly": {
            "total": round(sum(known), 2) if whole else None,
            "at_least": round(sum(known), 2),
            **rounded,
        },
        "lines": bill.lines,
        "measured": measured,
        "notes": bill.notes,
    }


def _nodes(bill: _Bill, nodes: Sequence[Mapping[str, Any]], stated: Mapping[str, Any]) -> None:
    book, count = bill.book, len(nodes)
    others = {str(n.get("provider")) for n in nodes if n.get("provider")} - {book.provider}
    instance, storage_gb = stated.get("instance"), stated.get("storage_gb")
    if others:
        where = ", ".join(sorted(others))
        bill.unknown("instances", f"{book.name} has no prices for nodes at {where}")
        bill.unknown("storage", f"{book.name} has no storage prices at {where}")
        return
    found = book.instances.get(str(instance))
    if instance is None:
        bill.unknown("instances", "the topology names no instance (cost: {instance: m6i.large})")
    elif found is None:
        near = book.nearest(str(instance))
        hint = f"; did you mean {near}?" if near else ""
        bill.unknown("instances", f"{book.title} has no instance {str(instance)[:60]!r}{hint}")
    else:
        what, hours = f"{count} × {instance}", count * book.hours_per_month
        bill.line("instances", what, hours, "instance hours", found.price, found.source)
    if isinstance(storage_gb, int | float) and storage_gb >= 0:
        disk = book.storage[STORAGE]
        what = f"{count} × {storage_gb:g} GB {STORAGE}"
        bill.line("storage", what, count * storage_gb, "GB-months", disk.price, disk.source)
    else:
        bill.unknown("storage", "the topology states no storage (cost: {storage_gb: 100})")


def _transfer(bill: _Bill, run: RunData, stated_gb: float | None) -> dict[str, Any]:
    """Lines for what nodes send each other; returns `measured`."""
    nodes = {str(n.get("name")): n for n in run.meta["nodes"]}
    possible = _parts(nodes, ((a, b) for a in nodes for b in nodes if a != b))
    counted = flows(run)
    seconds = max((flow.seconds for flow in counted), default=0.0)
    billed = counted if stated_gb is None else _stated(nodes, stated_gb, bill.book)
    measured: dict[str, Any] = {}
    for part in TRANSFERS:
        pairs, name = possible[part], part.replace("_", "-")
        sent = [flow for flow in counted if (flow.sender, flow.receiver) in pairs]
        measured[f"{part}_bytes"] = sum(flow.bytes for flow in sent) if sent or not pairs else None
        chosen = [flow for flow in billed if (flow.sender, flow.receiver) in pairs]
        if chosen or not pairs or stated_gb is not None:
            bill.parts[part] = 0.0
            _price_flows(bill, part, chosen, nodes)
        else:
            bill.unknown(part, f"{name} bytes were not measured: fewer than two counts under load")
        if stated_gb is None and 0 < len(sent) < len(pairs):
            bill.notes.append(f"{len(pairs) - len(sent)} of {len(pairs)} {name} links had no count")
    statement = _statement(bill.book, seconds, steady(run).name, stated_gb)
    return {**measured, "seconds": round(seconds, 3), "statement": statement}


def _stated(nodes: Mapping[str, Mapping[str, Any]], gb: float, book: Book) -> list[Flow]:
    """A month of the replication that the topology states: primary to each other node."""
    primary = next((n for n in nodes if nodes[n].get("role") == "primary"), next(iter(nodes), ""))
    month_s = book.hours_per_month * 3600
    return [
        Flow(sender=primary, receiver=name, bytes=round(gb * 1e9), seconds=month_s)
        for name in nodes
        if name != primary
    ]


def _statement(book: Book, seconds: float, stretch: str, stated_gb: float | None) -> str:
    if stated_gb is not None:
        return f"transfer as the topology states: {stated_gb:g} GB a month to each replica"
    if not seconds:
        return "no bytes between nodes were measured"
    return (
        f"bytes between nodes counted over {seconds:.1f} s of load"
        f"{'' if stretch == 'load' else f' {stretch}'}, stretched to "
        f"{book.hours_per_month:g} h as if that load never paused; clients' bytes not counted"
    )


def _parts(
    nodes: Mapping[str, Mapping[str, Any]], pairs: Iterable[tuple[str, str]]
) -> dict[str, set[tuple[str, str]]]:
    """The directed pairs of nodes that each kind of transfer bills."""
    parts: dict[str, set[tuple[str, str]]] = {part: set() for part in TRANSFERS}
    for one, other in pairs:
        a, b = nodes[one], nodes[other]
        if a.get("provider") != b.get("provider"):
            parts["internet"].add((one, other))
        elif a.get("region") != b.get("region"):
            parts["cross_region"].add((one, other))
        elif a.get("zone") != b.get("zone"):
            parts["cross_zone"].add((one, other))
    return parts


def _price_flows(
    bill: _Bill, part: str, chosen: Sequence[Flow], nodes: Mapping[str, Mapping[str, Any]]
) -> None:
    """A line for each pair of zones or regions, or for each sending provider."""
    book, month_s = bill.book, bill.book.hours_per_month * 3600
    place = {"cross_zone": "zone", "cross_region": "region", "internet": "provider"}[part]
    volumes: dict[tuple[str, str], float] = defaultdict(float)
    for flow in chosen:
        one, other = sorted(str(nodes[name].get(place)) for name in (flow.sender, flow.receiver))
        if part == "internet":  # tiers are by what a provider's customer sends out in all
            one, other = str(nodes[flow.sender].get(place)), "other providers"
        volumes[one, other] += flow.gb(month_s)
    for (one, other), gb in sorted(volumes.items()):
        if part == "cross_zone":
            each = book.cross_zone_each_side
            what = f"{one} ↔ {other}, billed at both sides"
            bill.line(part, what, 2 * gb, "GB", each.price, each.source)
        elif part == "cross_region":
            rate = book.between_regions(one, other)
            bill.line(part, f"{one} ↔ {other}", gb, "GB", rate.price, rate.source)
        else:
            first = book.internet[0]
            what = f"{one} → {other}, over the internet, first tier's price shown"
            total = book.internet_cost(gb)
            bill.line(part, what, gb, "GB", first.price, first.source, monthly=total)
