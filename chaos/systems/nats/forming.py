"""How servers that have just begun become one cluster, and who of them has to begin again.

A server whose connection another closed while that one told where it takes answers does not hear of
it: it follows, and is never counted (2.10.27; `together` in the image makes that rare). So it may
be in the group that decides which streams there are, and in that of a stream. Nothing but new
connections cures it, so whoever stays uncounted is started again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from chaos.systems.base import Cluster
from chaos.systems.nats.conf import replicas
from chaos.systems.nats.monitor import held, meta_leader
from chaos.systems.nats.streams import BUCKET_STREAM

# For a leader to count who has answered it, which takes 20 ms, or one more try at 1 s.
PATIENCE_S = 3.0
Answers = Mapping[str, Mapping[str, Any]]  # node → its /jsz
Missing = Mapping[str, str]  # node → what it lacks, while others are further


class NotYet(Exception):
    """What a new cluster still lacks, where that is no single server's."""


class Patience:
    """Asks who is missing, until nobody is; who is for PATIENCE_S is started again."""

    def __init__(self, cluster: Cluster, missing: Callable[[], Missing]) -> None:
        self._cluster = cluster
        self._missing = missing
        self._since: dict[str, float] = {}  # node → when it was first found missing

    def __call__(self) -> bool:
        """Whether nobody is missing. NotYet says who or what is; anything else: who cannot be
        asked."""
        try:
            missing = self._missing()
        except Exception:
            self._since.clear()
            raise
        now = time.monotonic()
        self._since = {node: self._since.get(node, now) for node in missing}
        for node, since in self._since.items():
            if now - since > PATIENCE_S:
                self._cluster.stop(node)
                self._cluster.start(node)
                self._since[node] = time.monotonic()
        if missing:
            raise NotYet("; ".join(f"{node} {why}" for node, why in sorted(missing.items())))
        return True


def uncounted(answers: Answers) -> Missing:
    """Who does not know the leader of the meta group, or is not counted by it. A server that is
    alone needs none. NotYet: there is none, or more than one."""
    if len(answers) == 1:
        return {}
    named = {node: meta_leader(jsz) for node, jsz in answers.items()}
    leader = _only({name for name in named.values() if name}, "the meta group")
    members = answers[leader]["meta_cluster"].get("replicas") or []
    counted = {leader, *(str(member["name"]) for member in members)}
    missing = {node: "knows no meta leader" for node, name in named.items() if not name}
    missing |= dict.fromkeys(set(answers) - counted, f"is not counted by {leader}, the meta leader")
    return missing


def behind(answers: Answers, settings: Mapping[str, Any]) -> Missing:
    """Who does not know the leader of the bucket's stream, or has not what it has. NotYet: the
    stream has not all of its replicas, or no leader, or more than one."""
    count = replicas(settings)
    seen = held(answers, count).get(BUCKET_STREAM, {})
    if len(seen) != count:
        raise NotYet(f"the bucket is on {len(seen)} servers, and is to be on {count}")
    leader = _only({one.leader for one in seen.values() if one.leader}, "the bucket's stream")
    if leader not in seen:
        raise NotYet(f"{leader}, which does not hold the bucket, leads it")
    missing = {node: "does not know who leads it" for node, one in seen.items() if not one.leader}
    for peer, (current, lag) in seen[leader].peers.items():
        if not current:
            missing[peer] = f"is {lag} entries behind {leader}, or not counted by it"
    return missing


def _only(leaders: set[str], what: str) -> str:
    if len(leaders) != 1:
        raise NotYet(f"{what} is led by {', '.join(sorted(leaders)) or 'nobody'}")
    return next(iter(leaders))
