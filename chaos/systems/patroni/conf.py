"""What a Patroni pod is configured with: settings, patroni.yml, and how the pod starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from chaos.systems._common import INTEGER, ON_OFF, Setting, primary_of, resolve
from chaos.systems.base import ContainerSpec, Node
from chaos.systems.postgres.client import USER
from chaos.systems.postgres.conf import (
    DATA,
    DEAD_LOCKS,
    HBA,
    PORT,
    SERVER_SETTINGS,
    VOLUME,
    server_parameters,
)

API_PORT = 8008
ETCD_PORT = 2379
SCOPE = "aftershock"
CONF = "/etc/aftershock/patroni.yml"

# The least that Patroni takes; a smaller value it raises by itself, with a line in its log
# (patroni/config.py, _validate_and_adjust_timeouts). Its own defaults: 30, 10, 10.
LEAST = {"ttl": 20, "loop_wait": 1, "retry_timeout": 3}
_SECONDS = {
    "ttl": Setting(
        about="seconds for which the leader's lease in etcd holds: without a word from the primary "
        "it takes that long until another takes over; at least 20",
        values=INTEGER,
        default="20",
    ),
    "loop_wait": Setting(
        about="seconds between two rounds of Patroni; at least 1", values=INTEGER, default="1"
    ),
    "retry_timeout": Setting(
        about="seconds for which a request to etcd or PostgreSQL is tried again: a primary that "
        "cannot reach etcd for longer steps down; at least 3, and loop_wait + 2 × retry_timeout is "
        "at most ttl",
        values=INTEGER,
        default="3",
    ),
    "primary_start_timeout": Setting(
        about="seconds that a crashed primary may take to start again before another takes over",
        values=INTEGER,
    ),
    "maximum_lag_on_failover": Setting(
        about="bytes that a standby may be behind, by the primary's last word in etcd, and still "
        "take over",
        values=INTEGER,
    ),
    "synchronous_node_count": Setting(
        about="with synchronous_mode: how many standbys a commit waits for", values=INTEGER
    ),
}
_WORDS = {
    "synchronous_mode": Setting(
        about="off: a commit waits for no standby; on: for the standby that is named in etcd, "
        "quorum: for any of those named there; only a named one takes over",
        values=f"{ON_OFF}|quorum",
        default="off",
    ),
    "synchronous_mode_strict": Setting(
        about="with synchronous_mode: on, if no standby is there, commits wait rather than go on "
        "without",
        values=ON_OFF,
    ),
    "failsafe_mode": Setting(
        about="on: a primary that cannot reach etcd stays primary as long as every member answers "
        "it over the REST API",
        values=ON_OFF,
    ),
}
_OURS = {
    "use_pg_rewind": Setting(
        about="an old primary is rewound by pg_rewind; off: it stays out until `rejoin` copies it "
        "anew",
        values=ON_OFF,
        default="on",
    ),
    "nofailover": Setting(
        about="who never becomes primary (the tag of that name): nodes, `zone:Z` or `region:R`, "
        "with commas between them",
        values=r"[A-Za-z0-9:_-]+(, ?[A-Za-z0-9:_-]+)*",
    ),
}
_SERVER = {
    **SERVER_SETTINGS,
    "synchronous_commit": dataclasses.replace(
        SERVER_SETTINGS["synchronous_commit"],
        about="what a commit waits for; with synchronous_mode, of those that are named",
    ),
}
SETTINGS = {**_SECONDS, **_WORDS, **_OURS, **_SERVER}

NO_SYNC = "no-sync"  # an option of initdb and pg_basebackup, and a line of patroni.yml

# Patroni tries etcd only every five seconds while it starts, so it is started when etcd answers
# a linearizable read (/health makes one). On a disk that can lose power, what is made or copied
# must be on it before it is used.
START = f"""#!/bin/bash
set -u
{DEAD_LOCKS}
answers() {{
  timeout 1 bash -c 'exec 3<> "/dev/tcp/$0/{ETCD_PORT}" || exit
    printf "GET /health HTTP/1.0\\r\\n\\r\\n" >&3
    grep -q "\\"health\\":\\"true\\"" <&3' "$1" 2> /dev/null
}}
until for host in $ETCD; do answers "$host" && break; done; do sleep 0.05; done
conf={CONF}
if grep -q "^/dev/loop[0-9]* $VOLUME " /proc/mounts; then
  conf=/tmp/patroni.yml
  grep -v {NO_SYNC} {CONF} > $conf
