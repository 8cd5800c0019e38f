"""What the topology of a run would cost a month.

    monthly = nodes × instance per hour × 730 h
            + nodes × storage GB × price per GB
            + GB between zones × price, at the sender and at the receiver
            + GB between regions × price, at the sender
            + GB to another provider, at the sender, through the volume tiers

Bytes are the nodes' own, counted during the load phase and stretched to a month as if that load
never paused; or, where the topology says `cost.replicated_gb_month`, that many GB from the primary
(the first node, if none is asked to be) to each other node. What clients send is not in it. In a
topology with groups each may state a cost of its own; those that do not have the topology's.
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
from analysis.primaries import groups_of
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
    at_least: float = 0.0  # what is known, of whichever part

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
        """One priced line, added to its part, unless something else of that is not known
        (`monthly` where it is not quantity × price)."""
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
        self.at_least += amount
        before = self.parts.get(part, 0.0)
        self.parts[part] = None if before is None else before + amount

    def unknown(self, part: str, why: str) -> None:
        """The part has no price, and why."""
        self.parts[part] = None
        if why not in self.notes:
            self.notes.append(why)


def price(run: RunData, book: Book | None = None) -> dict[str, Any]:
    """Cost as `results.json` holds it (docs/cost.md), with `book` or the newest shipped one."""
    book = book or books()[0]
    bill = _Bill(book=book)
    stated = _stated_costs(run)
    _nodes(bill, run.meta["nodes"], stated)
    said = {name: cost.get("replicated_gb_month") for name, cost in stated.items()}
    measured = _transfer(bill, run, {name: gb for name, gb in said.items() if gb is not None})
    known = [part for part in bill.parts.values() if part is not None]
    whole = bool(run.meta["nodes"]) and len(known) == len(bill.parts)
    rounded = {part: None if v is None else round(v, 2) for part, v in bill.parts.items()}
    return {
        "currency": book.currency,
        "book": book.title,
        "monthly": {
            "total": round(bill.at_least, 2) if whole else None,
            "at_least": round(bill.at_least, 2),
            **rounded,
        },
        "lines": bill.lines,
        "measured": measured,
        "notes": bill.notes,
    }


def _stated_costs(run: RunData) -> dict[str, Mapping[str, Any]]:
    """`cost:` of each group that nodes belong to; "" where there are no groups."""
    topology = run.meta["topology"]
    whole, specs = topology.get("cost"), topology.get("groups")
    found: dict[str, Mapping[str, Any]] = {}
    for name in dict.fromkeys(groups_of(run.meta).values()) or [""]:
        spec = specs.get(name) if isinstance(specs, dict) else None
        own = spec.get("cost") if isinstance(spec, dict) else None
        cost = whole if own is None else own
        found[name] = cost if isinstance(cost, dict) else {}
    return found


def _nodes(
    bill: _Bill, nodes: Sequence[Mapping[str, Any]], stated: Mapping[str, Mapping[str, Any]]
) -> None:
    book = bill.book
    others = {str(n.get("provider")) for n in nodes if n.get("provider")} - {book.provider}
    if others:
        where = ", ".join(sorted(others))
        bill.unknown("instances", f"{book.name} has no prices for nodes at {where}")
        bill.unknown("storage", f"{book.name} has no storage prices at {where}")
        return
    alike: dict[tuple[Any, Any], int] = {}  # instance and storage → how many nodes
    for node in nodes:
        cost = stated[str(node.get("group") or "")]
        key = (cost.get("instance"), cost.get("storage_gb"))
        alike[key] = alike.get(key, 0) + 1
    if not nodes:
        cost = next(iter(stated.values()))
        alike[cost.get("instance"), cost.get("storage_gb")] = 0
    for (instance, storage_gb), count in alike.items():
        _machines(bill, count, instance)
        _storage(bill, count, storage_gb)


def _machines(bill: _Bill, count: int, instance: Any) -> None:
    book = bill.book
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


def _storage(bill: _Bill, count: int, storage_gb: Any) -> None:
    if isinstance(storage_gb, int | float) and storage_gb >= 0:
        disk = bill.book.storage[STORAGE]
        what = f"{count} × {storage_gb:g} GB {STORAGE}"
        bill.line("storage", what, count * storage_gb, "GB-months", disk.price, disk.source)
    else:
        bill.unknown("storage", "the topology states no storage (cost: {storage_gb: 100})")


def _transfer(bill: _Bill, run: RunData, stated_gb: Mapping[str, float]) -> dict[str, Any]:
    """Lines for what nodes send each other; returns `measured`. `stated_gb`: of the groups that
    say what they replicate, which is billed instead of what was counted within them."""
    nodes = {str(n.get("name")): n for n in run.meta["nodes"]}
    group = groups_of(run.meta)
    possible = _parts(nodes, ((a, b) for a in nodes for b in nodes if a != b))
    within = {
        (a, b) for a in nodes for b in nodes if group[a] == group[b] and group[a] in stated_gb
    }
    counted = flows(run)
    seconds = max((flow.seconds for flow in counted), default=0.0)
    billed = [flow for flow in counted if (flow.sender, flow.receiver) not in within]
    for name, gb in stated_gb.items():
        billed += _stated({n: nodes[n] for n in nodes if group[n] == name}, gb, bill.book)
    measured: dict[str, Any] = {}
    for part in TRANSFERS:
        pairs, name = possible[part], part.replace("_", "-")
        asked = pairs - within
        sent = [flow for flow in counted if (flow.sender, flow.receiver) in pairs]
        measured[f"{part}_bytes"] = sum(flow.bytes for flow in sent) if sent or not pairs else None
        chosen = [flow for flow in billed if (flow.sender, flow.receiver) in pairs]
        seen = sum((flow.sender, flow.receiver) in asked for flow in counted)
        if seen or not asked:
            bill.parts[part] = 0.0
            _price_flows(bill, part, chosen, nodes)
        else:
            bill.unknown(part, f"{name} bytes were not measured: fewer than two counts under load")
        if 0 < seen < len(asked):
            bill.notes.append(f"{len(asked) - seen} of {len(asked)} {name} links had no count")
    told = [
        f"transfer{f' of {name}' if name else ''} as the topology states: {gb:g} GB a month to "
        "each replica"
        for name, gb in stated_gb.items()
    ]
    if not stated_gb or set(group.values()) - set(stated_gb):
        told.append(_statement(bill.book, seconds, steady(run).name))
    return {**measured, "seconds": round(seconds, 3), "statement": "; ".join(told)}


def _stated(nodes: Mapping[str, Mapping[str, Any]], gb: float, book: Book) -> list[Flow]:
    """A month of the replication that the topology states: primary to each other node."""
    primary = next((n for n in nodes if nodes[n].get("role") == "primary"), next(iter(nodes), ""))
    month_s = book.hours_per_month * 3600
    return [
        Flow(sender=primary, receiver=name, bytes=round(gb * 1e9), seconds=month_s)
        for name in nodes
        if name != primary
    ]


def _statement(book: Book, seconds: float, stretch: str) -> str:
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
