"""Entries of the process family."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from chaos.spec.entries.base import SECOND_NS, Instant, Lasting
from chaos.spec.fields import DurationNs, Number, TargetField, Text, Wrong
from chaos.spec.target import Target

ProcessName = Annotated[Text, Field(min_length=1, max_length=60)]
TURN_NS_MIN = 200_000_000  # a database takes about this long to start


class KillEntry(Lasting):
    """SIGKILL the database's processes; healing starts them again."""

    fault: Literal["kill"]
    target: TargetField
    process: ProcessName | None = None
    """Only the processes of this name; the others live, and the node is not kept down."""


class CrashLoopEntry(Lasting):
    """Kill the database, start it, and kill it again, over and over; it ends running."""

    fault: Literal["crash-loop"]
    target: TargetField
    process: ProcessName | None = None
    """Only the processes of this name."""
    down_ns: Annotated[DurationNs, Field(alias="down")] = SECOND_NS
    """How long it is down each time; at least 200ms."""
    up_ns: Annotated[DurationNs, Field(alias="up")] = 2 * SECOND_NS
    """How long it then runs; at least 200ms."""

    @model_validator(mode="after")
    def _long_enough(self) -> CrashLoopEntry:
        if min(self.down_ns, self.up_ns) < TURN_NS_MIN:
            raise Wrong("expected `down:` and `up:` of at least 200ms", "a start takes that long")
        return self


class PauseEntry(Lasting):
    """Stop the database's processes where they are; healing lets them go on."""

    fault: Literal["pause"]
    target: TargetField
    process: ProcessName | None = None
    """Only the processes of this name."""
    how: Literal["signal", "freezer"] = "signal"
    """signal: SIGSTOP by the agent; freezer: the engine freezes the containers."""

    @model_validator(mode="after")
    def _freezer_takes_all(self) -> PauseEntry:
        if self.process is not None and self.how == "freezer":
            raise Wrong("the freezer stops whole containers, not a process", "write `how: signal`")
        return self


class SlowEntry(Lasting):
    """Less CPU: the kernel holds the database's containers back once they have used their part."""

    fault: Literal["slow"]
    target: TargetField
    cpu: Annotated[Number, Field(ge=0.01, le=64)]
    """Cores that each of the node's containers may use; 0.2 is a fifth of one."""


class RestartEntry(Instant):
    """Stop the database as an operator would and start it again; it has no duration."""

    fault: Literal["restart"]
    target: TargetField


class RollingRestartEntry(Instant):
    """Restart one target after the other, each when the one before answers again."""

    fault: Literal["rolling-restart"]
    target: TargetField = Target.parse("all")
    gap_ns: Annotated[DurationNs, Field(alias="gap")] = 0
    """How long to wait between an answer and the next restart."""


class RestartAllEntry(Instant):
    """Restart all targets at once, each in order."""

    fault: Literal["restart-all"]
    target: TargetField = Target.parse("all")


MODELS = (
    KillEntry,
    CrashLoopEntry,
    PauseEntry,
    SlowEntry,
    RestartEntry,
    RollingRestartEntry,
    RestartAllEntry,
)
