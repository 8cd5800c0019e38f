"""Which group serves a workload, or each of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chaos import registry
from chaos.spec.complaints import Complaint, Path, load_system, unknown
from chaos.spec.experiment import Experiment
from chaos.spec.group_checks import lent_to, speaking
from chaos.spec.topology import Topology
from chaos.systems.base import HasModes, System


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a workload: the kind of client it needs, and the group that is to serve it."""

    kind: str
    group: str


def parts(experiment: Experiment, topology: Topology) -> dict[str, Part]:
    """The parts of a checked experiment's workload by name; without parts, one called ""."""
    spec = experiment.workload
    kinds = registry.WORKLOADS.get(spec.name).parts
    if not kinds:
        return {"": Part(kind=spec.name, group=spec.on or topology.front()[0])}
    found = {}
    for part, kind in kinds.items():
        able = speakers(kind, topology)
        found[part] = Part(kind=kind, group=spec.groups.get(part) or next(iter(able), ""))
    return found


def served(experiment: Experiment, topology: Topology) -> list[str]:
    """The groups that clients use, once each; none if the workload is not known."""
    if experiment.workload.name not in registry.WORKLOADS.names():
        return []
    return list(dict.fromkeys(part.group for part in parts(experiment, topology).values()))


def speakers(kind: str, topology: Topology) -> dict[str, System]:
    """The groups whose system has clients of that kind."""
    there = speaking(topology, kind)
    return {name: system for name, system in there.items() if kind in system.workloads}


def check_parts(experiment: Experiment, topology: Topology, kinds: Mapping[str, str]
                ) -> Iterator[Complaint]:  # fmt: skip
    """Whether each part of the workload (`kinds`: part → kind of client) has its one group."""
    spec = experiment.workload
    groups = [name for name in topology.each_group() if name]
    if spec.on is not None and spec.on not in groups:
        yield unknown("group", spec.on, groups, ("workload", "on"))
        return
    if not kinds:
        yield from _whole(experiment, topology)
        return
    if spec.on is not None:
        yield Complaint(
            path=("workload", "on"),
            message=f"`{spec.name}` has several parts: {', '.join(kinds)}",
            fix=f"write `groups: {{{next(iter(kinds))}: {spec.on}}}`",
            key=True,
        )
    for part, name in spec.groups.items():
        if part not in kinds:
            path = ("workload", "groups", part)
            yield unknown(f"part of `{spec.name}`", part, list(kinds), path, key=True)
        elif name not in groups:
            yield unknown("group", name, groups, ("workload", "groups", part))
    for part, kind in kinds.items():
        yield from _part(experiment, topology, part, kind)


def _whole(experiment: Experiment, topology: Topology) -> Iterator[Complaint]:
    """A workload without parts: one group, whose system speaks it."""
    spec = experiment.workload
    if spec.groups:
        yield Complaint(
            path=("workload", "groups"),
            message=f"`{spec.name}` has no parts",
            fix="write `on: GROUP` for the group that clients use",
            key=True,
        )
    front = topology.front()
    if spec.on is None and len(front) != 1:
        yield Complaint(
            path=("workload", "name"),
            message=f"which group are clients to use? No other uses {' or '.join(front)}",
            fix=f"write `on: {front[0]}` beside it",
        )
        return
    group = spec.on or front[0]
    system = speaking(topology, spec.name).get(group)
    if system is not None and spec.name not in system.workloads:
        yield Complaint(
            path=("workload", "name"),
            message=f"{system.name} does not speak the workload `{spec.name}`",
            fix=f"it speaks {', '.join(sorted(system.workloads))}",
        )


def _part(experiment: Experiment, topology: Topology, part: str, kind: str) -> Iterator[Complaint]:
    spec = experiment.workload
    able = speakers(kind, topology)
    what = f"the part `{part}` of `{spec.name}` needs clients of the kind `{kind}`"
    name = spec.groups.get(part)
    if name is None and len(able) == 1:
        return
    if name is None and able:
        yield Complaint(
            path=("workload", "name"),
            message=f"{what}, which {' and '.join(able)} have",
            fix=f"write {' or '.join(f'`groups: {{{part}: {one}}}`' for one in able)} beside it",
        )
        return
    there = speaking(topology, kind)
    if name is None or (name in there and name not in able):
        wrong = [there[name]] if name in there else list(there.values())
        fits = [known for known in registry.SYSTEMS.names() if _speaks(known, kind)]
        yield Complaint(
            path=("workload", "name") if name is None else ("workload", "groups", part),
            message=f"{what}, which {' and '.join(s.name for s in wrong)} does not have",
            fix=f"those that have: {', '.join(fits) or 'none'}",
        )


def _speaks(name: str, kind: str) -> bool:
    system = load_system(name)
    return not isinstance(system, Complaint) and kind in system.workloads


def check_client(experiment: Experiment, topology: Topology) -> Iterator[Complaint]:
    """Options of the clients: each known to some part's system, and meant as it takes them."""
    there = speaking(topology, experiment.workload.name)
    asked = [part for part in parts(experiment, topology).values() if part.group in there]
    known = dict.fromkeys(name for part in asked for name in there[part.group].client_options)
    for option, value in experiment.client.items():
        if option not in known:
            names = dict.fromkeys(there[part.group].name for part in asked)
            what = f"option of the {' or '.join(names)} client"
            yield unknown(what, option, list(known), ("client", option), key=True)
            continue
        answers = [
            list(there[part.group].check_options({option: value}, part.kind))
            for part in asked
            if option in there[part.group].client_options
        ]
        if all(answers):  # it means something to none of them
            for problem in answers[0]:
                yield Complaint(path=("client",), message=problem)
    for part in asked:
        yield from _refused(experiment, topology, there[part.group], part)


def _refused(
    experiment: Experiment, topology: Topology, system: System, part: Part
) -> Iterator[Complaint]:
    """What a part's options are together, and what the mode of its nodes does not allow."""
    options = client_options(experiment, system, part.kind)
    for problem in system.check_options(options, part.kind):
        yield Complaint(path=("client",), message=problem)
    if isinstance(system, HasModes):
        nodes, settings = lent_to(topology, topology.each_group()[part.group])
        for problem in system.refusals(part.kind, options, nodes, settings):
            option = problem.startswith("client.")
            path: Path = ("client",) if option else ("workload", "name")
            yield Complaint(path=path, message=problem)


def client_options(experiment: Experiment, system: System, kind: str) -> dict[str, object]:
    """Those of an experiment's `client:` that mean something to a system's clients of a kind."""
    return {
        name: value
        for name, value in experiment.client.items()
        if name in system.client_options and not list(system.check_options({name: value}, kind))
    }
