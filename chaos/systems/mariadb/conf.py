"""What a MariaDB pod is configured with: settings, my.cnf, and how the pod starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaos.systems._common import INTEGER, ON_OFF, Setting, primary_of, resolve
from chaos.systems.base import ContainerSpec, Node
from chaos.systems.mariadb.wire import DATABASE, OPERATOR, USER

PORT = 3306
VOLUME = "/var/lib/mysql"
DATA = f"{VOLUME}/data"
CONF = "/etc/aftershock/my.cnf"
USERS_SQL = "/etc/aftershock/users.sql"
FOLLOW = f"{VOLUME}/follow"  # holds the address of this replica's primary; empty: it is primary
REJOIN = f"{VOLUME}/rejoin"  # holds the address of the primary to copy and to follow, once

_SIZE = r"[0-9]+[KMG]?"
SERVER_SETTINGS = {
    "max_connections": Setting(about="most sessions", values=INTEGER, default="300"),
    "innodb_flush_log_at_trx_commit": Setting(
        about="InnoDB's log at a commit: 1 (default) written and synced; 2 written, synced once a "
        "second; 0 neither, both once a second",
        values="0|1|2",
        default="1",
    ),
    "sync_binlog": Setting(
        about="sync the binary log after so many commits; 0 (MariaDB's default): never; ours is 1",
        values=INTEGER,
        default="1",
    ),
    "innodb_doublewrite": Setting(
        about="write pages twice, against torn ones", values=f"{ON_OFF}|fast"
    ),
    "innodb_buffer_pool_size": Setting(about="memory for pages", values=_SIZE, default="64M"),
    "innodb_log_file_size": Setting(about="InnoDB's log", values=_SIZE, default="16M"),
    "innodb_lock_wait_timeout": Setting(
        about="seconds to wait for a row's lock; default 1, as long as a client usually waits "
        "(MariaDB's: 50)",
        values=INTEGER,
        default="1",
    ),
    "innodb_deadlock_detect": Setting(
        about="look for deadlocks, or let them time out", values=ON_OFF
    ),
    "innodb_snapshot_isolation": Setting(
        about="refuse to change a row that was changed after the transaction's snapshot (1020); "
        "MariaDB's default since 11.6.2: on",
        values=ON_OFF,
    ),
    "transaction_isolation": Setting(
        about="isolation of every transaction; MariaDB's default: REPEATABLE-READ",
        values="READ-UNCOMMITTED|READ-COMMITTED|REPEATABLE-READ|SERIALIZABLE",
    ),
}
_OURS = {
    "replication": Setting(
        about="async; semi-sync: a commit waits until one replica has received it",
        values="async|semi-sync",
        default="async",
    ),
}
_SEMI_SYNC = {
    "rpl_semi_sync_master_wait_point": Setting(
        about="semi-sync: wait before the commit can be seen (AFTER_SYNC, our default) or after "
        "(AFTER_COMMIT, MariaDB's)",
        values="AFTER_SYNC|AFTER_COMMIT",
        default="AFTER_SYNC",
    ),
    "rpl_semi_sync_master_timeout": Setting(
        about="semi-sync: milliseconds after which a commit waits no more, nor any after it until "
        "a replica has caught up; MariaDB's default: 10000",
        values=INTEGER,
    ),
    "rpl_semi_sync_master_wait_no_slave": Setting(
        about="semi-sync: wait, until that timeout, also where no replica is connected; "
        "MariaDB's default: on",
        values=ON_OFF,
    ),
}
_REPLICATION = {
    "slave_net_timeout": Setting(
        about="seconds after which a replica gives up a silent primary; default 4 (MariaDB's: 60)",
        values=INTEGER,
        default="4",
    ),
    "slave_parallel_threads": Setting(
        about="threads that apply what a replica received; MariaDB's default: 0, one",
        values=INTEGER,
    ),
}
SETTINGS = {**_OURS, **SERVER_SETTINGS, **_SEMI_SYNC, **_REPLICATION}

# Run at each start, before anybody can connect, and kept out of the binary log: every node has its
# own. `operator` may write on a read-only node, `aftershock` may not.
USERS = f"""\
SET SESSION sql_log_bin = 0;
CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE USER IF NOT EXISTS '{USER}'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON {DATABASE}.* TO '{USER}'@'%';
CREATE USER IF NOT EXISTS '{OPERATOR}'@'%';
GRANT ALL ON *.* TO '{OPERATOR}'@'%' WITH GRANT OPTION;
"""

# What every server of ours is told. Names are never looked up, so that nothing depends on a
# resolver. Little memory: many nodes share a machine. Without native AIO: the kernel lets go of a
# killed process's io_uring only some time later, and its disk cannot be unmounted until then.
_PLAIN = {
    "bind_address": "0.0.0.0",
    "port": str(PORT),
    "socket": "/tmp/mariadb.sock",
    "datadir": DATA,
    "pid_file": "/tmp/mariadb.pid",
    "skip_name_resolve": "ON",
    "skip_ssl": "ON",
    "log_warnings": "1",
    "character_set_server": "utf8mb4",
    "default_time_zone": "+00:00",
    "performance_schema": "OFF",
    "innodb_use_native_aio": "OFF",
    "innodb_undo_tablespaces": "0",
    "innodb_log_buffer_size": "4M",
    "innodb_temp_data_file_path": "ibtmp1:1M:autoextend",
    "aria_pagecache_buffer_size": "4M",
    "key_buffer_size": "1M",
    "table_open_cache": "200",
    "table_definition_cache": "400",
}

# One script for all of a node's life. It decides by what it finds on the volume:
#   a rejoin order → copy the primary named there, follow it
#   nothing        → an empty installation, which follows from the beginning, or a copy (COPY)
#   a database     → start it as what it was: `follow` names its primary, or is empty
START = r"""#!/bin/bash
set -uo pipefail
install_empty() { rm -rf "$DATA" && cp -a "$TEMPLATE" "$DATA"; }
sql() { mariadb --no-defaults --skip-ssl --socket=/tmp/mariadb.sock --user="$OPERATOR" "$@"; }
copy() {  # a dump, loaded by a server that nobody can reach; it ends with the position it is from
  install_empty
  mariadbd --defaults-file="$CONF" --init-file="$USERS_SQL" --skip-networking --skip-log-bin &
  until sql -e 'DO 1' 2> /dev/null; do kill -0 $! || return 1; sleep 0.05; done
  mariadb-dump --no-defaults --host="$1" --port=3306 --user="$OPERATOR" --skip-ssl \
    --single-transaction --master-data=1 --gtid --databases "$DATABASE" | sql
  copied=$?
  kill -TERM $!
  wait $!
  return $copied
}
if [ -f "$VOLUME/rejoin" ]; then
  source=$(cat "$VOLUME/rejoin")
  until copy "$source"; do sleep 0.1; done
  echo "$source" > "$VOLUME/follow"
  rm "$VOLUME/rejoin"
