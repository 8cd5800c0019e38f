"""What a Galera pod is configured with: settings, the option file, and how data nodes and the
arbitrator start.

A new cluster is formed without copying data: every node begins with the image's template, and with
the state that the group had when as many nodes as the topology lists before it had joined. So
nobody is behind, and no transfer is needed (START says how). Later a node that was away is sent
what it missed (IST), or a whole copy (SST, rsync).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaos.systems._common import DURATION, INTEGER, Setting, milliseconds, resolve
from chaos.systems.base import ContainerSpec, Node
from chaos.systems.mariadb.conf import (
    CONF,
    DATA,
    PORT,
    SERVER_SETTINGS,
    USERS,
    USERS_SQL,
    VOLUME,
    cnf,
    server_options,
)
from chaos.systems.mariadb.wire import USER

ARBITRATOR = "arbitrator"
TEMPLATE = "/usr/share/mariadb/template"
BOOTSTRAP = f"{VOLUME}/bootstrap"  # an order to the next start: be the first of a new component
POSITION = f"{VOLUME}/position"  # uuid:seqno, as the last start recovered it
GROUP = "a37e7c50-0000-11ef-8000-000000000001"  # the history's name, the same on all nodes at first

_SIZE = r"[0-9]+[KMG]?"
_SERVER = {
    **SERVER_SETTINGS,
    "innodb_flush_log_at_trx_commit": Setting(
        about="when a commit is on disk: 1 before it is acknowledged; 2 and 0 within a second; "
        "default 0, as MariaDB's guide to Galera recommends (the server's own is 1)",
        values="0|1|2|3",
        default="0",
    ),
    "wsrep_sync_wait": Setting(
        about="what waits until the node has applied all that was committed before: the sum of 1 "
        "reads, 2 updates and deletes, 4 inserts and replacements, 8 SHOW; by default nothing",
        values=r"[0-9]|1[0-5]",
    ),
    "wsrep_slave_threads": Setting(
        about="threads that apply what other nodes committed", values=INTEGER, default="4"
    ),
    "wsrep_trx_fragment_size": Setting(
        about="streaming replication: a transaction is sent in pieces of so many "
        "`wsrep_trx_fragment_unit`; by default all at its commit",
        values=INTEGER,
    ),
    "wsrep_trx_fragment_unit": Setting(
        about="what `wsrep_trx_fragment_size` counts", values="bytes|rows|statements"
    ),
    "wsrep_retry_autocommit": Setting(
        about="how often the server itself tries a statement again that lost a conflict; default "
        "0, so that a client hears of each (the server's own is 1)",
        values=INTEGER,
        default="0",
    ),
}
del _SERVER["sync_binlog"]  # there is no binary log
# Galera's own, under the names that MariaDB's plugin has for them: evs.suspect_timeout is
# wsrep_provider_evs_suspect_timeout.
_PROVIDER = {
    "wsrep_provider_evs_suspect_timeout": Setting(
        about="a node that is silent for so long is left out, if the others agree; Galera's own "
        "is 5s",
        values=DURATION,
    ),
    "wsrep_provider_evs_inactive_timeout": Setting(
        about="the same, if they do not agree; Galera's own is 15s", values=DURATION
    ),
    "wsrep_provider_gcache_size": Setting(
        about="how much is kept for nodes that were away; who missed more gets a whole copy",
        values=_SIZE,
        default="32M",
    ),
    "wsrep_provider_gcs_fc_limit": Setting(
        about="writesets waiting to be applied at which a node makes the others wait",
        values=INTEGER,
    ),
    "wsrep_provider_pc_recovery": Setting(
        about="after all nodes were down they become one cluster again by themselves, once all of "
        "the last members are back",
        values="true|false",
    ),
}
SETTINGS = {**_SERVER, **_PROVIDER}
TIMEOUTS = {  # → Galera's own
    "wsrep_provider_evs_suspect_timeout": "5s",
    "wsrep_provider_evs_inactive_timeout": "15s",
}
SUSPECT_MS_MIN = 400
_PREFIX = "wsrep_provider_"

# How many have joined, as the first node says.
MEMBERS = r"""joined() {
  mariadb --no-defaults --skip-ssl -h "$FIRST" -u "$DB_USER" --connect-timeout=1 -BNe \
    "SELECT variable_value FROM information_schema.global_status
     WHERE variable_name = 'wsrep_cluster_size'" 2> /dev/null
}
turn() { until [ "$(joined)" -ge "$1" ] 2> /dev/null; do sleep 0.05; done; }
"""

# One script for all of a data node's life. It decides by what it finds on the volume:
#   nothing      → the template. In a group nobody has heard of, the first node begins the group;
#                  the others are given the position that the group will have when it is their turn:
#                  InnoDB keeps it in its own pages, so a server starts for it, alone, and stops.
#                  They join one by one: several at once take the suspect timeout to agree.
#   unfinished   → a copy that was cut short: away with it, and a whole one is asked for.
#   a database   → after a crash InnoDB is asked how far it is (--wsrep-recover), as Debian's
#                  galera_recovery does. A node that cannot say must not start: it would take part
#                  as one that has nothing, and the others' history could be forgotten for it.
START = (
    "#!/bin/bash\nset -u\n"
    + MEMBERS
    + r"""state() {  # uuid, seqno, safe_to_bootstrap
  printf '%s\n' '# GALERA saved state' 'version: 2.1' "uuid: $1" "seqno: $2" \
    "safe_to_bootstrap: $3" > "$DATA/grastate.dat"
}
server() { mariadbd --defaults-file="$CONF" "$@"; }
start=()
position=none:-1
rm -f "$VOLUME/position"
if [ ! -f "$VOLUME/made" ]; then
  rm -rf "$DATA"
  if [ -n "$JOIN" ]; then
    install -d -m 0700 "$DATA"
  else
    cp -a "$TEMPLATE" "$DATA"
    if [ "$PLACE" = 1 ]; then
      state "$GROUP" 0 1
      start=(--wsrep-new-cluster --init-file="$USERS_SQL")
    else
      state "$GROUP" $((PLACE - 2)) 1
      { cat "$USERS_SQL"; echo "SHUTDOWN;"; } > /tmp/alone.sql
      server --wsrep-new-cluster --wsrep-cluster-address=gcomm:// --skip-networking \
        --wsrep-node-address=127.0.0.1 --init-file=/tmp/alone.sql \
        --wsrep-provider-options="gmcast.listen_addr=tcp://127.0.0.1:4567;gcache.size=1M" \
        > /tmp/alone.log 2>&1 || { cat /tmp/alone.log; exit 1; }
      rm -f "$DATA/galera.cache" "$DATA/gvwstate.dat"
      state "$GROUP" $((PLACE - 1)) 0
      turn $((PLACE - 1))
    fi
  fi
  touch "$VOLUME/made"
  # On a disk that can lose power, what was made above must be on it before it is used.
  grep -q "^/dev/loop[0-9]* $VOLUME " /proc/mounts && sync -f "$VOLUME"
