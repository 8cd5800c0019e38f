"""How a client of a plan is made: one of the plan's system, or joined of one for each part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaos import registry
from chaos.load.plan import LoadPlan
from chaos.record.op import Invocation, Result
from chaos.systems.base import Client, ClientSpec, Definite, ErrorRule, Judged, System, classify


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Makes one client, again and again; `errors` judges what it raises."""

    make: Callable[[], Client]
    errors: Sequence[ErrorRule]
    zone: str


class JudgedClient:
    """A part's client, whose errors come with what that part's own table says of them."""

    def __init__(self, part: str, client: Client, errors: Sequence[ErrorRule]) -> None:
        self._part = part
        self._client = client
        self._errors = errors

    @property
    def node(self) -> str:
        """The node that it is connected to."""
        return self._client.node

    def open(self) -> None:
        """Connect. An error stays as it is: of an operation nothing was sent."""
        self._client.open()

    def invoke(self, operation: Invocation) -> Result:
        """Do it once; `Definite` as it is, any other error as `Judged`."""
        try:
            return self._client.invoke(operation)
        except (Definite, Judged):
            raise
        except Exception as error:
            definite, why = classify(error, self._errors)
            raise Judged(definite, f"{self._part}: {why}") from error

    def close(self) -> None:
        """Drop its connections."""
        self._client.close()


def makers(plan: LoadPlan) -> list[Maker]:
    """One for each client of the plan."""
    if not plan.parts:
        system = registry.SYSTEMS.get(plan.system)
        return [_single(system, plan.workload, spec) for spec in plan.clients]
    return [_joined(plan, number) for number in range(len(plan.clients))]


def _single(system: System, workload: str, spec: ClientSpec) -> Maker:
    return Maker(make=lambda: system.client(spec, workload), errors=system.errors, zone=spec.zone)


def _joined(plan: LoadPlan, number: int) -> Maker:
    workload = registry.WORKLOADS.get(plan.workload)
    systems = {name: registry.SYSTEMS.get(part.system) for name, part in plan.parts.items()}

    def part_client(name: str) -> Client:
        part, system = plan.parts[name], systems[name]
        client = system.client(part.clients[number], part.kind)
        return JudgedClient(name, client, system.errors)

    def make() -> Client:
        return workload.joined({name: part_client(name) for name in plan.parts}, plan.shape)

    # What the parts raise has been judged; of what the joint client itself does, nothing is known.
    return Maker(make=make, errors=(), zone=plan.clients[number].zone)
