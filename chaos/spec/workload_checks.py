"""What holds between an experiment's `workload:`, `properties:`, `client:` and its system."""

from __future__ import annotations

from collections.abc import Iterator

from chaos import registry
from chaos.errors import SpecError
from chaos.spec.complaints import Complaint, Path, unknown
from chaos.spec.experiment import Experiment
from chaos.spec.group_checks import systems
from chaos.spec.parts import check_client, check_parts, served
from chaos.spec.properties import PROPERTIES
from chaos.spec.topology import Topology
from chaos.systems._messages import HasLogs
from chaos.workloads.base import Workload


def check_workload(experiment: Experiment, topology: Topology) -> Iterator[Complaint]:
    """Everything about the workload and what is asked of its history."""
    name = experiment.workload.name
    known = registry.WORKLOADS.names()
    if name not in known:
        yield unknown("workload", name, known, ("workload", "name"))
        return
    try:
        workload = registry.WORKLOADS.get(name)
    except SpecError as error:
        yield Complaint(path=("workload", "name"), message=error.what, fix=error.fix)
        return
    wrong = list(check_parts(experiment, topology, workload.parts))
    yield from wrong or check_client(experiment, topology)
    if name == "log" and not wrong:
        yield from _logs(experiment, topology)
    for operation in experiment.workload.mix:
        if operation not in workload.operations:
            path: Path = ("workload", "mix", operation)
            what = f"operation of `{name}`"
            yield unknown(what, operation, list(workload.operations), path, key=True)
    yield from _options(experiment, workload)
    if name == "probes":
        yield from _probing(experiment, topology)
    yield from _properties(experiment, workload)


def _logs(experiment: Experiment, topology: Topology) -> Iterator[Complaint]:
    """Consumer groups and transactions, of which not every system's logs know."""
    spec, there = experiment.workload, systems(topology)
    asked: dict[str, tuple[bool, Path]] = {
        "txn": (spec.mix.get("txn", 0) > 0, ("workload", "mix", "txn")),
        "subscribe": (spec.options.get("subscribe") == 1, ("workload", "options", "subscribe")),
    }
    for system in (there[group] for group in served(experiment, topology) if group in there):
        known = system.log_operations if isinstance(system, HasLogs) else frozenset()
        for f, (is_asked, path) in asked.items():
            if is_asked and f not in known:
                yield Complaint(path=path, message=f"the logs of {system.name} know no `{f}`")


def _options(experiment: Experiment, workload: Workload) -> Iterator[Complaint]:
    for name, value in experiment.workload.options.items():
        path: Path = ("workload", "options", name)
        rule = workload.options.get(name)
        if rule is None:
            what = f"option of `{workload.name}`"
            yield unknown(what, name, list(workload.options), path, key=True)
        elif not rule.least <= value <= rule.most:
            yield Complaint(
                path=path,
                message=f"expected {name} from {rule.least} to {rule.most}, got {value}",
                fix=f"it is {rule.default} if left out",
            )


def _probing(experiment: Experiment, topology: Topology) -> Iterator[Complaint]:
    """Probes stand in the topology, each with its own rhythm."""
    if topology.project is not None and not topology.probes:
        message = f"the topology `{topology.name}` has no `probes:`"
        fix = "add some, such as `web: {service: web, http: /}`"
        yield Complaint(path=("workload", "name"), message=message, fix=fix)
    if experiment.workload.rate is not None:
        message = "each probe has a rhythm of its own: `every:`"
        yield Complaint(path=("workload", "rate"), message=message, fix="leave it out", key=True)


def _properties(experiment: Experiment, workload: Workload) -> Iterator[Complaint]:
    for index, name in enumerate(experiment.properties):
        path: Path = ("properties", index)
        if name not in PROPERTIES:
            yield unknown("property", name, PROPERTIES, path)
        elif name not in workload.properties:
            yield Complaint(
                path=path,
                message=f"a history of `{workload.name}` does not decide `{name}`",
                fix=f"it decides {', '.join(workload.properties)}",
            )


def filled(experiment: Experiment) -> Experiment:
    """The experiment with the workload's options all there, as given or by default."""
    spec = experiment.workload
    known = registry.WORKLOADS.get(spec.name).options
    options = {name: rule.default for name, rule in known.items()} | spec.options
    workload = spec.model_copy(update={"options": options})
    return experiment.model_copy(update={"workload": workload})
