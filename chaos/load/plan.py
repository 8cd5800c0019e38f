"""What a worker process is told to do, as plain data that crosses a pipe as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.systems.base import ClientSpec
from chaos.workloads.base import LoadShape


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """One part of a workload that has several: whose clients it needs, and of which kind."""

    system: str
    kind: str
    clients: Sequence[ClientSpec]  # one for each client of the plan, in the same order


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """The clients to run, and what they do. Each worker gets the same plan with some of them."""

    system: str
    workload: str
    shape: LoadShape
    clients: Sequence[ClientSpec]
    # Of a workload with parts; `system` and `clients` are then those of the first.
    parts: Mapping[str, PartPlan] = field(default_factory=dict)
    processes: Sequence[int] = ()  # the first process number of each client; (): 0, 1, …
    total: int = 0  # clients of the whole run; 0: those of this plan
    rate: float | None = None  # operations a second over the whole run; None: closed loop
    seed: int = 0
    segment: str  # the file this worker writes; of the whole plan: the folder for such files

    def split(self, workers: int) -> list[LoadPlan]:
        """One plan for each worker, the clients dealt out in turn. The first process of client i
        is i, and its later ones i + total, i + 2·total, …"""
        return [
            dataclasses.replace(
                self,
                clients=self.clients[worker::workers],
                parts={
                    name: dataclasses.replace(part, clients=part.clients[worker::workers])
                    for name, part in self.parts.items()
                },
                processes=range(len(self.clients))[worker::workers],
                total=len(self.clients),
                segment=f"{self.segment}/history-{worker}.arrows",
            )
            for worker in range(workers)
        ]


def to_json(plan: LoadPlan) -> dict[str, Any]:
    """`plan` as JSON types."""
    data = {f.name: getattr(plan, f.name) for f in dataclasses.fields(plan)}
    data["shape"] = dataclasses.asdict(plan.shape)
    data["clients"] = [dataclasses.asdict(client) for client in plan.clients]
    data["parts"] = {name: dataclasses.asdict(part) for name, part in plan.parts.items()}
    data["processes"] = list(plan.processes)
    return data


def from_json(data: dict[str, Any]) -> LoadPlan:
    """The plan that `to_json` made `data` from."""
    shape = LoadShape(**data["shape"])
    parts = {
        name: PartPlan(**{**part, "clients": _specs(part["clients"])})
        for name, part in data["parts"].items()
    }
    clients = _specs(data["clients"])
    return LoadPlan(**{**data, "shape": shape, "clients": clients, "parts": parts})


def _specs(clients: list[dict[str, Any]]) -> list[ClientSpec]:
    return [ClientSpec(**{**client, "endpoints": _pairs(client)}) for client in clients]


def _pairs(client: dict[str, Any]) -> dict[str, dict[str, tuple[str, int]]]:
    return {
        node: {name: (host, port) for name, (host, port) in ports.items()}
        for node, ports in client["endpoints"].items()
    }