elif [ -e "$DATA/sst_in_progress" ] || [ ! -e "$DATA/ibdata1" ]; then
  rm -rf "$DATA"
  install -d -m 0700 "$DATA"
elif ! grep -q "^seqno: *[0-9]" "$DATA/grastate.dat"; then
  server --wsrep-recover > /tmp/recover.log 2>&1
  position=$(sed -n 's/.*WSREP: Recovered position: *//p' /tmp/recover.log | tail -n 1)
  if [ -z "$position" ]; then
    tail -n 40 /tmp/recover.log
    echo "no position was recovered: the database cannot be read"
    exit 1
  fi
  echo "recovered position: $position"
  start=(--wsrep-start-position="$position")
else
  position=$(sed -n 's/^uuid: *//p; s/^seqno: */:/p' "$DATA/grastate.dat" | tr -d '\n')
fi
echo "$position" > "$VOLUME/position"
if [ -f "$VOLUME/bootstrap" ]; then
  rm "$VOLUME/bootstrap"
  sed -i 's/^safe_to_bootstrap:.*/safe_to_bootstrap: 1/' "$DATA/grastate.dat"
  start+=(--wsrep-new-cluster)
fi
rm -f "$DATA"/rsync_sst.pid "$DATA"/wsrep_sst.pid  # of a transfer that ended with the last server
exec mariadbd --defaults-file="$CONF" "${start[@]}"
"""
)

# The arbitrator joins last. Its volume holds the view it last saw (gvwstate.dat), and no more.
VOTE = (
    "#!/bin/bash\n"
    + MEMBERS
    + r"""cd "$VOLUME" || exit 1
[ -f made ] || [ -n "$JOIN" ] || turn "$PLACE"
touch made
trap 'kill -TERM $arbitrator; exit 0' TERM
while true; do
  garbd --name "$NODE" --group aftershock --address "gcomm://$NODES" --workdir "$VOLUME" \
    --options "$OPTIONS" &
  arbitrator=$!
  wait $arbitrator
  sleep 0.2  # it gives up when it finds no primary component; it is to go on asking
