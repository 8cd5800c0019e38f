"""A story: an outage that happened, retold on a real run, with predictions before each reveal."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chaos.spec.fields import ITEMS, DurationNs, Model, Name, Number, Text, Whole

Which = Literal["run", "fix"]


class Source(Model):
    """Where the facts come from."""

    title: Text
    url: Annotated[Text, Field(pattern="^https?://")]


class Fact(Model):
    """One thing the source says."""

    date: Text | None = None
    """As precise as the source gives it: 2013, 2013-05-18."""
    text: Text


class Beat(Model):
    """One sentence of the narrator, on the replay's clock."""

    at_ns: Annotated[DurationNs, Field(alias="at")]
    say: Text


class AnomalyOutcome(Model):
    """The checkers find an anomaly at least so many times."""

    kind: Literal["anomaly"]
    name: Text
    at_least: Annotated[Whole, Field(ge=1)] = 1


class LostShareOutcome(Model):
    """At least this share of the acknowledged writes is lost."""

    kind: Literal["lost_share_at_least"]
    share: Annotated[Number, Field(ge=0, le=1)]


class TwoPrimariesOutcome(Model):
    """At some moment two nodes claim to be primary."""

    kind: Literal["two_primaries"]


class AvailabilityOutcome(Model):
    """A smaller share than this of the requests succeeds."""

    kind: Literal["availability_below"]
    share: Annotated[Number, Field(ge=0, le=1)]


Outcome = Annotated[
    AnomalyOutcome | LostShareOutcome | TwoPrimariesOutcome | AvailabilityOutcome,
    Field(discriminator="kind"),
]


class Question(Model):
    """A prediction to make, with a probability, before the reveal."""

    id: Name
    ask: Text
    """Answered by yes or no."""
    about: Which
    """The run it is about: as it happened, or with the fix."""
    outcome: Outcome
    """What makes the answer yes, measured on that run."""
    explain: Text
    """Why it came out as it does; shown after the reveal."""


class Story(Model):
    """A story file."""

    name: Name
    title: Text
    year: Annotated[Whole, Field(ge=1950, le=2100)]
    source: Source
    about: Text
    facts: Annotated[tuple[Fact, ...], Field(min_length=1), ITEMS]
    experiment: Text
    """The experiment that replays it: a shipped name, or a path relative to this file."""
    fix: Text
    """A second experiment, run on the same seed."""
    compression: Text
    """What the replay shortens or leaves out, and by how much."""
    beats: Annotated[tuple[Beat, ...], Field(min_length=1), ITEMS]
    questions: Annotated[tuple[Question, ...], Field(min_length=1), ITEMS]
    reveal: Text
    """What happened, told after the predictions are locked."""
    fix_text: Text
    """What the fix does, and what it costs."""
    fidelity: Text
    """Where the replay is like the outage, and where it is not."""
