"""What a PostgreSQL pod is configured with: settings, postgresql.conf, and how the pod starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaos.systems._common import INTEGER, ON_OFF, Setting, primary_of, resolve
from chaos.systems.base import ContainerSpec, Node
from chaos.systems.postgres.client import DATABASE, USER

PORT = 5432
VOLUME = "/var/lib/postgresql/data"
DATA = f"{VOLUME}/cluster"
CONF = "/etc/aftershock/postgresql.conf"
REJOIN = f"{VOLUME}/rejoin"  # holds the address of the primary to follow, once

_TIME = r"[0-9]+ ?(ms|s|min)?"
_SIZE = r"[0-9]+ ?(kB|MB|GB)?"
_OURS = {
    "replication": Setting(
        about="async; sync: one standby has applied a commit before it is acknowledged; quorum: "
        "half of the nodes besides the primary have it on disk",
        values="async|sync|quorum",
        default="async",
    ),
}
SERVER_SETTINGS = {
    "max_connections": Setting(about="most sessions", values=INTEGER, default="300"),
    "fsync": Setting(about="sync to disk at all", values=ON_OFF),
    "synchronous_commit": Setting(
        about="what a commit waits for; by default what `replication` needs",
        values="on|off|local|remote_write|remote_apply",
    ),
    "full_page_writes": Setting(about="log whole pages after a checkpoint", values=ON_OFF),
    "shared_buffers": Setting(about="memory for pages", values=_SIZE, default="64MB"),
    "wal_keep_size": Setting(
        about="log kept for standbys that fell behind", values=_SIZE, default="1GB"
    ),
    "max_wal_size": Setting(about="log between checkpoints", values=_SIZE, default="1GB"),
    "checkpoint_timeout": Setting(about="time between checkpoints", values=_TIME),
    "commit_delay": Setting(about="microseconds to wait for company", values=INTEGER),
    "lock_timeout": Setting(about="longest wait for a lock", values=_TIME),
    "deadlock_timeout": Setting(about="wait before looking for a deadlock", values=_TIME),
    "wal_sender_timeout": Setting(
        about="a silent standby is dropped after this", values=_TIME, default="5s"
    ),
    "wal_receiver_timeout": Setting(
        about="a standby gives up a silent primary after this", values=_TIME, default="5s"
    ),
    "wal_retrieve_retry_interval": Setting(
        about="a standby's wait before it tries its primary again", values=_TIME, default="200ms"
    ),
    "hot_standby_feedback": Setting(about="standbys hold back vacuum", values=ON_OFF),
    "default_transaction_isolation": Setting(
        about="isolation of every transaction",
        values="read committed|repeatable read|serializable",
    ),
}
SETTINGS = {**_OURS, **SERVER_SETTINGS}

HBA = """\
local all all trust
host all all 0.0.0.0/0 trust
host replication all 0.0.0.0/0 trust
"""

# A server that was killed may stay in the process table as a zombie, and its number with it: then
# the next one takes its lock file for a living server's. The dead are not asked. One that was
# killed while it wrote the file leaves it empty: nobody else starts a server here.
DEAD_LOCKS = r"""for lock in "$CLUSTER/postmaster.pid" /tmp/.s.PGSQL.5432.lock; do
  owner=$(head -n 1 "$lock" 2> /dev/null || true)
  grep -qs "^State:.[^ZX]" "/proc/${owner:-none}/status" || rm -f "$lock"
done"""

# One script for all of a node's life. It decides by what it finds on the volume:
#   a rejoin order → rewind to (or copy again) the primary named there, follow it
#   nothing        → make the cluster: initdb on the primary, a base backup on the others
#   a cluster      → start it as what it was
START = (
    r"""#!/bin/bash
set -u
follow() {  # write whom to follow; replaces what ALTER SYSTEM left on this or the other node
  echo "primary_conninfo = 'host=$1 port=5432 user=$DB_USER application_name=$NODE" \
    "connect_timeout=2 keepalives_idle=1 keepalives_interval=1 keepalives_count=3" \
    "tcp_user_timeout=5000'" > "$CLUSTER/postgresql.auto.conf"
  touch "$CLUSTER/standby.signal"
}
copy() {
  until find "$CLUSTER" -mindepth 1 -delete 2>/dev/null
        pg_basebackup -d "host=$1 user=$DB_USER connect_timeout=2" -D "$CLUSTER" \
          -X stream --checkpoint=fast --no-sync; do
    sleep 0.1
  done
}
"""
    + DEAD_LOCKS
    + r"""
