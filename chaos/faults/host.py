"""Which faults this host can inject, by which mechanism and why: for `aftershock doctor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.errors import AftershockError
from chaos.faults.needs import by_ability, needs
from chaos.registry import FAULTS
from chaos.runtime import capabilities, engine, images
from chaos.runtime.capabilities import ABILITIES, Ladders
from chaos.runtime.doctor import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultFinding(Finding):
    """Faults that need the same ability, and the way it is had here.

    `rung` is the mechanism taken, None where none works; `tried` those looked at, in order of
    preference, each with why it does not work ("" where it does).
    """

    faults: Sequence[str] = ()
    rung: str | None = None
    tried: Sequence[Mapping[str, str]] = field(default_factory=list)


def examine() -> list[Finding]:
    """Ask this host anew; nothing where no engine answers, which chaos.runtime.doctor says.

    One agent and one helper container are started for it and removed.
    """
    try:
        client = engine.client(engine.require())
    except AftershockError:
        return []
    try:
        agent = next(i for i in images.list_images(client) if i.name == "agent" and i.current)
        if agent.id is None:
            return [_unknown("the agent's image is not built", "`aftershock images build agent`")]
        return findings(capabilities.probe(client, agent.id, fresh=True))
    except AftershockError as error:
        return [_unknown(error.what, error.fix)]


def findings(ladders: Ladders) -> list[Finding]:
    """One for each ability that some fault needs, and one for the faults that need none."""
    anywhere = [fault for fault in FAULTS.names() if not needs(fault)]
    found: list[Finding] = [
        FaultFinding(
            what="faults, by signals and Toxiproxy",
            ok=True,
            needed=False,
            found=" ".join(anywhere),
            faults=anywhere,
            rung="always",
        )
    ]
    for ability, faults in by_ability().items():
        if faults:
            found.append(_finding(ability, faults, ladders.get(ability, {})))
    return found


def _finding(ability: str, faults: Sequence[str], tried: Mapping[str, Any]) -> FaultFinding:
    rungs = list(tried.get("tried") or ())
    rung = tried.get("rung")
    whys = [f"{each['rung']} not: {each['why']}" for each in rungs if each["why"]]
    said = [f"by {rung}" if rung else "not here", *(whys or ([] if rung else ["nobody was asked"]))]
    return FaultFinding(
        what=f"faults, {ability}",
        ok=rung is not None,
        needed=False,
        found=f"{'; '.join(said)} ({' '.join(faults)})",
        fix="" if rung else ABILITIES[ability].fix,
        faults=faults,
        rung=rung,
        tried=rungs,
    )


def _unknown(why: str, fix: str) -> Finding:
    return Finding(what="faults", ok=False, needed=False, found=f"not known: {why}", fix=fix)
