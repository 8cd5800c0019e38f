"""A schedule as lines, and what this host can do of it, said before a run starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chaos.cli.console import say
from chaos.cli.fault_table import few_words
from chaos.units import format_duration

if TYPE_CHECKING:
    from chaos.spec.files import LoadedExperiment

NOT_ASKED = ("at", "for", "fault", "step")  # said elsewhere in the line


def drawn_lines(loaded: LoadedExperiment, seed: int) -> Iterator[str]:
    """What `chaos.spec.files.drawn` drew, a line an entry; nothing for a written schedule."""
    if loaded.drawn_from is None:
        return
    own = loaded.drawn_from.seed
    schedule = loaded.experiment.schedule
    yield f"schedule drawn from seed {seed if own is None else own}, {len(schedule)} entries:"
    yield from schedule_lines(schedule)


def schedule_lines(entries: Sequence[Any]) -> Iterator[str]:
    """`f1   12.250s  for 2.7s     partition  isolate random(1)`, an entry a line."""
    for number, entry in enumerate(entries, 1):
        lasts = f"for {format_duration(entry.for_ns)}" if entry.for_ns else ""
        asked = ", ".join(_asked(entry.asked()))
        line = f"f{number:<3} {entry.at_ns / 1e9:9.3f}s  {lasts:<12} {entry.name:<16} {asked}"
        yield line.rstrip()


def _asked(asked: Mapping[str, Any]) -> Iterator[str]:
    for key, value in asked.items():
        if key not in NOT_ASKED and value not in (False, None, [], {}):
            yield f"{key} {few_words(value)}"


def hold_against_host(loaded: LoadedExperiment, client: Any, agent_image: str) -> dict[str, Any]:
    """What this host can do, after refusing what it cannot and saying what is skipped.

    UsageError names the fault, what is missing and how to get it; nothing of the run has started.
    """
    from chaos.faults.needs import lacking, refuse
    from chaos.runtime import capabilities

    experiment = loaded.experiment
    ladders = capabilities.probe(client, agent_image)
    if lacking(experiment.schedule, ladders):  # what was kept must not decide that
        ladders = capabilities.probe(client, agent_image, fresh=True)
    refuse(experiment.schedule, ladders, experiment.when_unavailable)
    for number, why in lacking(experiment.schedule, ladders).items():
        say(f"f{number} ({experiment.schedule[number - 1].name}) is skipped: {why}")
    return ladders
