"""How images of ours start in place of the official ones of the same software.

A Compose file is written for images that make a database on their first start, from what the
environment says, as the user root, and then give that up. Those that ship here have no start of
their own, for a system of ours gives them one; so a service gets what the official image would do:
https://hub.docker.com/_/postgres and https://hub.docker.com/_/redis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

POSTGRES = r"""
set -eu
data="${PGDATA:-/var/lib/postgresql/data}"
as() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
given() {  # a setting, or what the file that NAME_FILE names holds
  eval "file=\${$1_FILE:-} value=\${$1:-}"
  if [ -n "$file" ]; then cat "$file"; else printf %s "$value"; fi
}
user=$(given POSTGRES_USER); user="${user:-postgres}"
base=$(given POSTGRES_DB); base="${base:-$user}"
password=$(given POSTGRES_PASSWORD)
method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
mkdir -p "$data"; chown postgres: "$data"; chmod 0700 "$data"
if [ ! -s "$data/PG_VERSION" ]; then
  if [ -z "$password" ] && [ "$method" != trust ]; then
    echo "POSTGRES_PASSWORD is not set" >&2; exit 1
  fi
  (umask 077; printf '%s\n' "${password:-none}" > /tmp/password; chown postgres: /tmp/password)
  as initdb -D "$data" --username="$user" --pwfile=/tmp/password \
    --auth-local=trust --auth-host="$method" ${POSTGRES_INITDB_ARGS:-}
  rm /tmp/password
  echo "host all all all $method" >> "$data/pg_hba.conf"
  as pg_ctl -D "$data" -w -o "-c listen_addresses=''" start
  [ "$base" = postgres ] || as createdb --username="$user" --maintenance-db=postgres "$base"
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) as env POSTGRES_USER="$user" POSTGRES_DB="$base" sh "$file" ;;
      *.sql) as psql -v ON_ERROR_STOP=1 -U "$user" -d "$base" -f "$file" ;;
    esac
  done
  as pg_ctl -D "$data" -m fast -w stop
fi
case "${1:-postgres}" in
  postgres) shift; exec setpriv --reuid=postgres --regid=postgres --init-groups \
    postgres -D "$data" -c listen_addresses='*' "$@" ;;
  -*) exec setpriv --reuid=postgres --regid=postgres --init-groups \
    postgres -D "$data" -c listen_addresses='*' "$@" ;;
  *) exec "$@" ;;
esac
"""

# Its databases are at /data there, and it takes connections from everywhere.
REDIS = r"""
set -eu
mkdir -p /data; cd /data; chown NAME: /data
case "${1:-}" in
  "" | NAME-server) [ $# = 0 ] || shift
    exec setpriv --reuid=NAME --regid=NAME --init-groups NAME-server --protected-mode no "$@" ;;
  -*) exec setpriv --reuid=NAME --regid=NAME --init-groups NAME-server --protected-mode no "$@" ;;
  *) exec "$@" ;;
esac
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What runs in place of the image's own start; the service's command follows as arguments."""

    script: str
    command: Sequence[str]  # where the service says none

    @property
    def entrypoint(self) -> list[str]:
        """As the engine takes it."""
        return ["/bin/sh", "-c", self.script, "start"]


STARTS = {
    "postgres": Start(script=POSTGRES, command=["postgres"]),
    "redis": Start(script=REDIS.replace("NAME", "redis"), command=["redis-server"]),
    "valkey": Start(script=REDIS.replace("NAME", "valkey"), command=["valkey-server"]),
}
