"""What is left of a run on the engine. Only labels say what belongs to it, never names."""

from __future__ import annotations

import contextlib
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from chaos.errors import FaultError, UsageError
from chaos.runtime.attached import AttachedCluster
from chaos.runtime.docker import (
    LABEL_NODE,
    LABEL_PART,
    LABEL_RUN,
    LABEL_SPEC,
    engine_errors,
)
from chaos.runtime.pod import AGENT_HOME

CLIENTS = "clients"  # where a node's name would stand: the pod of the clients
INSPECT = ["python3", "-m", "chaos.agent.inspect"]
_RUN_ID = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was in force in a pod (chaos/agent/inspect.py), and when, on the monotonic clock of the
    engine's host. Kinds that hold nothing are left out."""

    t_ns: int = field(default_factory=time.monotonic_ns)
    held: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """The containers of one run, by node."""

    client: docker.DockerClient
    run_id: str
    agents: dict[str, Any]  # node or CLIENTS → container
    databases: dict[str, list[Any]]  # node → containers, in the order they were made
    toxiproxy: Any  # None when it is gone
    cluster: AttachedCluster | None  # how its databases are reached; None when nobody can tell

    @property
    def running(self) -> bool:
        """Whether a pod is there in which something could still be in force."""
        return any(agent.status in ("running", "paused") for agent in self.agents.values())

    def containers(self, node: str) -> list[Any]:
        """The database containers of `node`, as they are now.

        FaultError for a node that this run has not, whatever container may be called so.
        """
        if node not in self.databases:
            there = ", ".join(sorted(self.databases)) or "none"
            raise FaultError(
                f"expected a node of run {self.run_id} ({there}), got {node!r}",
                fix="only containers with this run's labels are touched",
            )
        for container in self.databases[node]:
            with engine_errors(f"looking at {container.name}"):
                container.reload()
        return self.databases[node]

    def frozen(self) -> dict[str, list[str]]:
        """Database containers that the engine froze, by node."""
        found: dict[str, list[str]] = {}
        for node, containers in self.databases.items():
            for container in containers:
                with contextlib.suppress(DockerException, requests.RequestException):
                    container.reload()
                    if container.status == "paused":
                        found.setdefault(node, []).append(container.name)
        return found

    def look(self) -> dict[str, Look]:
        """A look into each pod, all at once. A pod that has ended holds nothing."""
        with ThreadPoolExecutor(len(self.agents) or 1) as pool:
            found = pool.map(_look, self.agents.values())
            return dict(zip(self.agents, found, strict=True))


def find(client: docker.DockerClient, run_id: str) -> Remains:
    """Everything that carries `run_id` as its label; UsageError when it cannot be a run's id."""
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(f"expected a run's id (8 letters of 0-9 a-f), got {run_id[:60]!r}")
    with engine_errors(f"looking for the containers of run {run_id}"):
        where: dict[str, Any] = {"label": f"{LABEL_RUN}={run_id}"}
        found = client.containers.list(all=True, filters=where, ignore_removed=True)
    agents: dict[str, Any] = {}
    databases: dict[str, list[Any]] = {}
    toxiproxy = clients = None
    for container in sorted(found, key=lambda c: c.attrs["Created"]):
        node, part = container.labels.get(LABEL_NODE), container.labels.get(LABEL_PART)
        if part == "agent":
            agents[node or CLIENTS] = container
        elif part == "database" and node:
            databases.setdefault(node, []).append(container)
        elif part == "toxiproxy":
            toxiproxy = container
        if LABEL_SPEC in container.labels:
            clients = container
    return Remains(
        client=client,
        run_id=run_id,
        agents=agents,
        databases=databases,
        toxiproxy=toxiproxy,
        cluster=_attached(run_id, clients, databases),
    )


def _attached(run_id: str, clients: Any, databases: dict[str, list[Any]]) -> AttachedCluster | None:
    if clients is None or clients.status != "running":
        return None
    try:
        return AttachedCluster(run_id, clients, databases)
    except (KeyError, StopIteration, TypeError, ValueError):
        return None  # it is going away just now, or its label is not ours


def _look(agent: Any) -> Look:
    try:
        code, output = agent.exec_run(INSPECT, workdir=AGENT_HOME, demux=True)
    except NotFound:
        return Look()
    except APIError as error:
        if error.status_code == 409:  # it does not run, and what it held has ended with it
            return Look()
        return Look(held={"unknown": [f"the engine would not look: {error.explanation}"]})
    text, complaint = (part.decode(errors="replace") if part else "" for part in output)
    try:
        found = json.loads(text)
        t_ns = int(found.pop("t_ns"))
        held = {str(kind): [str(x) for x in what] for kind, what in found.items() if what}
    except (ValueError, AttributeError, TypeError, KeyError):
        last = (complaint or text).strip().splitlines()[-1:] or [f"exit code {code}"]
        return Look(held={"unknown": [f"the pod could not be looked into: {last[0][:200]}"]})
    return Look(t_ns=t_ns, held=held)
