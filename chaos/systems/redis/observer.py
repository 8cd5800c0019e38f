"""What a node of Redis or Valkey says about itself, asked over kept connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from redis.exceptions import RedisError, ResponseError, TimeoutError

from chaos.systems.base import Address, ClockReading, Observation, Reachable, read_clock
from chaos.systems.redis.conf import MASTER_NAME
from chaos.systems.redis.map import nodes_of, own_shard
from chaos.systems.redis.wire import Wire, ask, connect, fields, lines


class Observer:
    """Asks one node: its role, its replicas, how far it is behind."""

    def __init__(self, cluster: Reachable, node: str, timeout_s: float) -> None:
        self._addresses: Mapping[str, Address] = {
            port: cluster.address(node, port) for port in ("db", "sentinel")
        }
        self._timeout_s = timeout_s
        self._kept: dict[str, Wire] = {}

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            return self._seen(lines(self._ask("db", "INFO", "replication")))
        except TimeoutError as error:
            return Observation(role="unknown", note=str(error))
        except RedisError as error:
            return Observation(role="down", note=str(error))

    def clock(self) -> ClockReading | None:
        """What `TIME` says: seconds and microseconds. Never raises."""
        try:
            self._ask("db", "PING")  # so that connecting is not in the time that is taken
            return read_clock(lambda: _nanoseconds(self._ask("db", "TIME")), 1000)
        except RedisError:
            return None

    def _seen(self, info: Mapping[str, str]) -> Observation:
        if info["role"] == "master":
            return Observation(role="primary", note=f"{info['connected_slaves']} replicas linked")
        return _replica(info)

    def _ask(self, port: str, *command: str) -> Any:
        kept = self._kept.pop(port, None) or connect(self._addresses[port], self._timeout_s)
        try:
            answer = ask(kept, *command)
        except ResponseError:
            self._kept[port] = kept
            raise
        except BaseException:
            kept.disconnect()
            raise
        self._kept[port] = kept
        return answer


class SentinelObserver(Observer):
    """The same, with the configuration epoch that the Sentinel beside the node knows."""

    def _seen(self, info: Mapping[str, str]) -> Observation:
        seen = super()._seen(info)
        try:
            known = fields(self._ask("sentinel", "SENTINEL", "MASTER", MASTER_NAME))
        except RedisError as error:
            return replace(seen, note=f"no term, its Sentinel is silent: {error}")
        return replace(seen, term=int(known["config-epoch"]))


class ClusterObserver(Observer):
    """The same, with the slots of the node's shard and the epoch in which it was claimed, both as
    the node knows them.

    A node whose cluster is down (it hears no majority of primaries, or knows of slots that nobody
    has) answers no commands: it is a candidate, whatever it leads or follows.
    """

    def _seen(self, info: Mapping[str, str]) -> Observation:
        seen = super()._seen(info)
        shard = own_shard(nodes_of(self._ask("db", "CLUSTER", "NODES")))
        seen = replace(seen, shard=shard.slots or None, term=shard.epoch)
        if lines(self._ask("db", "CLUSTER", "INFO"))["cluster_state"] != "ok":
            return replace(seen, role="candidate", note=f"cluster down; else {seen.role}")
        if seen.role == "primary" and not shard.slots:
            return replace(seen, role="candidate", note="it has no slots")
        return seen


def _nanoseconds(answer: Sequence[bytes]) -> int:
    seconds, microseconds = map(int, answer)
    return seconds * 10**9 + microseconds * 1000


def _replica(info: Mapping[str, str]) -> Observation:
    """A replica's own view: how long since it heard its primary, and what it has yet to apply."""
    linked = info["master_link_status"] == "up"
    silent_s = int(
        info["master_last_io_seconds_ago" if linked else "master_link_down_since_seconds"]
    )
    behind = int(info["slave_read_repl_offset"]) - int(info["slave_repl_offset"])
    return Observation(
        role="replica",
        lag_ms=silent_s * 1000.0 if silent_s >= 0 else None,
        lag_bytes=behind if linked else None,
        note=None if linked else "its link to the primary is down",
    )
