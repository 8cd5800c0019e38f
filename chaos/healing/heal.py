"""One run healed from its journal: refused while it goes on, undone, proven, written down.

Idempotent: what is healed already is found healed, and two that heal at once wait for each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException, NotFound

from chaos.errors import AftershockError, EngineError, FaultError, RecordError, UsageError
from chaos.healing.remains import CLIENTS, Remains, find
from chaos.healing.undo import Undone, undo
from chaos.record import rundir
from chaos.record.journal import Journal, faults_from_journal, open_faults, read_journal
from chaos.record.liveness import alive, same_boot
from chaos.runtime.clients import dial
from chaos.runtime.knock import Reaction, request
from chaos.runtime.toxiproxy import API_PORT, Links

RELEASED_S = 6.0  # a lease of 3 s, and what an agent needs to notice and undo
BACK_S = 20.0  # how long a database may take to answer again
CONFIRMED, MISMATCH = "confirmed", "mismatch"  # as a probe says it
STARTING = ("start", "restart")  # words of `undo`
LOCK_S = 60.0  # how long to wait for another that heals the same run
GONE = "its containers are gone, and it with them"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultHealed:
    """What became of one open fault."""

    id: str
    fault: str
    undone: list[str]
    outcome: str  # confirmed | mismatch | removed
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProof:
    """What a pod showed after healing. `request`: answered, …; "" for the clients' pod."""

    request: str
    ms: float
    held: Mapping[str, list[str]]  # kind → what is still in force (chaos/agent/inspect.py)

    @property
    def well(self) -> bool:
        """Nothing is in force, and the database answers."""
        return not self.held and self.request in ("", "answered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """What healing one run did."""

    path: str
    run_id: str
    faults: list[FaultHealed] = field(default_factory=list)
    nodes: dict[str, NodeProof] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def healed(self) -> bool:
        """Whether every fault that was open is proven to have ended."""
        return all(fault.outcome != MISMATCH for fault in self.faults)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "healed": self.healed}


def heal_run(path: Path, client: docker.DockerClient, by: str, say: Say) -> Healing:
    """Heal every open fault of the run directory `path`, and write that into its journal.

    UsageError while its own controller lives, FaultError when another heals it for too long,
    RecordError when the directory cannot be read or written. What could not be healed is no
    exception: `Healing.healed` is False, and the journal says why.
    """
    began = time.monotonic()
    meta = rundir.read_run_json(path)
    if meta["state"] == "running" and alive(meta["controller"]):
        raise UsageError(
            f"{path} is still going on: process {meta['controller'].get('pid')} runs it and heals"
            " its faults",
            fix="stop that one with Ctrl-C, or wait until it has ended",
        )
    with _alone(path):
        faults = open_faults(path / rundir.JOURNAL)
        report = Healing(path=str(path), run_id=meta["run_id"])
        if not faults:
            return report
        journal = Journal(path / rundir.JOURNAL)
        try:
            note = _Note(journal, meta, by)
            remains = find(client, meta["run_id"])
            healed, nodes = _heal(remains, faults, _items_ever(path), note, say)
        finally:
            journal.close()
        if (path / rundir.FAULTS).exists():  # the run ended in an orderly way, but not healed
            from chaos.record.tables import write_parquet  # seldom, and takes a while to import

            write_parquet(path / rundir.FAULTS, faults_from_journal(path / rundir.JOURNAL))
    return Healing(path=str(path), run_id=meta["run_id"], faults=healed, nodes=nodes,
                   seconds=round(time.monotonic() - began, 2))  # fmt: skip


class _Note:
    """Writes events of a healer; times count from the run's t = 0 while the host is the same."""

    def __init__(self, journal: Journal, meta: Mapping[str, Any], by: str) -> None:
        self._journal = journal
        self._by = by
        self.delayed = bool(meta["topology"].get("links"))
        zero = meta["t0_monotonic_ns"]
        self._zero = zero if zero and same_boot(meta["controller"]) else None

    def now(self) -> int | None:
        """Nanoseconds since t = 0; None when nobody can tell any more."""
        return None if self._zero is None else time.monotonic_ns() - self._zero

    def __call__(self, id: str, event: str, **columns: Any) -> None:
        utc = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        told = {"id": id, "event": event, "t_ns": self.now(), "utc": utc, "by": self._by}
        self._journal.append(told | columns)


def _items_ever(path: Path) -> list[dict[str, Any]]:
    """Every item of `undo` that the run wrote down, healed by now or not."""
    events = (event.get("undo") for event in read_journal(path / rundir.JOURNAL))
    return [i for items in events if isinstance(items, list) for i in items if isinstance(i, dict)]


def _heal(
    remains: Remains,
    faults: Sequence[dict[str, Any]],
    earlier: Sequence[dict[str, Any]],
    note: _Note,
    say: Say,
) -> tuple[list[FaultHealed], dict[str, NodeProof]]:
    if not remains.running:
        return [_removed(fault, note) for fault in faults], {}
    for fault in faults:
        note(fault["id"], "heal")
    undone = undo(remains, faults, earlier)
    for sentences in undone.done.values():
        for sentence in dict.fromkeys(sentences):
            say(sentence)
    restless = {str(item.get("node")) for item in earlier if item.get("do") in STARTING}
    nodes = prove(remains, restless, delayed=note.delayed)
    if not find(remains.client, remains.run_id).running:  # somebody removed it meanwhile
        return [_removed(fault, note) for fault in faults], {}
    return [_told(fault, undone, nodes, note) for fault in faults], nodes


def _removed(fault: Mapping[str, Any], note: _Note) -> FaultHealed:
    """It ended with its containers. What its own run measured of its end, if it did, stays."""
    columns: dict[str, Any] = {"removed": True}
    if fault.get("heal_outcome") is None:
        columns |= {"heal_outcome": CONFIRMED, "why": _joined(fault, GONE)}
    note(fault["id"], "healed", **columns)
    return FaultHealed(
        id=fault["id"], fault=fault.get("fault", "?"), undone=[], outcome="removed", why=GONE
    )


def _told(
    fault: Mapping[str, Any], undone: Undone, nodes: Mapping[str, NodeProof], note: _Note
) -> FaultHealed:
    problems = list(undone.problems.get(fault["id"], []))
    for name, proof in nodes.items():
        if proof.held:
            held = "; ".join(f"{kind}: {', '.join(x[:3])}" for kind, x in proof.held.items())
            problems.append(f"{name} still holds {held}")
        elif not proof.well:
            problems.append(f"{name} does not answer ({proof.request})")
    why = ". ".join(problems)
    columns: dict[str, Any] = {
        "heal_outcome": MISMATCH if problems else CONFIRMED,
        "heal_measured": {name: asdict(proof) for name, proof in nodes.items()},
    }
    if not problems and (now := note.now()) is not None:
        columns["healed_ns"] = now
    if why:
        columns["why"] = _joined(fault, why)
    note(fault["id"], "healed", **columns)
    return FaultHealed(
        id=fault["id"],
        fault=fault.get("fault", "?"),
        undone=list(dict.fromkeys(undone.done.get(fault["id"], []))),
        outcome=columns["heal_outcome"],
        why=why,
    )


def _joined(fault: Mapping[str, Any], why: str) -> str:
    """What was said of the fault's beginning stays; of its end, this is the newer word."""
    before = str(fault.get("why") or "").partition("heal: ")[0].rstrip("; ")
    return f"{before}; heal: {why}" if before else f"heal: {why}"


def prove(remains: Remains, restless: Collection[str], *, delayed: bool) -> dict[str, NodeProof]:
    """Until every pod holds nothing and every database answers, or their deadlines: the proof.

    `restless`: nodes that may stop once more (a kill on its way when the controller died).
    `delayed`: the topology's links have a delay at all times, and so queues without any fault.
    """
    with ThreadPoolExecutor(len(remains.databases) + 1) as pool:
        holding = pool.submit(_released, remains, delayed)
        asked = {
            node: pool.submit(_answer, remains, node, node in restless)
            for node in remains.databases
        }
        held = holding.result()
        reactions = {node: job.result() for node, job in asked.items()}
    return {
        node: NodeProof(
            request=reactions[node].kind if node in reactions else "",
            ms=round(reactions[node].ms, 2) if node in reactions else 0.0,
            held=held.get(node, {}),
        )
        for node in sorted({*held, *reactions})
    }


def _released(remains: Remains, delayed: bool) -> dict[str, dict[str, list[str]]]:
    """What the pods still hold when they hold nothing or after RELEASED_S."""
    end = time.monotonic() + RELEASED_S
    while True:
        held = {node: look.held for node, look in remains.look().items()}
        links = _links_changed(remains)
        if links:
            held.setdefault(CLIENTS, {})["links"] = links
        for node, names in remains.frozen().items():
            held.setdefault(node, {})["frozen"] = names
        if delayed:
            held = {n: {k: x for k, x in h.items() if k != "queues"} for n, h in held.items()}
        if not any(held.values()) or time.monotonic() > end:
            return held
        time.sleep(0.2)


def _links_changed(remains: Remains) -> list[str]:
    if remains.toxiproxy is None or CLIENTS not in remains.agents or remains.cluster is None:
        return []
    try:
        return Links(*dial(remains.agents[CLIENTS], API_PORT)).changed()
    except FaultError as error:
        return [error.what]


def _answer(remains: Remains, node: str, restless: bool) -> Reaction:
    """A request to the node's database, again until it answers or BACK_S are over.

    The engine may take a moment to see that a killed container has ended: start it then.
    """
    if remains.cluster is None:
        return Reaction("not asked: the clients' pod does not run", 0.0, time.monotonic_ns())
    try:
        group = remains.cluster.group(node)
        if "db" not in group.ports(node):  # nobody can ask it: whether it runs has to do
            kind = "answered" if _there(remains, node, start=restless) else "gone"
            return Reaction(kind, 0.0, time.monotonic_ns())
        knock = group.knock(node, "db")
        address = remains.cluster.address(node, "db")
    except (AftershockError, KeyError) as error:
        return Reaction(f"not asked: {error}", 0.0, time.monotonic_ns())
    look = time.monotonic() + 1.0
    end = time.monotonic() + BACK_S
    while True:
        reaction = request(address, knock)
        if reaction.kind == "answered" or time.monotonic() > end:
            return reaction
        if time.monotonic() > look:
            look = time.monotonic() + 1.0
            if not _there(remains, node, start=restless):
                return Reaction("gone", reaction.ms, reaction.at_ns)
        time.sleep(0.1)


def _there(remains: Remains, node: str, start: bool) -> bool:
    """Whether the node's containers still exist; `start` those that have ended."""
    try:
        for container in remains.databases[node]:
            container.reload()
            if start and container.status == "exited":
                container.start()
    except NotFound:
        return False
    except (DockerException, requests.RequestException):
        pass  # the engine is busy, or somebody removes the container just now: look again
    return True


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else heals this run meanwhile."""
    end = time.monotonic() + LOCK_S
    try:
        held = (path / rundir.JOURNAL).open("ab")
    except OSError as error:
        raise RecordError(f"cannot write the journal of {path}: {error.strerror}") from None
    with held:
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise FaultError(
                        f"another process has been healing {path} for {LOCK_S:g} s",
                        fix="look for `aftershock heal`, or the watchdog named in its log",
                    ) from None
                time.sleep(0.1)
            except OSError as error:
                raise EngineError(f"cannot lock the journal of {path}: {error}") from None
        yield
