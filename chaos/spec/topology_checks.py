"""What the model of a topology alone cannot see: that names refer to something, and that its parts
fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaos.spec.complaints import Complaint, Path, unknown
from chaos.spec.group_checks import check_groups, check_lent, judged
from chaos.spec.probes import check_probes
from chaos.spec.target import WORDS
from chaos.spec.topology import ADDRESSES_MAX, Topology


def check_topology(topology: Topology) -> Iterator[Complaint]:
    """Everything about a topology that its shape does not rule out."""
    own = [*_places(topology), *_nodes(topology), *_links(topology), *check_groups(topology),
           *check_probes(topology.probes, topology.project), *check_lent(topology)]  # fmt: skip
    yield from own
    if not any(not complaint.note for complaint in own):
        yield from judged(topology)  # by the systems, if nothing is wrong already


def _places(topology: Topology) -> Iterator[Complaint]:
    if not topology.regions:
        yield Complaint(path=("regions",), message="expected at least one region, got none")
    first: dict[str, str] = {}
    for region, spec in topology.regions.items():
        for index, zone in enumerate(spec.zones):
            path: Path = ("regions", region, "zones", index)
            if zone in first:
                yield Complaint(
                    path=path, message=f"the zone `{zone}` is already in region `{first[zone]}`"
                )
            if zone in topology.regions:
                yield Complaint(path=path, message=f"`{zone}` names a region and a zone")
            first[zone] = region
    for zone in topology.clients:
        if zone not in first:
            yield unknown("zone", zone, list(first), ("clients", zone), key=True)


def _nodes(topology: Topology) -> Iterator[Complaint]:
    zones = topology.zones()
    if not topology.nodes:
        yield Complaint(
            path=("nodes",),
            message="expected at least one node, got none",
            fix="add one, such as `n1: {zone: us-east-a}`",
        )
    primaries: dict[str | None, list[str]] = {}
    for name, node in topology.nodes.items():
        if node.zone not in zones:
            yield unknown("zone", node.zone, zones, ("nodes", name, "zone"))
        if name in WORDS or name == "random":
            message = f"a node cannot be called `{name}`: targets use this word"
            yield Complaint(path=("nodes", name), message=message, fix="write n1", key=True)
        if node.role == "primary":
            primaries.setdefault(node.group, []).append(name)
    for group, names in primaries.items():
        for name in names[1:]:
            yield Complaint(
                path=("nodes", name, "role"),
                message=f"expected one primary{f' of `{group}`' if group else ''}, "
                f"got {len(names)}: {', '.join(names)}",
                fix="leave the role of the others out",
            )
    hosts = len(topology.nodes) * (1 + len(topology.clients))
    if hosts > ADDRESSES_MAX:
        yield Complaint(
            path=("nodes",),
            message=f"expected at most {ADDRESSES_MAX} addresses, got {hosts}:"
            f" {len(topology.nodes)} nodes, each with one of its own and one for each of"
            f" {len(topology.clients)} zones with clients",
            fix="use fewer nodes, or let clients live in fewer zones",
        )


def _links(topology: Topology) -> Iterator[Complaint]:
    places = [*topology.regions, *topology.zones()]
    ways: set[tuple[str, str]] = set()
    for index, link in enumerate(topology.links):
        path: Path = ("links", index, "between")
        strangers = [end for end in (0, 1) if link.between[end] not in places]
        for end in strangers:
            yield unknown("zone or region", link.between[end], places, (*path, end))
        if link.from_ is not None and link.from_ not in link.between:
            yield unknown("end of this link", link.from_, link.between, ("links", index, "from"))
        elif not strangers:
            wrong = _link_between(topology, *link.between)
            one, other = link.between
            own = {way for way in ((one, other), (other, one)) if link.from_ in (None, way[0])}
            if not wrong and own & ways:
                wrong = f"the link between `{one}` and `{other}` is given twice"
            if wrong:
                yield Complaint(path=path, message=wrong)
            ways |= own
        if link.jitter_ns > link.delay_ns:
            yield Complaint(
                path=("links", index, "jitter"),
                message="the jitter is more than the delay: as no packet comes before it was sent,"
                " the mean will be above `delay`",
                note=True,
            )


def _link_between(topology: Topology, one: str, other: str) -> str:
    """What is wrong with a link between two known places; "" if nothing is."""
    if one == other:
        return f"a link from `{one}` to itself"
    if other in _zones_in(topology, one) or one in _zones_in(topology, other):
        return "a link between a region and its own zone leads back into itself"
    if (one in topology.regions) != (other in topology.regions):
        return "expected two regions or two zones, got one of each"
    return ""


def _zones_in(topology: Topology, place: str) -> Sequence[str]:
    region = topology.regions.get(place)
    return region.zones if region else ()