if [ -f "$VOLUME/rejoin" ]; then
  source=$(cat "$VOLUME/rejoin")
  pg_rewind -D "$CLUSTER" --config-file="$CONF" --no-sync \
    --source-server="host=$source user=$DB_USER dbname=$DB_NAME connect_timeout=2" \
    || copy "$source"
  follow "$source"
  rm "$VOLUME/rejoin"
elif [ ! -f "$VOLUME/made" ]; then
  if [ -z "$FOLLOW" ]; then
    rm -rf "$CLUSTER"  # of an initdb that was cut short
    initdb -D "$CLUSTER" -U "$DB_USER" -A trust -E UTF8 --locale=C --no-sync --no-instructions \
      > /dev/null || exit 1
  else
    copy "$FOLLOW"
    follow "$FOLLOW"
  fi
  touch "$VOLUME/made"
fi
# On a disk that can lose power, what was made or copied above must be on it before it is used.
grep -q "^/dev/loop[0-9]* $VOLUME " /proc/mounts && sync -f "$VOLUME"
postgres -D "$CLUSTER" -c config_file="$CONF" &
server=$!
trap 'kill -INT $server' TERM  # TERM alone would wait until every session has ended by itself
until wait $server; code=$?; ! kill -0 $server 2> /dev/null; do :; done
exit $code
"""
)


def standby_names(nodes: Sequence[Node], replication: str) -> str:
    """synchronous_standby_names: the same on every node, so that a promoted one keeps the promise.

    Names in the topology's order: with `sync` the first standby is the one that is waited for
    while it is there, so it is the one to promote.
    """
    if replication == "async" or len(nodes) < 2:
        return ""
    names = ", ".join(f'"{node.name}"' for node in nodes)
    return f"FIRST 1 ({names})" if replication == "sync" else f"ANY {len(nodes) // 2} ({names})"


def server_parameters(settings: Mapping[str, Any]) -> dict[str, str]:
    """What every server of ours is told, and what the topology's settings say to it."""
    return {
        "unix_socket_directories": "/tmp",
        "wal_receiver_status_interval": "1s",
        "max_wal_senders": "20",
        "log_line_prefix": "%m [%p] ",
        "log_timezone": "UTC",
        "timezone": "UTC",
        **resolve(settings, SERVER_SETTINGS),
    }


def postgresql_conf(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> str:
    """The whole postgresql.conf of `node`."""
    replication = resolve(settings, _OURS)["replication"]
    values = {
        "listen_addresses": "*",
        "hba_file": "/etc/aftershock/pg_hba.conf",
        "cluster_name": node.name,
        "wal_level": "replica",
        "wal_log_hints": "on",  # pg_rewind needs it
        "hot_standby": "on",
        "recovery_target_timeline": "latest",
        "synchronous_standby_names": standby_names(nodes, replication),
        "synchronous_commit": "remote_apply" if replication == "sync" else "on",
        **server_parameters(settings),
    }
    return "".join(
        f"{name} = '{value.replace(chr(39), 2 * chr(39))}'\n" for name, value in values.items()
    )


def container(
    node: Node, nodes: Sequence[Node], settings: Mapping[str, Any], follow: str | None = None
) -> ContainerSpec:
    """The node's container. `follow`: the address of the server whose standby an empty node
    becomes; by default the first primary's, and that one makes a database of its own."""
    primary = primary_of(nodes)
    first = "" if node.name == primary.name else primary.address
    return ContainerSpec(
        name="postgres",
        image="postgres",
        command=["bash", "/etc/aftershock/start.sh"],
        env={
            "NODE": node.name,
            "FOLLOW": first if follow is None else follow,
            "VOLUME": VOLUME,
            "CLUSTER": DATA,
            "CONF": CONF,
            "DB_USER": USER,
            "DB_NAME": DATABASE,
        },
        files={
            "/etc/aftershock/start.sh": START,
            "/etc/aftershock/pg_hba.conf": HBA,
            CONF: postgresql_conf(node, nodes, settings),
        },
        data_dir=VOLUME,
    )
