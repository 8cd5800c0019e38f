"""What each fault needs of a host, and what becomes of a schedule where it is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos.errors import SpecError, UsageError
from chaos.registry import FAULTS
from chaos.runtime.capabilities import ABILITIES, missing

# What a fault needs unless its class says otherwise in `needs`, by the file it is in. Names are
# those of chaos/runtime/capabilities.py; faults that only need signals or Toxiproxy have none.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "partition": ("partition",),
    "link": ("link",),
    "clock": ("clock",),
    "disk": ("disk",),
    "disk_slow": ("disk",),
    "slow": ("cpu",),
    "memory": ("memory",),
}


def needs(fault: str) -> tuple[str, ...]:
    """Abilities of chaos/runtime/capabilities.py that the fault needs; none where it is unknown."""
    try:
        made: Any = FAULTS.get(fault)
    except SpecError:
        return ()
    own: tuple[str, ...] | None = getattr(made, "needs", None)
    return FAMILIES.get(made.__module__.rpartition(".")[2], ()) if own is None else own


def by_ability() -> dict[str, list[str]]:
    """{ability: the faults that need it}, in the order of ABILITIES and of the registry."""
    found: dict[str, list[str]] = {ability: [] for ability in ABILITIES}
    for fault in FAULTS.names():
        for need in needs(fault):
            found.setdefault(need, []).append(fault)
    return found


def may_skip(entry: Any, otherwise: str) -> bool:
    """Whether an entry may be left out; `otherwise` is what its experiment says of all."""
    return bool((getattr(entry, "when_unavailable", None) or otherwise) == "skip")


def lacking(entries: Sequence[Any], ladders: Mapping[str, Mapping[str, Any]]) -> dict[int, str]:
    """{number of the entry, from 1: why this host cannot do it}."""
    found = {}
    for number, entry in enumerate(entries, 1):
        lack = None if entry.is_step else missing(needs(entry.name), ladders)
        if lack is not None:
            found[number] = f"this host lacks {ABILITIES[lack.need].about} ({lack.why})"
    return found


def refuse(
    entries: Sequence[Any],
    ladders: Mapping[str, Mapping[str, Any]],
    otherwise: str,
) -> None:
    """UsageError that names every fault that cannot be done here and may not be skipped."""
    lack = lacking(entries, ladders)
    refused = [k for k in lack if not may_skip(entries[k - 1], otherwise)]
    if not refused:
        return
    wanted = _wanted(entries[k - 1].name for k in refused)
    fixes = [ABILITIES[need].fix for need in wanted if not (ladders.get(need) or {}).get("rung")]
    raise UsageError(
        "; ".join(f"f{k} ({entries[k - 1].name}) cannot be injected: {lack[k]}" for k in refused),
        fix=". ".join([*fixes, "Or write `when_unavailable: skip` to run without"]),
    )


def _wanted(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(need for name in names for need in needs(name) if need in ABILITIES))