done
"""
)


def data_nodes(nodes: Sequence[Node]) -> list[Node]:
    """Those with a database, in the topology's order; the first begins the cluster."""
    return [node for node in nodes if node.role != ARBITRATOR]


def provider_options(settings: Mapping[str, Any]) -> str:
    """wsrep_provider_options: evs.suspect_timeout=PT1.5S;…"""
    options = {"gcache.recover": "yes"}
    for name, value in resolve(settings, _PROVIDER).items():
        family, _, option = name.removeprefix(_PREFIX).partition("_")
        timed = _PROVIDER[name].values == DURATION
        options[f"{family}.{option}"] = _period(milliseconds(value)) if timed else value
    suspect_ms, inactive_ms = timeouts_ms(settings)
    options["evs.keepalive_period"] = _period(min(1000, suspect_ms // 4))
    options["evs.inactive_check_period"] = _period(min(500, suspect_ms // 4))
    options["evs.install_timeout"] = _period(min(7500, inactive_ms // 2))
    return ";".join(f"{name}={value}" for name, value in options.items())


def _period(ms: int) -> str:
    return f"PT{ms / 1000:g}S"


def timeouts_ms(settings: Mapping[str, Any]) -> tuple[int, int]:
    """evs.suspect_timeout and evs.inactive_timeout. Galera holds the shorter periods against them
    (gcomm/src/evs_proto.cpp, `check_range`): those that are Galera's own are shortened with them.
    """
    suspect, inactive = (str(settings.get(name, own)) for name, own in TIMEOUTS.items())
    return milliseconds(suspect), milliseconds(inactive)


def galera_cnf(node: Node, nodes: Sequence[Node], settings: Mapping[str, Any]) -> str:
    """The whole option file of a data node."""
    members = ",".join(other.address for other in data_nodes(nodes))
    plain = server_options({})
    del plain["sync_binlog"]
    return cnf(
        {
            **plain,
            "default_storage_engine": "InnoDB",
            "innodb_autoinc_lock_mode": "2",
            "binlog_format": "ROW",
            "wsrep_on": "ON",
            "wsrep_provider": "/usr/lib/galera/libgalera_smm.so",
            "wsrep_cluster_name": "aftershock",
            "wsrep_cluster_address": f"gcomm://{members}",
            "wsrep_node_name": node.name,
            "wsrep_node_address": node.address,
            "wsrep_sst_method": "rsync",
            "wsrep_provider_options": f'"{provider_options(settings)}"',
            **resolve(settings, _SERVER),
        }
    )


def container(
    node: Node, nodes: Sequence[Node], settings: Mapping[str, Any], *, join: bool = False
) -> ContainerSpec:
    """The node's container. `join`: an empty volume is filled by a copy from another node."""
    data = data_nodes(nodes)
    joining = {"FIRST": data[0].address, "JOIN": "1" if join else "", "DB_USER": USER}
    if node.role == ARBITRATOR:
        return ContainerSpec(
            name="arbitrator",
            image="mariadb",
            command=["bash", "/etc/aftershock/vote.sh"],
            env={
                **joining,
                "PLACE": str(len(data)),
                "NODE": node.name,
                "NODES": ",".join(other.address for other in data),
                "VOLUME": VOLUME,
                "OPTIONS": arbitrator_options(node, settings),
            },
            files={"/etc/aftershock/vote.sh": VOTE},
            data_dir=VOLUME,
        )
    return ContainerSpec(
        name="mariadb",
        image="mariadb",
        command=["bash", "/etc/aftershock/start.sh"],
        env={
            **joining,
            "PLACE": str(data.index(node) + 1),
            "VOLUME": VOLUME,
            "DATA": DATA,
            "TEMPLATE": TEMPLATE,
            "CONF": CONF,
            "USERS_SQL": USERS_SQL,
            "GROUP": GROUP,
        },
        files={
            "/etc/aftershock/start.sh": START,
            USERS_SQL: "SET SESSION wsrep_on = OFF;\n" + USERS,  # not replicated: all run it
            CONF: galera_cnf(node, nodes, settings),
        },
        data_dir=VOLUME,
    )


def arbitrator_options(node: Node, settings: Mapping[str, Any]) -> str:
    """garbd's options: it listens where a database would, so that a knock there is answered."""
    listen = f"gmcast.listen_addr=tcp://{node.address}:{PORT}"
    evs = [o for o in provider_options(settings).split(";") if o.startswith(("evs.", "pc."))]
    return ";".join([listen, *evs])
