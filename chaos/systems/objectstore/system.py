"""An S3 object store: MinIO, whose nodes are alike and keep each a part of every object.

A write is acknowledged when a majority of the drives has its part, and a lock that a majority of
the nodes gives orders the writes of one object; a read needs the parts that make it whole. So a
store of one site is linearizable object by object, and what that is worth to who reads, changes and
writes back depends on If-Match. A second site gets copies later
(https://github.com/minio/minio/blob/master/docs/distributed/README.md,
https://github.com/minio/minio/blob/master/docs/bucket/replication/README.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import boto3
import botocore
from botocore.exceptions import ClientError

from chaos.systems._common import option_problems, pieces
from chaos.systems.base import (
    Client,
    ClientSpec,
    ClockReading,
    Cluster,
    ContainerSpec,
    Handshake,
    Node,
    Observation,
    Reachable,
    Step,
)
from chaos.systems.objectstore.client import ERRORS, OPTIONS
from chaos.systems.objectstore.clients import CLIENTS
from chaos.systems.objectstore.conf import (
    PORT,
    SECOND,
    SETTINGS,
    container,
    node_problems,
    regions_of,
    sites,
    versioned,
)
from chaos.systems.objectstore.observer import Observer, clock, whole
from chaos.systems.objectstore.steps import ADMIN_TIMEOUT_S, STEPS, replicate, storage, takes_writes
from chaos.systems.objectstore.wire import BUCKET, LIVE, Store, code_of, s3

FORM_S = 60.0
BODY_BYTES = 200_000  # of a request whose body Go's server reads after an answer; not above 256 KiB
METRICS = "/minio/v2/metrics/node"
METRICS_BYTES = 20_000  # it has more


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: minio\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class ObjectStore:
    """MinIO."""

    name = "objectstore"
    about = "MinIO, an S3 object store, erasure coded over alike nodes; one site, or two"
    ports: Mapping[str, int] = {"db": PORT}
    knocks: Mapping[str, bytes] = {"db": _request("GET", LIVE)}
    handshakes: Mapping[str, Handshake] = {
        "db": Handshake(say=knocks["db"], served=b"HTTP/1.1 200")
    }
    images: Sequence[str] = ("minio",)
    elects = True
    workloads = frozenset(CLIENTS)
    settings: Mapping[str, str] = {name: rule.about for name, rule in SETTINGS.items()}
    rules = SETTINGS
    client_options: Mapping[str, str] = {name: rule.about for name, rule in OPTIONS.items()}
    errors = ERRORS
    steps: Mapping[str, Step] = STEPS

    def bulk(self, port: str, request_bytes: int, answer_bytes: int) -> bytes | None:
        """Bodies that nobody asked for, and the metrics again and again."""
        if port != "db":
            return None
        sizes = pieces(request_bytes, BODY_BYTES)
        bodies = b"".join(_request("GET", LIVE, b"x" * size) for size in sizes)
        return bodies + _request("GET", METRICS) * -(-answer_bytes // METRICS_BYTES)

    def check_options(self, options: Mapping[str, Any], workload: str) -> Iterable[str]:
        """Problems with the client's options, a sentence each."""
        return option_problems(options, OPTIONS, workload)

    def check(self, nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
        """Problems with this topology, a sentence each."""
        return node_problems(nodes, settings)

    def containers(
        self, node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]
    ) -> Sequence[ContainerSpec]:
        """One MinIO."""
        return [container(node, nodes, settings)]

    def form(self, cluster: Cluster) -> None:
        """Wait until every node reaches all drives of its site, make the bucket on each site, and
        have the one copy it to the other. A node that says so may refuse writes for seconds yet."""
        cluster.wait("every node reaches all drives", lambda: _whole(cluster), FORM_S)
        for site in sites(regions_of(cluster.nodes), cluster.settings):
            if site:
                _make_bucket(cluster, site[0])
        if SECOND in cluster.settings:
            replicate(cluster)
        cluster.wait("every node takes writes", lambda: self.converged(cluster), FORM_S)

    def client(self, spec: ClientSpec, workload: str) -> Client:
        """A client of `workload`."""
        return CLIENTS[workload](spec)

    def versions(self) -> Mapping[str, str]:
        """The driver, and the part of it that speaks."""
        return {"boto3": boto3.__version__, "botocore": botocore.__version__}

    def observer(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], Observation]:
        """What `node` says of the drives that it reaches."""
        second = node in sites(regions_of(cluster.nodes), cluster.settings)[1]
        site = "second site" if second else "first site" if SECOND in cluster.settings else ""
        return Observer(cluster.address(node, "db"), timeout_s, site).observe

    def clock(
        self, cluster: Reachable, node: str, timeout_s: float
    ) -> Callable[[], ClockReading | None]:
        """The time by which `node` calls requests, and orders versions of objects."""
        return clock(cluster.address(node, "db"), timeout_s)

    def converged(self, cluster: Cluster) -> bool:
        """Every node takes writes, no drive is missing or being filled again, and the second site
        has what the first had when asked."""
        if not _whole(cluster):
            return False
        source, target = sites(regions_of(cluster.nodes), cluster.settings)
        if target:
            wanted = _store(cluster, source[0]).etags()
            if not wanted.items() <= _store(cluster, target[0]).etags().items():
                return False
        return all(takes_writes(cluster, node.name) for node in cluster.nodes)


def _whole(cluster: Cluster) -> bool:
    return all(whole(storage(cluster, node.name)) for node in cluster.nodes)


def _store(cluster: Cluster, node: str) -> Store:
    return Store(node, cluster.address(node, "db"), ADMIN_TIMEOUT_S)


def _make_bucket(cluster: Cluster, node: str) -> None:
    client = s3(cluster.address(node, "db"), ADMIN_TIMEOUT_S)
    try:
        client.create_bucket(Bucket=BUCKET)
    except ClientError as error:
        if code_of(error) != "BucketAlreadyOwnedByYou":
            raise
    if versioned(cluster.settings):
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


SYSTEM = ObjectStore()
