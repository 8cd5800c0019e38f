"""What a Cassandra pod is configured with: settings, cassandra.yaml, and how a node starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.systems._common import DURATION, TRUE_FALSE, Setting, milliseconds, resolve
from chaos.systems.base import ContainerSpec, Node

PORTS = {"db": 9042}
KEYSPACE = "aftershock"
VOLUME = "/var/lib/cassandra"
HINTS = f"{VOLUME}/hints"
CONF = "/etc/aftershock/cassandra.yaml"
PLACE = "/etc/aftershock/rackdc.properties"
START = "/usr/lib/cassandra/node"  # topologies/images/cassandra: Java's flags for every node
NODETOOL = ("sh", "/usr/lib/cassandra/tool")
RING_MS = 1000  # how long a node alone in its ring waits for others before it goes ahead
# Twice how long a node that starts may be silent until the others forget it; by itself 2 × RING_MS.
FORGET_MS = 120_000
COPIES_MOST = 3

_DURATIONS = {
    "read_request_timeout": Setting(
        about="how long a coordinator waits for replicas' answers to a read; 5s if not set",
        values=DURATION,
    ),
    "write_request_timeout": Setting(
        about="the same for a write; 2s if not set. A replica that has not answered by then gets a "
        "hint",
        values=DURATION,
    ),
    "counter_write_request_timeout": Setting(
        about="the same for an add to a counter; 5s if not set", values=DURATION
    ),
    "cas_contention_timeout": Setting(
        about="how long a lightweight transaction tries again while others are in its way; 1800ms "
        "if not set",
        values=DURATION,
    ),
    "max_hint_window": Setting(
        about="how long a node is missing until nobody keeps hints for it any more; 3h if not set",
        values=DURATION,
    ),
    "commitlog_sync_period": Setting(
        about="with commitlog_sync: periodic, how often the commit log is synced to disk",
        values=DURATION,
        default="10s",
    ),
}
_PLAIN = {
    "commitlog_sync": Setting(
        about="periodic: acknowledge before the commit log is synced, which loses writes with "
        "power; batch: after",
        values="periodic|batch",
        default="periodic",
    ),
    "hinted_handoff_enabled": Setting(
        about="false: what a replica missed is not kept for it; reads and repairs must find it",
        values=TRUE_FALSE,
    ),
    "paxos_variant": Setting(
        about="which Paxos lightweight transactions run: v1, Cassandra's default, or v2, which "
        "takes fewer rounds",
        values="v1|v2",
    ),
    "internode_timeout": Setting(
        about="true, Cassandra's default: a request older than its timeout by the receiver's clock "
        "is dropped",
        values=TRUE_FALSE,
    ),
    "phi_convict_threshold": Setting(
        about="how sure a node must be that another is gone, before it takes it for down; 8 if not "
        "set",
        values="[5-9]|1[0-6]",
    ),
}
TABLE = {
    "read_repair": Setting(
        about="what a read does when replicas differ: BLOCKING writes the newest to those asked "
        "before it answers; NONE does not",
        values="BLOCKING|NONE",
        default="BLOCKING",
    ),
    "speculative_retry": Setting(
        about="when a coordinator asks one replica more for a read: NONE, ALWAYS, or after such a "
        "time, such as 99p, Cassandra's default",
        values=r"NONE|ALWAYS|[1-9][0-9]?p|[1-9][0-9]{0,4}ms",
        default="99p",
    ),
}
_OURS = {
    "replication": Setting(
        about=f"copies of each row in each region; if not set, {COPIES_MOST} or as many as there "
        "are nodes",
        values="[1-9]",
    ),
    "heap": Setting(
        about="the most memory of the Java heap", values=r"[1-9][0-9]{2,4}m", default="256m"
    ),
}
SETTINGS = {**_DURATIONS, **_PLAIN, **TABLE, **_OURS}

# A small machine's share of what Cassandra takes by itself; no promise hangs on any of it.
_SMALL = {
    "concurrent_reads": 8,
    "concurrent_writes": 16,
    "concurrent_counter_writes": 8,
    "concurrent_compactors": 1,
    "memtable_flush_writers": 1,
    "memtable_heap_space": "48MiB",
    "memtable_offheap_space": "48MiB",
    "key_cache_size": "4MiB",
    "counter_cache_size": "1MiB",
    "file_cache_size": "16MiB",
    "networking_cache_size": "16MiB",
    "prepared_statements_cache_size": "4MiB",
    "commitlog_segment_size": "8MiB",
    "commitlog_total_space": "128MiB",
}


def replication(nodes: Sequence[Node], settings: Mapping[str, Any]) -> dict[str, int]:
    """Copies of each row, by region."""
    given = resolve(settings, _OURS).get("replication")
    regions = Counter(node.region for node in nodes)
    return {
        region: int(given) if given is not None else min(COPIES_MOST, count)
        for region, count in regions.items()
    }


def setting_problems(nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
    """What is wrong with settings each of which could be meant."""
    regions = Counter(node.region for node in nodes)
    for region, copies in replication(nodes, settings).items():
        if copies > regions[region]:
            yield (
                f"settings.replication: expected at most as many copies as nodes, got {copies} for "
                f"the {regions[region]} of {region}"
            )
    sync = resolve(settings, _PLAIN)["commitlog_sync"]
    if sync != "periodic" and "commitlog_sync_period" in settings:
        yield "settings.commitlog_sync_period: means nothing without commitlog_sync: periodic"


def cassandra_yaml(
    node: Node, nodes: Sequence[Node], settings: Mapping[str, Any], *, bootstrap: bool = False
) -> str:
    """The whole cassandra.yaml of `node`. Every node is a seed and has its token, so that all
    start side by side; with `bootstrap` it is sent its data by the others before it serves."""
    number = [other.name for other in nodes].index(node.name)
    seeds = ",".join(other.address for other in nodes if not bootstrap or other.name != node.name)
    values: dict[str, Any] = {
        "cluster_name": KEYSPACE,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "num_tokens": 1,
        "endpoint_snitch": "GossipingPropertyFileSnitch",
        "listen_address": node.address,
        "rpc_address": "0.0.0.0",  # each zone's clients come by an address of their own
        "broadcast_rpc_address": node.address,
        "native_transport_port": PORTS["db"],
        "auto_bootstrap": "true" if bootstrap else "false",
        "hints_flush_period": "1s",
        **_SMALL,
        **resolve(settings, _PLAIN),
    }
    if not bootstrap:  # a node that replaces another takes over its token
        values["initial_token"] = -(2**63) + number * 2**64 // len(nodes)
    for name, text in resolve(settings, _DURATIONS).items():
        values[name] = f"{milliseconds(text)}ms"
    if values["commitlog_sync"] != "periodic":
        del values["commitlog_sync_period"]
    lines = [f"{name}: {value}\n" for name, value in values.items()]
    provider = "org.apache.cassandra.locator.SimpleSeedProvider"
    lines += [f'seed_provider: [{{class_name: {provider}, parameters: [{{seeds: "{seeds}"}}]}}]\n']
    return "".join(lines)


def container(
    node: Node, nodes: Sequence[Node], settings: Mapping[str, Any], *, replaces: bool = False
) -> ContainerSpec:
    """The node's container; `replaces`: it takes the place of itself, whose data is gone."""
    java = [
        f"-Xmx{resolve(settings, _OURS)['heap']}",
        f"-Dcassandra.config=file://{CONF}",
        f"-Dcassandra-rackdc.properties=file://{PLACE}",
        f"-Dcassandra.storagedir={VOLUME}",
        f"-Dcassandra.ring_delay_ms={RING_MS}",
        f"-Dcassandra.gossip_quarantine_delay_ms={FORGET_MS}",
    ]
    if replaces:
        java.append(f"-Dcassandra.replace_address_first_boot={node.address}")
    return ContainerSpec(
        name="cassandra",
        image="cassandra",
        command=["sh", START, *java],
        files={
            CONF: cassandra_yaml(node, nodes, settings, bootstrap=replaces),
            PLACE: f"dc={node.region}\nrack={node.zone}\n",
        },
        data_dir=VOLUME,
    )
