"""What may stand in a schedule: one file per family of faults, and operators' steps."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import Discriminator, Tag

from chaos.spec.entries import (
    client_link,
    clock,
    correlated,
    disk,
    link,
    partition,
    process,
    resource,
)
from chaos.spec.entries.base import ScheduleEntry
from chaos.spec.entries.step import StepEntry

FAMILIES = (partition, link, process, resource, client_link, clock, disk, correlated)

FAULT_ENTRIES: dict[str, type[ScheduleEntry]] = {
    get_args(model.model_fields["fault"].annotation)[0]: model
    for family in FAMILIES
    for model in family.MODELS
}
ENTRIES: dict[str, type[ScheduleEntry]] = {**FAULT_ENTRIES, "step": StepEntry}


def _tag(value: Any) -> str | None:
    """Which model an entry of the schedule is for; None when nothing says so."""
    if isinstance(value, dict):
        if "fault" in value:
            return str(value["fault"])
        return "step" if "step" in value else None
    return getattr(value, "fault", "step" if isinstance(value, StepEntry) else None)


if TYPE_CHECKING:
    Entry = Any
else:
    Entry = Annotated[
        functools.reduce(
            operator.or_, (Annotated[model, Tag(name)] for name, model in ENTRIES.items())
        ),
        Discriminator(_tag),
    ]
