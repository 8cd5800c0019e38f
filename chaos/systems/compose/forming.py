"""Starting a project as Compose does: each service when those that it waits for are so far.

A healthcheck is run here, in the container, until it succeeds once; afterwards nobody asks it: what
becomes of a service during a run is what its clients see. A service with `restart:` is started
again when it ends before all are up; during a run only a fault's end, or a step, starts a node.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from chaos.errors import ClusterError
from chaos.systems.base import Cluster
from chaos.systems.compose.knocking import knock
from chaos.systems.compose.project import COMPLETED, HEALTHY, PROJECT, Project, Service, told
from chaos.systems.placing import Watched

LOOK_S = 0.25  # between two looks at what is waited for
RESTART_S = 0.5  # before a service that has ended is started again
COMPLETED_S = 300.0  # how long a service that is to end well may take
LISTENS_S = 90.0  # how long a service without a healthcheck may take until it listens
HEALTHY_S = 60.0  # the least that a healthcheck is given: the engine's own time runs on all cores
LINES = 15


class Forming:
    """One project that is being started."""

    def __init__(self, cluster: Cluster) -> None:
        assert isinstance(cluster, Watched)
        project = cluster.settings[PROJECT]
        assert isinstance(project, Project)
        self._cluster: Cluster = cluster
        self._watched: Watched = cluster
        self._services: Mapping[str, Service] = project.services
        self._nodes = told(cluster.settings)
        self._started: dict[str, Future[None]] = {}
        self._ready: dict[str, Future[None]] = {}

    def run(self) -> None:
        """Start all; returns when each is healthy, listens or has ended well. The first error in
        the file's order is raised when all have come to an end."""
        with ThreadPoolExecutor(2 * len(self._services)) as pool:
            # Those that are waited for first: a job may ask for any other's future at once.
            for name in self._services:
                self._started[name] = Future()
            for name in self._services:
                self._ready[name] = pool.submit(self._make_ready, name)
            for name in self._services:
                pool.submit(self._start, name)
        for name in self._services:
            self._ready[name].result()

    def _start(self, name: str) -> None:
        """Start its nodes once it may; whatever hinders it is the result."""
        service, done = self._services[name], self._started[name]
        try:
            for need in service.needs:
                other = self._services.get(need.service)
                if other is None:
                    continue
                if need.condition == HEALTHY:
                    self._ready[other.name].result()
                elif need.condition == COMPLETED:
                    self._started[other.name].result()
                    self._until(other, "ended well", self._completed, COMPLETED_S)
                else:
                    self._started[other.name].result()
            for node in service.nodes:
                self._cluster.start(node)
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def _make_ready(self, name: str) -> None:
        service = self._services[name]
        self._started[name].result()
        if service.health is not None:
            deadline_s = max(HEALTHY_S, service.health.deadline_s)
            self._until(service, "become healthy", self._healthy, deadline_s)
        elif service.ports:
            self._until(service, f"listened at port {service.ports[0]}", self._listens, LISTENS_S)

    def _until(
        self, service: Service, what: str, done: Callable[[Service, str], bool], deadline_s: float
    ) -> None:
        """Look at each node until all are so far; one that has ended is started again, or said."""
        end = time.monotonic() + deadline_s
        left = list(service.nodes)
        while left:
            left = [node for node in left if not done(service, node)]
            for node in left:
                self._look_after(service, node, what, done)
            if left and time.monotonic() > end:
                raise self._error(left[0], f"had not {what} within {deadline_s:g} s")
            if left:
                time.sleep(LOOK_S)

    def _look_after(
        self, service: Service, node: str, what: str, done: Callable[[Service, str], bool]
    ) -> None:
        code = self._watched.ended(node)
        if code is None or done(service, node):  # it may have ended well since it was looked at
            return
        if not service.restarts:
            raise self._error(node, f"ended with exit code {code} before it had {what}")
        time.sleep(RESTART_S)
        self._cluster.start(node)

    def _error(self, node: str, said: str) -> ClusterError:
        return ClusterError(
            f"the service {node} {said}",
            detail=self._watched.log(node, LINES).strip(),
            fix="these are its last lines; `docker compose up` shows whether it would do so there",
        )

    def _completed(self, service: Service, node: str) -> bool:
        return self._watched.ended(node) == 0

    def _healthy(self, service: Service, node: str) -> bool:
        assert service.health is not None
        if self._watched.ended(node) is not None:
            return False
        deadline_s = max(1.0, service.health.timeout_ns / 1e9)
        try:
            self._cluster.execute(node, service.health.command, deadline_s=deadline_s)
        except ClusterError:
            return False
        return True

    def _listens(self, service: Service, node: str) -> bool:
        say = bytes.fromhex(self._nodes[node]["knocks"]["db"])
        return knock(self._cluster.address(node, "db"), say, LOOK_S) in ("answered", "silent")
