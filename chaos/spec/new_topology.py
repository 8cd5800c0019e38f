"""A first topology of a system: generated from what the system says of itself, no template.

Nodes are as few as the system accepts, one a zone at least; the first is the primary where the
system lets one be declared. Every setting stands there as a comment, with what it does and what it
is without you; taking the `# ` off the block gives a file that means the same.
"""

from __future__ import annotations

import itertools
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from chaos.errors import UsageError
from chaos.registry import SYSTEMS
from chaos.spec.load import parse_document, plain_scalar
from chaos.spec.messages import read_as
from chaos.spec.topology import ADDRESSES_MAX, Topology
from chaos.spec.topology_checks import check_topology
from chaos.systems.base import (
    HasModes,
    HasOperators,
    HasRules,
    Node,
    SettingRule,
    System,
)
from chaos.systems.placing import HasOwnPorts, UsesGroups

PROVIDER = "aws"
# One-way, about half of the round trips that one sees between such regions: measure your own.
DELAYS = {
    ("us-east", "eu-west"): "40ms",
    ("us-east", "ap-northeast"): "75ms",
    ("eu-west", "ap-northeast"): "105ms",
}
REGIONS = ("us-east", "eu-west", "ap-northeast")
ZONES_MAX = 5  # of a region; all of three regions just fit (ADDRESSES_MAX)
CLIENTS_PER_ZONE = 2
WIDTH = 100
COST = "cost: {instance: m6i.large, storage_gb: 100}"
PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
CHOICES = re.compile(r"[\w-]+(\|[\w-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for; `nodes` None: as few as the system accepts, one a zone at least."""

    system: str
    zones: int = 3  # of each region
    regions: int = 1
    nodes: int | None = None
    name: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)

    def places(self) -> dict[str, list[str]]:
        """Zones by region."""
        letters = "abcde"[: self.zones]
        return {region: [f"{region}-{z}" for z in letters] for region in REGIONS[: self.regions]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A group of the topology to be; `name` "": it is the whole of it."""

    name: str
    system: System
    nodes: Sequence[Node]
    uses: Mapping[str, str] = field(default_factory=dict)


def topology_text(wish: Wish, schema: str) -> str:
    """The YAML, which validates; `schema`: where topology.json is, as seen from the file.

    UsageError with what the system says where it cannot be had.
    """
    for what, got, most in (
        ("zones", wish.zones, ZONES_MAX),
        ("regions", wish.regions, len(REGIONS)),
    ):
        if not 1 <= got <= most:
            raise UsageError(f"expected 1 to {most} {what}, got {got}")
    system = SYSTEMS.get(wish.system)
    if isinstance(system, HasOwnPorts):
        raise UsageError(
            f"the nodes of {wish.system} are the services of a Compose file",
            fix="`aftershock up --compose FILE`, or `compose: FILE` in a topology",
        )
    parts = _parts(system, wish)
    text = "\n".join(_lines(parts, wish, schema)) + "\n"
    topology = read_as(Topology, parse_document(text, wish.name))
    wrong = [each for each in check_topology(topology) if not each.note]
    if wrong:
        raise UsageError(
            f"{wish.system} cannot have that: {wrong[0].message}",
            detail="\n".join(each.message for each in wrong[1:]),
            fix=wrong[0].fix or "ask for other --zones, --nodes or --set",
        )
    return text


def _parts(system: System, wish: Wish) -> list[Part]:
    """The system itself, and each other database that it runs on top of."""
    settings = {name: plain_scalar(value) for name, value in wish.settings.items()}
    uses = system.uses if isinstance(system, UsesGroups) else {}
    own = Part(
        name="db" if uses else "",
        system=system,
        nodes=_nodes(system, wish, "n", wish.nodes, settings),
        uses=uses,  # a group is called as its system is
    )
    below = [SYSTEMS.get(other) for other in dict.fromkeys(uses.values())]
    return [own] + [
        Part(name=other.name, system=other, nodes=_nodes(other, wish, other.name, None, {}))
        for other in below
    ]


def _nodes(
    system: System, wish: Wish, called: str, asked: int | None, settings: Mapping[str, Any]
) -> Sequence[Node]:
    """Nodes over the zones in turn, as few as the system takes, one a zone at least; a primary is
    declared where that is no mistake."""
    zones = [(zone, region) for region, all_ in wish.places().items() for zone in all_]
    most = ADDRESSES_MAX // (1 + len(zones))
    made: list[list[Node]] = []
    for count in [asked] if asked else range(len(zones), most + 1):
        plain = [
            Node(name=f"{called}{k + 1}", zone=zone, region=region, role=None, address="")
            for k, (zone, region) in zip(range(count), itertools.cycle(zones), strict=False)
        ]
        declared = [replace(plain[0], role="primary"), *plain[1:]]
        complaints = set(system.check(plain, settings))
        told = set(system.check(declared, settings)) <= complaints
        made.append(declared if told else plain)
        if not complaints:
            return made[-1]
    return made[0]  # what is wrong is no matter of how many there are: the check says it


def _lines(parts: Sequence[Part], wish: Wish, schema: str) -> Iterator[str]:
    places = wish.places()
    zones = [zone for all_ in places.values() for zone in all_]
    own = parts[0]
    over = f"{_count(len(zones), 'zone')} of {_count(len(places), 'region')}"
    yield f"# yaml-language-server: $schema={schema}"
    yield from _comment(f"{own.system.about}.")
    yield from _words(own.system, wish.settings)
    yield f"name: {_scalar(wish.name)}"
    yield f"about: {_count(len(own.nodes), 'node')} of {own.system.name} in {over}."
    yield from _systems(parts, wish.settings)
    yield "regions:"
    for region, all_ in places.items():
        yield f"  {region}: {{zones: [{', '.join(all_)}], provider: {PROVIDER}}}"
    yield from _links(list(places), zones)
    yield "nodes:"
    for part in parts:
        for node in part.nodes:
            group = f", group: {part.name}" if part.name else ""
            role = f", role: {node.role}" if node.role else ""
            yield f"  {node.name}: {{zone: {node.zone}{group}{role}}}"
    yield "# Clients live in zones and reach the nodes of others over the links above."
    yield f"clients: {{{', '.join(f'{zone}: {CLIENTS_PER_ZONE}' for zone in zones)}}}"
    yield "# Disks that can lose power, fill up, slow down: docs/disks.md."
    yield "# disk: {size: 512MB}"
    yield "# Each node's machine, for the monthly price."
    yield COST


def _systems(parts: Sequence[Part], given: Mapping[str, str]) -> Iterator[str]:
    """The database with its settings, or the groups, the first with its settings."""
    own, *below = parts
    lines = [f"system: {own.system.name}"]
    if own.uses:
        lines.append(f"uses: {{{', '.join(f'{word}: {name}' for word, name in own.uses.items())}}}")
    if given:
        lines.append("settings:")
        lines += [f"  {_scalar(name)}: {_scalar(value)}" for name, value in given.items()]
    lines += _settings(own, given)
    if not below:
        yield from lines
        return
    yield "groups:"
    yield f"  {own.name}:"
    yield from (f"    {line}" for line in lines)
    for part in below:
        yield f"  # Its settings: aftershock new topology --system {part.system.name} --out -"
        yield f"  {part.name}: {{system: {part.system.name}}}"


def _words(system: System, given: Mapping[str, str]) -> Iterator[str]:
    """What a team should know before it argues, from the system's own words."""
    if system.elects_with(given) if isinstance(system, HasModes) else system.elects:
        yield "# When a primary is gone another node takes over by itself."
    else:
        yield "# Nothing fails over by itself."
    if isinstance(system, HasOperators):
        for name, step in system.steps.items():
            yield from _comment(f"Step `{name}`: {step.about}.")
    yield from _comment(f"Workloads: {', '.join(sorted(system.workloads))}.")


def _settings(own: Part, given: Mapping[str, str]) -> Iterator[str]:
    """Every setting not given, commented out; twice, so that it still is a comment when the block
    is uncommented, if it has no default of ours or means nothing beside what is given."""
    system = own.system
    rules = system.rules if isinstance(system, HasRules) else {}
    left = {name: about for name, about in system.settings.items() if name not in given}
    if not left:
        return
    yield "# What may be argued about. Take the first `# ` away and change what you like; what is"
    yield f"# behind a second one is left to {system.name} itself, and shows what may stand there."
    if not given:
        yield "# settings:"
    for name, about in left.items():
        rule = rules.get(name)
        values = "…" if rule is None else _in_words(rule)
        if rule is None or rule.default is None or not _meant(own, given, name, rule.default):
            yield from _comment(about, "#   # ")
            yield f"#   # {name}: {values}"
        else:
            choices = values.split("|") if CHOICES.fullmatch(values) else []
            told = all(word in about for word in choices)
            yield from _comment(about + ("" if told else f" ({', '.join(choices)})"), "#   # ")
            yield f"#   {name}: {_scalar(rule.default)}"


def _meant(own: Part, given: Mapping[str, str], name: str, value: str) -> bool:
    """Whether the system has nothing against a setting beside the others."""
    without = {other: plain_scalar(text) for other, text in given.items()}
    complaints = set(own.system.check(own.nodes, {**without, name: plain_scalar(value)}))
    return complaints <= set(own.system.check(own.nodes, without))


def _comment(text: str, mark: str = "# ") -> Iterator[str]:
    return iter(textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent=mark,
                              break_long_words=False, break_on_hyphens=False))  # fmt: skip


def _in_words(rule: SettingRule) -> str:
    """Which values a setting takes, for a person."""
    if rule.values == "duration":
        return "a duration such as 2s"
    return "a whole number" if rule.values.startswith("[0-9]{1,") else rule.values


def _links(regions: Sequence[str], zones: Sequence[str]) -> Iterator[str]:
    """One-way delays between regions; those between zones as a comment."""
    if len(zones) == 1:
        return
    pairs = list(itertools.combinations(regions, 2))
    yield "# One-way delays; a link between two zones beats that of their regions."
    yield "links:" if pairs else "# links:"
    for pair in pairs:
        yield f"  - {{between: [{pair[0]}, {pair[1]}], delay: {DELAYS[pair]}, jitter: 2ms}}"
    if len(zones) > len(regions):
        yield f"{'' if pairs else '# '}  {'# ' if pairs else ''}- " + (
            f"{{between: [{zones[0]}, {zones[1]}], delay: 0.5ms}}"
        )


def _scalar(value: str) -> str:
    return value if PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
