"""Operators' steps."""

from __future__ import annotations

from typing import ClassVar

from chaos.spec.entries.base import Instant
from chaos.spec.fields import TargetField, Text


class StepEntry(Instant):
    """What a person on call does, such as promoting a replica."""

    is_step: ClassVar[bool] = True

    step: Text
    """A step the system knows, such as promote."""
    node: TargetField
    """The node it is done to."""
