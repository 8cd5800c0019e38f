"""Operators' steps."""

from __future__ import annotations

from typing import ClassVar

from chaos.spec.entries.base import ScheduleEntry
from chaos.spec.fields import TargetField, Text


class StepEntry(ScheduleEntry):
    """What a person on call does, such as promoting a replica."""

    is_step: ClassVar[bool] = True

    step: Text
    """A step the system knows, such as promote."""
    node: TargetField
    """The node it is done to."""

    @property
    def for_ns(self) -> None:
        """It is over when it is done."""
        return
