"""What a NATS server says of itself over HTTP: /jsz and /raftz of its monitoring port.

A server says of each stream that it holds who leads it, how many messages it has, and the leader
how far the others are. It does not say how long ago it heard of that leader: one that was cut off
names itself for 10 s, and a replica that was names the old one for up to 9.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from chaos.systems._common import silence, unix_ns
from chaos.systems._connections import Kept
from chaos.systems._http import Connection
from chaos.systems.base import Address, ClockReading, NotConnected, Observation, read_clock
from chaos.systems.nats.streams import WORKERS

JSZ = "/jsz?accs=true&streams=true&consumers=true&raft=true"
ACCOUNT = "$G"  # that of who gives no name
RAFTZ = f"/raftz?acc={quote(ACCOUNT)}&group="
NOW = "/jsz"
FAILURES = (OSError, http.client.HTTPException, NotConnected, ValueError, KeyError)


class Monitor:
    """One kept connection to one server's monitoring port, made when it is first needed."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._kept = Kept(lambda: Connection(address, timeout_s))

    def get(self, path: str) -> dict[str, Any]:
        """The answer; one of FAILURES where there is none, or none that says anything."""
        with self._kept as line:
            status, data = line.request("GET", path)
        if status != 200:
            raise ValueError(f"HTTP status {status}: {data}"[:200])
        return dict(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A stream, as one of the servers that hold it sees it."""

    name: str
    leader: str  # "": it knows none
    last: int  # sequence number of the last message it ever had
    messages: int
    group: str  # of raft; "" where there is one replica
    peers: Mapping[str, tuple[bool, int]]  # the others → up to date?, entries behind
    workers: Mapping[str, Any] | None  # a queue's consumer

    def note(self, node: str) -> str:
        """What is in it, and as far as `node` leads: what waits, and who is behind."""
        said = [f"{self.name}: {self.messages} messages"]
        if self.workers is not None and _leader(self.workers.get("cluster")) == node:
            waiting, unsure = self.workers["num_pending"], self.workers["num_ack_pending"]
            said.append(f"{waiting} waiting, {unsure} not acknowledged")
        if self.leader == node:
            behind = [(peer, lag) for peer, (_, lag) in self.peers.items() if lag]
            said += [f"{peer} is {lag} entries behind" for peer, lag in behind]
        return "; ".join(said)


def _leader(cluster: Mapping[str, Any] | None) -> str:
    return str((cluster or {}).get("leader") or "")


def streams(jsz: Mapping[str, Any], count: int) -> list[Seen]:
    """The streams of `count` replicas that a server holds, by name. One that has not yet found its
    raft group takes itself for the leader."""
    found = []
    for account in jsz.get("account_details") or []:
        for detail in account.get("stream_detail") or []:
            cluster = detail.get("cluster") or {}
            group = str(cluster.get("raft_group") or "")
            consumers = detail.get("consumer_detail") or []
            found.append(
                Seen(
                    name=str(detail["name"]),
                    leader=_leader(cluster) if group or count == 1 else "",
                    last=int(detail["state"]["last_seq"]),
                    messages=int(detail["state"]["messages"]),
                    group=group,
                    peers={
                        str(peer["name"]): (bool(peer.get("current")), int(peer.get("lag", 0)))
                        for peer in cluster.get("replicas") or []
                    },
                    workers=next((c for c in consumers if c["name"] == WORKERS), None),
                )
            )
    return sorted(found, key=lambda seen: seen.name)


def held(answers: Mapping[str, Mapping[str, Any]], count: int) -> dict[str, dict[str, Seen]]:
    """Stream → the node that holds it → what that one sees. `answers`: node → its /jsz."""
    found: dict[str, dict[str, Seen]] = {}
    for node, jsz in answers.items():
        for seen in streams(jsz, count):
            found.setdefault(seen.name, {})[node] = seen
    return found


def in_use(seen: Sequence[Seen]) -> list[Seen]:
    """The streams that were ever written to; before any was, all."""
    return [stream for stream in seen if stream.last] or list(seen)


def meta_leader(jsz: Mapping[str, Any]) -> str:
    """Who leads the group that decides which streams there are; "" where nobody is known to."""
    return _leader(jsz.get("meta_cluster"))


class Observer:
    """Asks one server over a kept connection. `count`: how many replicas a stream has."""

    def __init__(self, node: str, count: int, address: Address, timeout_s: float) -> None:
        self._node = node
        self._count = count
        self._monitor = Monitor(address, timeout_s)

    def observe(self) -> Observation:
        """What part it plays in the first stream in use; of the others it is in the note. Never
        raises: no answer is an answer too."""
        try:
            jsz = self._monitor.get(JSZ)
            held = in_use(streams(jsz, self._count))
            term = self._term(held[0].group) if held else None
        except FAILURES as error:
            return silence(error, ValueError)
        return observed(self._node, held, term, meta_leader(jsz))

    def _term(self, group: str) -> int | None:
        """The term of a raft group; None where one replica needs none."""
        if not group:
            return None
        groups = self._monitor.get(RAFTZ + quote(group))
        found = (groups.get(ACCOUNT) or {}).get(group) or {}
        return int(found["term"]) if "term" in found else None

    def clock(self) -> ClockReading | None:
        """The `now` of its answer, in nanoseconds. Never raises."""
        try:
            return read_clock(lambda: unix_ns(self._monitor.get(NOW)["now"]))
        except FAILURES:
            return None


def observed(node: str, held: Sequence[Seen], term: int | None, meta: str) -> Observation:
    """A node's role, from the streams in use that it holds and the leader of the meta group."""
    leads = "; meta leader" if meta == node else ""
    if not held:
        note = f"it holds no stream{leads}" if meta else "it knows no meta leader"
        return Observation(role="replica" if meta else "candidate", note=note)
    first, *others = held
    note = first.note(node) + leads
    for other in others:
        note += f"; {other.name} is led by {other.leader or 'nobody it knows'}"
    if not first.leader:
        return Observation(role="candidate", term=term, note=f"it knows no leader; {note}")
    role = "primary" if first.leader == node else "replica"
    return Observation(role=role, term=term, note=note)