elif [ ! -f "$VOLUME/made" ]; then
  if [ -n "$COPY" ]; then until copy "$FOLLOW"; do sleep 0.1; done
  else install_empty || exit 1; fi
  echo "$FOLLOW" > "$VOLUME/follow"
  touch "$VOLUME/made"
fi
# On a disk that can lose power, what was made or copied above must be on it before it is used.
grep -q "^/dev/loop[0-9]* $VOLUME " /proc/mounts && sync -f "$VOLUME"
primary=$(cat "$VOLUME/follow")
cp "$USERS_SQL" /tmp/init.sql
if [ -n "$primary" ]; then
  role=(--read-only=ON)
  echo "CHANGE MASTER TO MASTER_HOST='$primary', MASTER_PORT=3306, MASTER_USER='$OPERATOR'," \
    "MASTER_SSL=0, MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos;" >> /tmp/init.sql
  echo "START SLAVE;" >> /tmp/init.sql
else
  role=(--read-only=OFF $PRIMARY_FLAGS)
fi
exec mariadbd --defaults-file="$CONF" --init-file=/tmp/init.sql "${role[@]}"
"""


def server_options(settings: Mapping[str, Any]) -> dict[str, str]:
    """What every server of ours is told, and what the topology's settings say to it."""
    return {**_PLAIN, **resolve(settings, SERVER_SETTINGS)}


def cnf(options: Mapping[str, str]) -> str:
    """A my.cnf. Without `!includedir`, so that nothing of the image's own is read."""
    return "[mariadbd]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())


def my_cnf(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> str:
    """The whole my.cnf of `node`; whether it is primary is said when it starts."""
    values = {
        **server_options(settings),
        "server_id": str(1 + [n.name for n in nodes].index(node.name)),
        "log_bin": "binlog",
        "binlog_format": "ROW",
        "log_slave_updates": "ON",
        "gtid_strict_mode": "ON",
        "relay_log": "relay",
        "skip_slave_start": "ON",
        **resolve(settings, _REPLICATION),
    }
    if semi_sync(settings):
        values |= {
            "rpl_semi_sync_slave_enabled": "ON",
            # STOP SLAVE tells the primary first. One that is cut off is waited for so long, in s.
            "rpl_semi_sync_slave_kill_conn_timeout": "1",
            **resolve(settings, _SEMI_SYNC),
        }
    return cnf(values)


def semi_sync(settings: Mapping[str, Any]) -> bool:
    """Whether commits wait for a replica."""
    return resolve(settings, _OURS)["replication"] == "semi-sync"


def only_semi_sync(settings: Mapping[str, Any]) -> list[str]:
    """Settings that mean nothing without semi-sync replication."""
    return [] if semi_sync(settings) else [name for name in settings if name in _SEMI_SYNC]


def container(
    node: Node, nodes: Sequence[Node], settings: Mapping[str, Any], follow: str | None = None
) -> ContainerSpec:
    """The node's container. `follow`: the address of the server that an empty node copies; by
    default it begins with nothing, and follows the first primary from the beginning."""
    primary = primary_of(nodes)
    first = "" if node.name == primary.name else primary.address
    return ContainerSpec(
        name="mariadb",
        image="mariadb",
        command=["bash", "/etc/aftershock/start.sh"],
        env={
            "FOLLOW": first if follow is None else follow,
            "COPY": follow or "",
            "PRIMARY_FLAGS": "--rpl-semi-sync-master-enabled=ON" if semi_sync(settings) else "",
            "VOLUME": VOLUME,
            "DATA": DATA,
            "TEMPLATE": "/usr/share/mariadb/template",
            "CONF": CONF,
            "USERS_SQL": USERS_SQL,
            "OPERATOR": OPERATOR,
            "DATABASE": DATABASE,
        },
        files={
            "/etc/aftershock/start.sh": START,
            USERS_SQL: USERS,
            CONF: my_cnf(node, nodes, settings),
        },
        data_dir=VOLUME,
    )
