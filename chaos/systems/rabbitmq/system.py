"""RabbitMQ 4: queues and streams on a cluster of nodes that all take what clients send.

A client may be connected to any node, which hands on to the one that leads the queue. A classic
queue is on one node (mirrored ones ended with RabbitMQ 4.0); a quorum queue is a raft group, and
confirms what a majority has on disk (https://www.rabbitmq.com/docs/quorum-queues); a stream is a
log with replicas (https://www.rabbitmq.com/docs/streams). What queues there are the nodes keep in
Mnesia, which is RabbitMQ 4.0's default (Khepri is the other store, and can be turned on there), so
that `cluster_partition_handling` has a meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from chaos.systems._common import equals_problems, node_of, option_problems, problems
from chaos.systems.base import (
    Client,
    ClientSpec,
    Cluster,
    ContainerSpec,
    Handshake,
    Node,
    Observation,
    Reachable,
)
from chaos.systems.rabbitmq.admin import COUNTED, QUEUES, ask, whole
from chaos.systems.rabbitmq.client import ERRORS
from chaos.systems.rabbitmq.clients import CLIENTS, OPTIONS
from chaos.systems.rabbitmq.conf import (
    CLASSIC,
    DATA,
    PORTS,
    SETTINGS,
    STREAM,
    container,
    queue_type,
    setting_problems,
)
from chaos.systems.rabbitmq.frames import bulk
from chaos.systems.rabbitmq.observer import Observer
from chaos.systems.rabbitmq.steps import STEPS, forget

GREETING = b"AMQP\x00\x00\x09\x01"  # of AMQP 0-9-1, to which a node answers with Connection.Start
FORM_S = 60.0


class Rabbitmq:
    """RabbitMQ 4."""

    name = "rabbitmq"
    about = "RabbitMQ 4: classic queues on one node each, quorum queues, or streams"
    ports: Mapping[str, int] = PORTS
    knocks: Mapping[str, bytes] = {
        "db": GREETING,
        "management": b"GET / HTTP/1.1\r\nHost: rabbitmq\r\n\r\n",
        "metrics": b"GET / HTTP/1.1\r\nHost: rabbitmq\r\n\r\n",
        "epmd": b"\x00\x01n",
    }
    handshakes: Mapping[str, Handshake] = {"db": Handshake(say=GREETING, served=b"\x01\x00\x00")}
    images: Sequence[str] = ("rabbitmq",)
    elects = True
    workloads = frozenset(CLIENTS)
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps = STEPS

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """Messages to a queue that is not there; the other ports know no such."""
        return bulk(request_bytes, answer_bytes) if port == "db" else None

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        return option_problems(options, OPTIONS, workload)

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        yield from equals_problems(nodes, "RabbitMQ's nodes are equals; leave the role out")
        wrong = list(problems(settings, SETTINGS))
        yield from wrong or setting_problems(nodes, settings)

    def elects_with(self, settings: Mapping[str, Any]) -> bool:
        """Quorum queues and streams elect leaders; a classic queue is down with its node."""
        return queue_type(settings) != CLASSIC

    def refusals(
        self,
        workload: str,
        options: Mapping[str, Any],
        nodes: Sequence[Node],
        settings: Mapping[str, Any],
    ) -> Iterable[str]:
        """A stream is a log, and from a log nothing is taken out."""
        kind = queue_type(settings)
        if (workload == "log") != (kind == STREAM):
            wanted = STREAM if workload == "log" else "classic or quorum"
            yield f"the workload {workload} needs settings.queue_type: {wanted}; it is {kind}"

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One RabbitMQ."""
        return [container(node, nodes, settings)]

    def start_empty(self, cluster: Cluster, node: str) -> Sequence[ContainerSpec]:
        """The others forget the node that was; one of that name without data joins them by
        itself. Which quorum queues it is to be a member of an operator says (`grow`)."""
        forget(cluster, node)
        own = node_of(cluster, node)
        return [container(own, cluster.nodes, cluster.settings, join=True)]

    def form(self, cluster: Cluster) -> None:
        """Wait until every node says that all of them run. They find each other by themselves."""

        def joined() -> bool:
            return all(whole(cluster, node.name) for node in cluster.nodes)

        cluster.wait("every node runs and knows the others", joined, FORM_S)
        for node in cluster.nodes:  # a power loss is to cost messages, not the cluster
            cluster.execute(node.name, ["sync", "-f", DATA])

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The driver's version."""
        return {"pika": version("pika")}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """Which queues `node` leads, as it knows, and how long they are."""
        return Observer(cluster, node, timeout_s).observe

    def converged(self, cluster: Cluster) -> bool:
        """Every node says that all of them run and none is apart; every queue has a leader and all
        its members; nothing is with a consumer that nobody has heard the end of."""
        if not all(whole(cluster, node.name) for node in cluster.nodes):
            return False
        for node in cluster.nodes:
            for queue in ask(cluster, node.name, QUEUES):
                missing = set(queue.get("members", ())) - set(queue.get("online", ()))
                if queue.get("state") != "running" or missing:
                    return False
        counted = ask(cluster, cluster.nodes[0].name, COUNTED)
        return all(queue.get("messages_unacknowledged") == 0 for queue in counted)


SYSTEM = Rabbitmq()