fi
exec patroni $conf
"""


def barred(nodes: Sequence[Node], settings: Mapping[str, Any]) -> set[str]:
    """The nodes that the setting `nofailover` means; ValueError for a word that means none."""
    found: set[str] = set()
    for word in resolve(settings, _OURS).get("nofailover", "").replace(" ", "").split(","):
        meant = {n.name for n in nodes if word in (n.name, f"zone:{n.zone}", f"region:{n.region}")}
        if word and not meant:
            raise ValueError(word)
        found |= meant
    return found


def setting_problems(nodes: Sequence[Node], settings: Mapping[str, Any]) -> Iterable[str]:
    """A sentence for each setting, right by itself, that cannot be meant with the others."""
    seconds = {name: int(value) for name, value in resolve(settings, _SECONDS).items()}
    for name, least in LEAST.items():
        if seconds[name] < least:
            yield f"settings.{name}: Patroni takes {least} seconds at least, got {seconds[name]}"
    if seconds["loop_wait"] + 2 * seconds["retry_timeout"] > seconds["ttl"]:
        yield (
            "settings.ttl: Patroni wants loop_wait + 2 × retry_timeout ≤ ttl, got "
            "{loop_wait} + 2 × {retry_timeout} > {ttl}".format(**seconds)
        )
    words = resolve(settings, _WORDS)
    if words["synchronous_mode"] == "off":
        for name in ("synchronous_mode_strict", "synchronous_node_count"):
            if name in settings:
                yield f"settings.{name}: means nothing without synchronous_mode"
    elif len(nodes) < 2:
        yield "settings.synchronous_mode: nothing can be waited for with a single node"
    try:
        if nodes and primary_of(nodes).name in barred(nodes, settings):
            yield f"settings.nofailover: {primary_of(nodes).name} is the first primary"
    except ValueError as error:
        known = sorted(
            {n.name for n in nodes}
            | {f"zone:{n.zone}" for n in nodes}
            | {f"region:{n.region}" for n in nodes if n.region}
        )
        yield f"settings.nofailover: {error} is none of {', '.join(known)}"


def dynamic_configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is in etcd and holds for all members, from the first node's `bootstrap.dcs`."""
    words = {"on": True, "off": False}
    return {
        **{name: int(value) for name, value in resolve(settings, _SECONDS).items()},
        **{name: words.get(value, value) for name, value in resolve(settings, _WORDS).items()},
        "postgresql": {
            "use_pg_rewind": resolve(settings, _OURS)["use_pg_rewind"] == "on",
            "parameters": server_parameters(settings),
            "pg_hba": HBA.splitlines(),
        },
    }


def patroni_yml(
    node: Node, nodes: Sequence[Node], settings: Mapping[str, Any], etcd: Sequence[Node]
) -> str:
    """The whole patroni.yml of `node`. Only the first primary's lets it make the database."""
    user = {"username": USER}
    conf: dict[str, Any] = {
        "scope": SCOPE,
        "name": node.name,
        "restapi": {
            "listen": f"0.0.0.0:{API_PORT}",
            "connect_address": f"{node.address}:{API_PORT}",
        },
        "etcd3": {"hosts": [f"{member.address}:{ETCD_PORT}" for member in etcd]},
        "postgresql": {
            "listen": f"0.0.0.0:{PORT}",
            "connect_address": f"{node.address}:{PORT}",
            "data_dir": DATA,
            "pgpass": "/tmp/pgpass",
            "use_unix_socket": True,
            "authentication": {"superuser": user, "replication": user},
            "basebackup": [{"checkpoint": "fast"}, NO_SYNC],
        },
        "watchdog": {"mode": "off"},
        "tags": {"nofailover": node.name in barred(nodes, settings)},
    }
    if node.name == primary_of(nodes).name:
        conf["bootstrap"] = {
            "dcs": dynamic_configuration(settings),
            "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, NO_SYNC],
        }
    return yaml.safe_dump(conf, sort_keys=False)


def container(
    node: Node, nodes: Sequence[Node], settings: Mapping[str, Any], etcd: Sequence[Node]
) -> ContainerSpec:
    """The node's container: Patroni, which makes, starts and stops PostgreSQL."""
    return ContainerSpec(
        name="patroni",
        image="patroni",
        command=["bash", "/etc/aftershock/start.sh"],
        env={
            "ETCD": " ".join(member.address for member in etcd),
            "VOLUME": VOLUME,
            "CLUSTER": DATA,
            # Of standbys, pg_basebackup and pg_rewind: Patroni has no setting for it, libpq waits
            # for two minutes.
            "PGCONNECT_TIMEOUT": "2",
        },
        files={
            "/etc/aftershock/start.sh": START,
            CONF: patroni_yml(node, nodes, settings, etcd),
        },
        data_dir=VOLUME,
    )
