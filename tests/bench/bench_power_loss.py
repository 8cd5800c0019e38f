"""What is left of acknowledged writes after SIGKILL, and after a power loss.

One node of each database on a disk of its own, under each promise it can make. A client adds
elements to a set, one after the other; in the middle of that the node is killed, or loses power,
through the fault that every experiment uses; then it starts again and the set is read.

Each database promises to keep what was acknowledged some time before: at once where it syncs before
it answers, within a second or so where it syncs now and then. What it does not promise may be lost,
and over a power loss it should be: else nothing was lost that a power loss takes.

Redis may refuse to start on its own log after a power loss: ext4 writes down the new size of a
file's last block before its contents, so the log may end in zeros. An operator cuts them off
(redis-check-aof --fix); the table says how often.
"""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.errors import AftershockError
from chaos.faults.base import Fault, Scene
from chaos.record.op import Invocation
from chaos.registry import FAULTS
from chaos.runtime.cluster import RunningCluster
from chaos.runtime.docker import LABEL_RUN
from chaos.spec.entries import FAULT_ENTRIES
from chaos.systems.base import System
from tests.bench.support import Row, row, running, say

ROUNDS = 3
WRITES_S = 3.0
BACK_S = 20.0
REPAIR = "yes | redis-check-aof --fix /data/appendonlydir/*.manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A database with settings; acknowledged writes older than `within_s` are to be kept.

    everysec: a second, and another while a sync goes on. synchronous_commit off: three times
    wal_writer_delay, 0.6 s, and the time of the syncs that come between on a busy disk.
    """

    name: str
    system: str
    settings: Mapping[str, str]
    within_s: float | None  # None: never, over a power loss


PROMISES = (
    Promise(name="Redis, appendfsync always", system="redis", within_s=0.0,
            settings={"appendonly": "yes", "appendfsync": "always"}),
    Promise(name="Redis, appendfsync everysec", system="redis", within_s=2.0,
            settings={"appendonly": "yes", "appendfsync": "everysec"}),
    Promise(name="PostgreSQL, synchronous_commit on", system="postgres", within_s=0.0,
            settings={"synchronous_commit": "on"}),
    Promise(name="PostgreSQL, synchronous_commit off", system="postgres", within_s=1.5,
            settings={"synchronous_commit": "off"}),
    Promise(name="PostgreSQL, fsync off", system="postgres", within_s=None,
            settings={"fsync": "off"}),
    Promise(name="etcd", system="etcd", within_s=0.0, settings={}),
    Promise(name="etcd, unsafe-no-fsync", system="etcd", within_s=None,
            settings={"unsafe-no-fsync": "true"}),
)  # fmt: skip


@dataclass(slots=True)
class Seen:
    """Of all rounds with one fault."""

    acknowledged: int = 0
    promised: int = 0
    kept: int = 0
    promised_kept: int = 0
    refused: int = 0  # rounds in which the database did not start by itself
    outcomes: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}: for every promise what each fault leaves."""
    rows: list[Row] = []
    for promise in PROMISES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "one.yaml"
            path.write_text(topology(promise), encoding="utf-8")
            with running(path) as (_, system, cluster):
                for fault in ("kill", "power-loss"):
                    rows += _rows(promise, fault, _rounds(promise, fault, system, cluster))
                    say(f"  {rows[-2]['what']}: {rows[-2]['value']}")
    return rows


def topology(promise: Promise) -> str:
    """A topology of one node, as JSON, which is YAML."""
    return json.dumps({
        "name": "one", "system": promise.system, "settings": promise.settings,
        "regions": {"r": {"zones": ["z"]}}, "nodes": {"n1": {"zone": "z"}}, "clients": {"z": 1},
        "disk": {"size": "512MB"},
    })  # fmt: skip


def _rounds(promise: Promise, name: str, system: System, cluster: RunningCluster) -> Seen:
    seen = Seen()
    first = 0 if name == "kill" else 10**6
    # A database that never syncs may be damaged for good by the first power loss.
    for k in range(1 if name == "power-loss" and promise.within_s is None else ROUNDS):
        writer = Writer(system, cluster, first + k * 10**5)
        writer.start()
        time.sleep(WRITES_S)
        fault = _inject(name, f"f{first + k}", cluster)
        struck_ns = fault.effect_ns  # type: ignore[attr-defined]
        writer.end()
        outcome = _heal(promise, fault, cluster, seen)
        left = set(_read(system, cluster))
        within_ns = 1e18 if promise.within_s is None else promise.within_s * 1e9
        if name == "kill" and promise.within_s is None:
            within_ns = 0  # what was written is in the kernel's memory, which SIGKILL leaves alone
        promised = {v for v, t_ns in writer.acknowledged.items() if t_ns < struck_ns - within_ns}
        seen.acknowledged += len(writer.acknowledged)
        seen.kept += len(left & writer.acknowledged.keys())
        seen.promised += len(promised)
        seen.promised_kept += len(left & promised)
        seen.outcomes.append(outcome)
    return seen


