"""All checks of one system, in their order, each with what it came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from chaos.conformance import clients, cluster
from chaos.conformance.cluster import SpecOf
from chaos.conformance.findings import Finding, Nonconformance, first_sentence, must
from chaos.errors import AftershockError
from chaos.systems.base import (
    Cluster,
    HasBulk,
    HasConvergence,
    HasHandshakes,
    HasOperators,
    HasRoles,
    System,
)

# What a system may lack, and what nobody knows then.
POWERS: dict[type, str] = {
    HasHandshakes: "`handshakes`: whether a server that accepts a connection serves it",
    HasRoles: "`observer`: which node leads, and whether two do",
    HasOperators: "`steps`: how a node joins again",
    HasConvergence: "`converged`: when the nodes are one cluster again",
}
NO_BULK = "`bulk`: whether a client's link is as slow as a fault was to make it"
Together = Callable[[System, Cluster, SpecOf], None]
TOGETHER: tuple[tuple[str, Together, tuple[type, ...]], ...] = (
    ("handshakes", cluster.handshakes, (HasHandshakes,)),
    ("bulk", cluster.bulk, (HasHandshakes,)),
    ("roles", cluster.leads, (HasRoles,)),
    ("failover", cluster.failover, (HasRoles, HasOperators, HasConvergence)),
    ("promote", cluster.promote, (HasRoles, HasOperators)),
)


def conform(system: System, spec_of: SpecOf, nodes: Cluster | None = None) -> Iterator[Finding]:
    """Each check's finding as soon as there is one. Without `nodes` only what a client can see.

    The cluster must be new and formed: the checks count on empty data. `spec_of(node)` is for a
    client at home on that node; the client checks' is at home on the last.
    """
    spec = spec_of("n1" if nodes is None else nodes.nodes[-1].name, cluster.PATIENT_S)
    yield _found("kinds", kinds, partial(kinds, system))
    for kind, check in clients.CHECKS.items():
        name = f"client {kind}"
        if kind not in system.workloads:
            yield _not_there(name, check, "absent", f"`workloads` has no {kind}")
        elif refusals := cluster.refusals(system, kind, spec.options, nodes):
            yield _not_there(name, check, "absent", refusals)
        else:
            yield _found(name, check, partial(check, system, spec))
    yield _found("versions", versions, partial(versions, system))
    if nodes is not None:
        yield from _together(system, nodes, spec_of)


def _together(system: System, nodes: Cluster, spec_of: SpecOf) -> Iterator[Finding]:
    for name, check, powers in TOGETHER:
        lacking = [POWERS[power] for power in powers if not isinstance(system, power)]
        if name == "bulk" and not isinstance(system, HasBulk):
            yield _not_there(name, check, "absent", NO_BULK)
        elif lacking:
            yield _not_there(name, check, "missing", "; ".join(lacking))
        elif name == "promote" and "promote" not in getattr(system, "steps", ()):
            yield _not_there(name, check, "absent", "`steps` has no promote")
        else:
            yield _found(name, check, partial(check, system, nodes, spec_of))


def kinds(system: System) -> None:
    """The system has a kind of client, and each that it has is one that is checked here."""
    must(system.workloads, "`workloads` is empty: there is no client")
    unknown = sorted(system.workloads - set(clients.CHECKS))
    must(not unknown, f"`workloads` has {', '.join(unknown)}, which nothing here checks")


def versions(system: System) -> None:
    """It says which driver in which version is used, where there is one."""
    for name, version in system.versions().items():
        must(isinstance(version, str) and version, f"the version of {name} is {version!r}")


def _found(name: str, about: Callable[..., object], check: Callable[[], object]) -> Finding:
    outcome, why = "passed", ""
    try:
        check()
    except (Nonconformance, AftershockError) as error:
        outcome, why = "failed", str(error)
    except Exception as error:  # a system's code may fail in any way
        outcome, why = "failed", f"{type(error).__name__}: {error}"
    return Finding(name=name, about=first_sentence(about), outcome=outcome, why=why)


def _not_there(name: str, about: Callable[..., object], outcome: str, why: str) -> Finding:
    return Finding(name=name, about=first_sentence(about), outcome=outcome, why=why)
