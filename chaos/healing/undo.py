"""The words of `undo` in the journal, and what is done for each.

    {"do": "start", "node": n}                 start the node's database containers
    {"do": "restart", "node": n}               end them at once and start them: mounts its disk anew
    {"do": "unpause", "node": n}               thaw what the engine froze
    {"do": "update", "node": n, "cpu_quota": …, "mem_limit": …}
                                               the engine's limits as they were (LIMITS below)
    {"do": "toxics"}                           Toxiproxy without toxics, every link up

A journal is data that may come from anywhere: it can name nodes of its own run and limits, and
nothing else. Each item may be done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from docker.errors import APIError, NotFound

from chaos.errors import AftershockError, FaultError
from chaos.healing.remains import Remains
from chaos.runtime.clients import dial
from chaos.runtime.docker import engine_errors
from chaos.runtime.toxiproxy import API_PORT, Links

Item = Mapping[str, Any]
LIMITS = (
    "blkio_weight", "cpu_period", "cpu_quota", "cpu_shares", "cpuset_cpus", "cpuset_mems",
    "mem_limit", "mem_reservation", "memswap_limit",
)  # fmt: skip
# The engine takes 0 as "leave it"; -1 is its word for "no limit".
NO_LIMIT = {"cpu_quota", "mem_limit", "mem_reservation", "memswap_limit"}
STOP_S = 10


@dataclass(slots=True)
class Undone:
    """What came of the items of one run."""

    done: dict[str, list[str]] = field(default_factory=dict)  # fault → sentences
    problems: dict[str, list[str]] = field(default_factory=dict)  # fault → sentences


def undo(remains: Remains, faults: Sequence[Mapping[str, Any]], earlier: Iterable[Item]) -> Undone:
    """Do the items of `faults` (the journal's, oldest first): the newest first, each once.

    `earlier`: every item that the run ever wrote down. Of two faults that changed the same limit
    the first one knows what it was before.
    """
    result = Undone()
    first = _first_limits(earlier)
    waves: list[dict[str, tuple[Item, list[str]]]] = [{} for _ in WAVES]
    for fault in reversed(faults):
        for item in _items(fault):
            word = item.get("do")
            wave = next((k for k, words in enumerate(WAVES) if word in words), None)
            if wave is None:
                said = f"expected one of {', '.join(ACTIONS)} to undo it, got {str(word)[:60]!r}"
                result.problems.setdefault(fault["id"], []).append(said)
                continue
            if word == "update":
                item = dict(item) | first.get(str(item.get("node")), {})
            key = f"{word} {item.get('node')}"
            waves[wave].setdefault(key, (item, []))[1].append(fault["id"])
    for wave_items in waves:
        with ThreadPoolExecutor(8) as pool:
            jobs = [(pool.submit(_do, remains, item), ids) for item, ids in wave_items.values()]
        for job, ids in jobs:
            done, problem = job.result()
            for id in ids:
                place = result.problems if problem else result.done
                place.setdefault(id, []).append(problem or done)
    return result


def _items(fault: Mapping[str, Any]) -> list[Item]:
    """The fault's items; of a journal older than these, that its nodes may have to be started."""
    items = fault.get("undo")
    if isinstance(items, list):
        return [item for item in items if isinstance(item, dict)]
    targets = fault.get("targets")
    names = targets if isinstance(targets, list) and fault.get("fault") == "kill" else []
    return [{"do": "start", "node": name} for name in names]


def _first_limits(items: Iterable[Item]) -> dict[str, dict[str, Any]]:
    first: dict[str, dict[str, Any]] = {}
    for item in items:
        if item.get("do") == "update":
            known = first.setdefault(str(item.get("node")), {})
            for key in item:
                known.setdefault(key, item[key])
    return first


def _do(remains: Remains, item: Item) -> tuple[str, str]:
    """(what was done, ""), or ("", why it could not be)."""
    try:
        return ACTIONS[str(item["do"])](remains, item), ""
    except AftershockError as error:
        return "", error.what
    except NotFound:
        return f"{item.get('node', 'Toxiproxy')}: its container is gone", ""
    except APIError as error:
        return "", f"the engine refused {item['do']}: {error.explanation or error}"
    except Exception as error:  # one item must not keep the others from being done
        return "", f"{item['do']} failed: {type(error).__name__}: {error}"


def _start(remains: Remains, item: Item) -> str:
    node = str(item.get("node"))
    for container in remains.containers(node):
        if container.status != "running":
            container.start()
    return f"{node} started"


def _restart(remains: Remains, item: Item) -> str:
    node = str(item.get("node"))
    containers = remains.containers(node)
    for container in containers:
        if container.status == "paused":
            container.unpause()
        if container.status in ("running", "paused", "restarting"):
            container.kill()
    for container in containers:  # all of them first: a disk is unmounted by its last user
        container.wait(timeout=STOP_S)
    for container in containers:
        container.start()
    return f"{node} restarted"


def _unpause(remains: Remains, item: Item) -> str:
    node = str(item.get("node"))
    for container in remains.containers(node):
        if container.status == "paused":
            container.unpause()
    return f"{node} thawed"


def _update(remains: Remains, item: Item) -> str:
    node = str(item.get("node"))
    limits = {key: value for key, value in item.items() if key not in ("do", "node")}
    unknown = set(limits) - set(LIMITS)
    if unknown or not all(isinstance(value, int | str) for value in limits.values()):
        raise FaultError(
            f"expected limits among {', '.join(LIMITS)}, got {', '.join(sorted(limits))[:200]}"
        )
    limits = {key: -1 if value == 0 and key in NO_LIMIT else value for key, value in limits.items()}
    for container in remains.containers(node):
        container.update(**limits)
    said = ", ".join(f"{key} {value}" for key, value in sorted(limits.items()))
    return f"{node} has its limits of before ({said})"


def _toxics(remains: Remains, item: Item) -> str:
    if remains.toxiproxy is None:
        return "Toxiproxy is gone"
    holder = remains.agents.get("clients", remains.toxiproxy)  # who has its address
    with engine_errors("looking at Toxiproxy"):
        remains.toxiproxy.reload()
        holder.reload()
    if "running" not in (remains.toxiproxy.status, holder.status):
        return "Toxiproxy does not run"
    Links(*dial(holder, API_PORT)).heal()
    return "every toxic taken off"


ACTIONS: dict[str, Callable[[Remains, Item], str]] = {
    "toxics": _toxics,
    "unpause": _unpause,
    "update": _update,
    "start": _start,
    "restart": _restart,
}
# What is quick and has a deadline first; limits before what has to start within them.
WAVES: tuple[tuple[str, ...], ...] = (("toxics", "unpause", "update"), ("start", "restart"))
