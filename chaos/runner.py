"""One run, from a checked experiment to a run directory, in ten steps."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import docker

import chaos
from chaos.abort import AbortWatch
from chaos.errors import AftershockError, EngineError, Interrupted, RecordError
from chaos.faults.needs import lacking
from chaos.healing.watchdog import watching
from chaos.load.plan import LoadPlan, PartPlan
from chaos.load.pool import LoadPool, LoadStats
from chaos.nemesis import Nemesis
from chaos.record import rundir
from chaos.record.journal import open_faults
from chaos.record.writer import RunWriter
from chaos.registry import WORKLOADS
from chaos.runtime import images
from chaos.runtime.cluster import Plan, RunningCluster
from chaos.runtime.docker import owner
from chaos.runtime.groups import LentGroup, RunningGroup, builds, versions, wanted_images
from chaos.sampler import Sampler
from chaos.spec.files import LoadedExperiment
from chaos.spec.parts import client_options, parts, served
from chaos.spec.topology import Topology
from chaos.systems.base import ClientSpec
from chaos.workloads.base import LoadShape

CONNECT_DEADLINE_S = 30.0
FINAL_DEADLINE_S = 20.0
LEAD_NS = 50_000_000  # between choosing t = 0 and reaching it


class Watch(Protocol):
    """Whoever shows the run while it goes on."""

    def phase(self, name: str, seconds: float | None) -> None:
        """A phase begins; how long it will take, if that is known."""

    def say(self, text: str) -> None:
        """One line worth showing."""

    def attach(self, stats: Callable[[], LoadStats], faults: Callable[[], Sequence[str]]) -> None:
        """Where to look for live figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run, and how."""

    loaded: LoadedExperiment
    seed: int
    out: Path  # folder of all runs
    command: str  # as typed, for run.json
    images: Mapping[str, str]  # image folder or reference → image id
    client: docker.DockerClient
    capabilities: Mapping[str, Any]  # of the engine; "faults": chaos/runtime/capabilities.py


@dataclass(slots=True, kw_only=True)
class _Stage:
    """A run in progress: what the steps share."""

    order: Order
    writer: RunWriter
    watch: Watch
    t0_ns: int = 0
    marks: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    left: list[str] = dataclasses.field(default_factory=list)  # what could not be cleaned up

    def enter(self, phase: str, seconds: float | None = None) -> None:
        """Begin a phase and end the one before; on disk at once."""
        self.watch.phase(phase, seconds)
        self.marks.append((phase, time.monotonic_ns()))
        self.save()

    def save(self) -> None:
        """Write the phases so far; before t = 0 is chosen, times count from the first one."""
        now = time.monotonic_ns()
        ends = [start for _, start in self.marks[1:]] + [now]
        zero = self.t0_ns or self.marks[0][1]
        self.writer.update(
            phases=[
                {"name": name, "start_ns": start - zero, "end_ns": end - zero}
                for (name, start), end in zip(self.marks, ends, strict=True)
            ]
        )


def run(order: Order, watch: Watch) -> Path:
    """Run the experiment; the run directory's path. It is there, readable, whatever happens.

    Raises AftershockError for anything that kept the run from ending as planned (Interrupted for
    Ctrl-C), after healing every fault and removing every container.
    """
    experiment = order.loaded.experiment
    run_id = secrets.token_hex(4)
    meta = _meta(order) | {"run_id": run_id}
    writer = RunWriter.create(order.out, experiment.name, order.seed, meta)
    stage = _Stage(order=order, writer=writer, watch=watch)
    with _ending(stage), contextlib.ExitStack() as undo:
        # 1. The databases, in pods, formed into a cluster; watched from before the first.
        undo.enter_context(watching(writer.path))
        stage.enter("up")
        cluster = _cluster(order, run_id, writer.path)
        undo.callback(_take_down, stage, cluster)
        cluster.up(watch.say)
        _note_nodes(stage, cluster)
        # 2. The clients, connected but silent.
        pool = undo.enter_context(LoadPool(_load(order, cluster, writer)))
        writer.update(segments=[path.name for path in pool.segments])
        pool.wait_ready(CONNECT_DEADLINE_S)
        # 3. The faults, planned and written down before the first is injected.
        sampler = Sampler(cluster, writer)
        nemesis = _nemesis(stage, cluster, sampler)
        undo.callback(_heal_all, stage, nemesis)
        nemesis.plan()
        # 4. The clock: t = 0, from which everything is counted.
        stage.t0_ns = time.monotonic_ns() + LEAD_NS
        writer.update(t0_monotonic_ns=stage.t0_ns)
        undo.callback(sampler.stop)
        sampler.start(stage.t0_ns)
        # 5. Safety phase: clients work while faults come and go.
        watch.attach(pool.stats, nemesis.active)
        stage.enter("load", experiment.duration_ns / 1e9)
        pool.start(stage.t0_ns)
        nemesis.start(stage.t0_ns)
        _wait(stage, cluster, pool, nemesis, sampler)
        pool.stop(experiment.workload.timeout_ns / 1e9 + 10)
        # 6. Recovery: every fault healed, and proven to be.
        stage.enter("heal")
        nemesis.heal()
        # 7. Settle: until the nodes agree, or for as long as the experiment allows.
        stage.enter("settle", experiment.settle_ns / 1e9)
        writer.update(converged_s=_settle(cluster, experiment.settle_ns / 1e9))
        # 8. Final reads, the evidence of what is left.
        stage.enter("final")
        _final_reads(stage, pool)
        # 9. Down: logs kept, containers removed (by the callbacks above).
        stage.enter("down")
    # 10. The record is complete; judging it is for `analysis`.
    return writer.path


@contextlib.contextmanager
def _ending(stage: _Stage) -> Iterator[None]:
    """Finish the record in every case, with the state that the run ended in."""
    try:
        yield
        stage.save()
        stage.writer.finish("done")
    except KeyboardInterrupt:
        _give_up(stage, "interrupted", "Ctrl-C")
        left = "; ".join(stage.left) or "every fault healed, every container removed"
        raise Interrupted(f"interrupted: {left}; the run is kept in {stage.writer.path}") from None
    except RecordError as error:
        _give_up(stage, "failed", error.what)
        raise AftershockError(
            error.what,
            detail=error.detail,
            fix=error.fix or f"free disk space; what was recorded is in {stage.writer.path}",
        ) from None
    except AftershockError as error:
        _give_up(stage, "failed", error.what)
        raise
    except Exception as error:
        _give_up(stage, "failed", f"{type(error).__name__}: {error}")
        raise


def _give_up(stage: _Stage, state: str, reason: str) -> None:
    """Finish the record of a run that did not end as planned; the error shown is its first."""
    with contextlib.suppress(AftershockError):
        stage.save()
    try:
        stage.writer.finish(state, reason)
    except AftershockError as error:
        stage.watch.say(f"the record stays unfinished, but readable: {error.what}")


def _meta(order: Order) -> dict[str, Any]:
    topology, experiment = order.loaded.topology, order.loaded.experiment
    initial = WORKLOADS.get(experiment.workload.name).initial(_shape(order))
    return {
        "name": experiment.name,
        "experiment": experiment.resolved(),
        "topology": topology.resolved(),
        "random": _drawn_from(order),
        "imported": {} if initial is None else {"initial": initial},
        "seed": order.seed,
        "command": order.command,
        "versions": {
            "aftershock": chaos.__version__,
            "python": platform.python_version(),
            **versions(topology),
        },
        "images": dict(order.images),
        "capabilities": dict(order.capabilities),
        "clients": dict(topology.clients),
        "processes": sum(topology.clients.values()),
    }


def _drawn_from(order: Order) -> dict[str, Any]:
    """What the schedule was drawn from; {} when it was written down."""
    drawn_from = order.loaded.drawn_from
    if drawn_from is None:
        return {}
    seed = order.seed if drawn_from.seed is None else drawn_from.seed
    return {"seed": seed, "schedule": drawn_from.resolved()}


def _cluster(order: Order, run_id: str, record: Path) -> RunningCluster:
    return RunningCluster(
        order.client,
        Plan(
            run_id=run_id,
            topology=order.loaded.topology,
            images=order.images,
            owner=owner(),
            record=str(record.resolve()),
        ),
    )


def _nemesis(stage: _Stage, cluster: RunningCluster, sampler: Sampler) -> Nemesis:
    loaded = stage.order.loaded
    return Nemesis(
        entries=loaded.experiment.schedule,
        cluster=cluster,
        journal=stage.writer.journal,
        seed=stage.order.seed,
        roles=sampler.roles,
        client_zones=list(loaded.topology.clients),
        lacking=lacking(loaded.experiment.schedule, stage.order.capabilities.get("faults", {})),
        when_unavailable=loaded.experiment.when_unavailable,
    )


def _note_nodes(stage: _Stage, cluster: RunningCluster) -> None:
    stage.writer.update(nodes=[dataclasses.asdict(node) for node in cluster.nodes])


def _load(order: Order, cluster: RunningCluster, writer: RunWriter) -> LoadPlan:
    """What each client is made of, and what it does."""
    experiment = order.loaded.experiment
    workload = experiment.workload
    plans = {
        name: PartPlan(
            system=(group := cluster.groups[part.group].spoken_to(part.kind)).system.name,
            kind=part.kind,
            clients=_clients(order, group, part.kind),
        )
        for name, part in parts(experiment, order.loaded.topology).items()
    }
    first = next(iter(plans.values()))
    return LoadPlan(
        system=first.system,
        workload=workload.name,
        clients=first.clients,
        parts={} if "" in plans else plans,
        rate=workload.rate,
        seed=order.seed,
        segment=str(writer.path / rundir.SEGMENTS),
        shape=_shape(order),
    )


def _clients(order: Order, group: RunningGroup | LentGroup, kind: str) -> list[ClientSpec]:
    """Clients of a zone prefer its nodes in turn; a zone without nodes takes any."""
    experiment, topology = order.loaded.experiment, order.loaded.topology
    clients = []
    for zone, count in topology.clients.items():
        endpoints = group.endpoints(zone)
        here = [node.name for node in group.nodes if node.zone == zone and node.name in endpoints]
        homes = here or list(endpoints)
        clients += [
            ClientSpec(
                zone=zone,
                home=homes[k % len(homes)],
                endpoints=endpoints,
                settings=group.client_settings(),
                options=client_options(experiment, group.system, kind),
                timeout_s=experiment.workload.timeout_ns / 1e9,
            )
            for k in range(count)
        ]
    random.Random(order.seed).shuffle(clients)  # else worker 0 would hold one zone's clients
    return clients


def _shape(order: Order) -> LoadShape:
    workload = order.loaded.experiment.workload
    return LoadShape(
        mix=workload.mix or WORKLOADS.get(workload.name).default_mix,
        keys=workload.keys,
        distribution=workload.distribution,
        seed=order.seed,
        options=workload.options,
        probes={
            name: {"every_s": probe.every_ns / 1e9, "objective": probe.objective}
            for name, probe in order.loaded.topology.probes.items()
        },
    )


def _wait(
    stage: _Stage, cluster: RunningCluster, pool: LoadPool, nemesis: Nemesis, sampler: Sampler
) -> None:
    """Until the load phase is over, or the experiment's `abort_when` ends it; an error as soon as
    clients or the engine are lost."""
    experiment = stage.order.loaded.experiment
    used = served(experiment, stage.order.loaded.topology)
    groups = [[node.name for node in cluster.groups[name].nodes] for name in used]
    abort = AbortWatch(experiment.abort_when, groups)
    while (left := stage.t0_ns + experiment.duration_ns - time.monotonic_ns()) > 0:
        for part in (pool, nemesis, sampler):
            part.check()
        if lost := cluster.lost():
            raise EngineError(
                f"the container engine stopped in mid-run: {lost}",
                fix="look at `docker info`; `aftershock down --all` removes what is left",
            )
        now_ns = time.monotonic_ns() - stage.t0_ns
        if why := abort.why(now_ns, pool.stats(), sampler.roles()):
            nemesis.abort()
            stage.watch.say(f"aborted at {now_ns / 1e9:.1f} s, because {why}")
            stage.writer.update(aborted={"t_ns": now_ns, "why": why})
            return
        time.sleep(min(0.2, left / 1e9))


def _settle(cluster: RunningCluster, settle_s: float) -> float | None:
    """How long the nodes of every group took to agree; None when they did not, or when nobody can
    tell."""
    telling = [group for group in cluster.groups.values() if group.tells_convergence]
    start = time.monotonic()
    while (waited := time.monotonic() - start) < settle_s:
        with contextlib.suppress(Exception):  # a node that does not answer has not converged
            if telling and all(group.converged() for group in telling):
                return round(waited, 3)
        time.sleep(0.1)
    return None


def _final_reads(stage: _Stage, pool: LoadPool) -> None:
    """Each client's last reads, then the clients end. Without the reads the verdict is unknown, but
    the run is kept all the same."""
    try:
        pool.final(FINAL_DEADLINE_S)
    except AftershockError as error:
        stage.watch.say(f"no final reads: {error.what}")
        stage.writer.update(final_reads=error.what)
    pool.quit()
    stage.writer.update(skipped=pool.stats().skipped)


def _take_down(stage: _Stage, cluster: RunningCluster) -> None:
    """Keep the nodes' logs, remove everything; a dead engine must not hide the first error."""
    try:
        for name, pod in cluster.pods.items():
            (stage.writer.path / rundir.LOGS / f"{name}.log").write_text(pod.logs())
    except (AftershockError, OSError) as error:
        stage.watch.say(f"logs not kept: {error}")
    try:
        cluster.down()
    except AftershockError as error:
        stage.left.append(f"containers left behind ({error.what})")
        stage.watch.say(f"containers left behind: {error.what} ({error.fix})")


def _heal_all(stage: _Stage, nemesis: Nemesis) -> None:
    """Heal what is active, and notice what the record does not prove healed."""
    nemesis.heal()
    for fault in open_faults(stage.writer.path / rundir.JOURNAL):
        stage.left.append(f"{fault['id']} ({fault.get('fault', '?')}) not proven healed")


def images_for(
    topology: Topology, client: docker.DockerClient, progress: images.Report
) -> dict[str, str]:
    """Have the images a topology needs, pulled or built: {what each is kept under: image id}."""
    wanted = wanted_images(topology)
    built = builds(topology)
    ids = images.ensure(wanted.values(), client=client, progress=progress, builds=built)
    return {name: ids[reference] for name, reference in wanted.items()}
