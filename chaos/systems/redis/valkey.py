"""Valkey 8, which continued Redis 7.2 under its license: the same modes, settings and clients.

It speaks Redis' protocol, also between nodes, and reads its configuration; what differs is the
implementation (and with it speed), names of programs and files, and settings that either has alone.
"""

from __future__ import annotations

from chaos.systems.redis.system import Redis

SYSTEM = Redis("valkey", "Valkey 8: a primary with replicas, alone or with Sentinel, or a cluster")
