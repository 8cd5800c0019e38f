"""Entries of the process family."""

from __future__ import annotations

from typing import Literal

from chaos.spec.entries.base import Instant, Lasting
from chaos.spec.fields import TargetField


class KillEntry(Lasting):
    """SIGKILL the database's processes; healing starts them again."""

    fault: Literal["kill"]
    target: TargetField


class PauseEntry(Lasting):
    """Freeze the database's processes; healing thaws them."""

    fault: Literal["pause"]
    target: TargetField


class RestartEntry(Instant):
    """Stop the database as an operator would and start it again; it has no duration."""

    fault: Literal["restart"]
    target: TargetField


MODELS = (KillEntry, PauseEntry, RestartEntry)