def _rows(promise: Promise, fault: str, seen: Seen) -> list[Row]:
    after = f"{promise.name}: after {'SIGKILL' if fault == 'kill' else 'power loss'}"
    for why in seen.why:
        say(f"  {after}: {why}")
    lost = seen.acknowledged - seen.kept
    promised = promise.within_s is not None or fault == "kill"
    loses = fault == "power-loss" and promise.within_s != 0.0
    rows = [
        row(f"{after}, lost of {seen.acknowledged} acknowledged", lost, "writes",
            "≥ 1" if loses else ""),
        row(f"{after}, confirmed with its end", seen.outcomes.count("confirmed"),
            f"of {len(seen.outcomes)}", f"≥ {len(seen.outcomes)}" if promised else ""),
    ]  # fmt: skip
    if seen.promised:
        kept = 100 * seen.promised_kept / seen.promised
        rows.insert(0, row(f"{after}, kept of {seen.promised} promised", kept, "%", "≥ 100"))
    if seen.refused:
        rows.append(
            row(f"{after}, did not start by itself", seen.refused, f"of {len(seen.outcomes)}")
        )
    return rows


def _scene(cluster: RunningCluster) -> Scene:
    return Scene(cluster=cluster, roles=dict, client_zones=["z"], rng=random.Random(1))


def _inject(name: str, id: str, cluster: RunningCluster) -> Fault:
    entry = FAULT_ENTRIES[name].model_validate(
        {"at": "0s", "for": "1s", "fault": name, "target": "n1"}
    )
    fault: Fault = FAULTS.get(name)(id, entry)
    scene = _scene(cluster)
    fault.resolve(scene)
    fault.prepare(scene)
    fault.inject(scene)
    probe = fault.probe(scene)
    if probe.outcome != "confirmed":
        raise AftershockError(f"{name} was not confirmed: {probe.why}")
    return fault


def _heal(promise: Promise, fault: Fault, cluster: RunningCluster, seen: Seen) -> str:
    """Heal, with what an operator does where the database does not start; the last outcome."""
    fault.heal(_scene(cluster))
    probe = fault.probe_heal(_scene(cluster))
    if probe.outcome == "confirmed":
        return "confirmed"
    seen.why.append(probe.why)
    if "ended" in probe.why:
        seen.refused += 1
        if promise.system == "redis":
            _repair(cluster)
            fault.heal(_scene(cluster))
            probe = fault.probe_heal(_scene(cluster))
    return probe.outcome


def _repair(cluster: RunningCluster) -> None:
    container = cluster._client.containers.get(cluster.pods["n1"].container_ids()["redis"])
    volume = next(m["Name"] for m in container.attrs["Mounts"])
    cluster._client.containers.run(
        container.attrs["Image"], ["sh", "-c", REPAIR], user="root", remove=True,
        volumes={volume: {"bind": "/data", "mode": "rw"}},
        labels={LABEL_RUN: container.labels[LABEL_RUN]}, network_mode="none",
    )  # fmt: skip


def _client(system: System, cluster: RunningCluster) -> Any:
    """A connected client, as soon as the database lets; AftershockError if it never does."""
    spec = cluster.groups[""].client_spec("z", "n1", 2.0)
    end = time.monotonic() + BACK_S
    while True:
        try:
            client = system.client(spec, "set")
            client.open()
            client.invoke(Invocation("read"))
        except Exception as error:  # a database that starts refuses in many ways
            if time.monotonic() > end:
                raise AftershockError(f"no answer within {BACK_S:g} s: {error}") from None
            time.sleep(0.1)
        else:
            return client


def _read(system: System, cluster: RunningCluster) -> list[int]:
    """The whole set; nothing if the database does not answer any more."""
    try:
        client = _client(system, cluster)
    except AftershockError:
        return []
    result = client.invoke(Invocation("read"))
    client.close()
    found: list[int] = json.loads(result.payload or "[]")
    return found


class Writer(threading.Thread):
    """Adds elements one after the other until told to end: {element: when acknowledged}."""

    def __init__(self, system: System, cluster: RunningCluster, first: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: dict[int, int] = {}
        self._client = _client(system, cluster)
        self._next = first
        self._over = False

    def run(self) -> None:
        """Until an error, which the fault makes."""
        while not self._over:
            self._next += 1
            try:
                self._client.invoke(Invocation("add", None, self._next))
            except Exception:
                return
            self.acknowledged[self._next] = time.monotonic_ns()

    def end(self) -> None:
        """No more of them."""
        self._over = True
        self.join(5.0)
        self._client.close()
