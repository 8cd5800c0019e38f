"""The names of broken promises, of all checkers: what each counts and rules out.

One place, so that the documentation, the attribution and the dashboard say the same.
"""

from __future__ import annotations

from analysis.checkers import CHECKERS, kinds_of
from analysis.checkers.kinds import Kind


def kind_of(property_: str, name: str) -> Kind | None:
    """The anomaly of that name that a property's checker can find."""
    return next((kind for kind in kinds_of(property_) if kind.name == name), None)


def every_kind() -> tuple[Kind, ...]:
    """All of all properties, by property, weakest first."""
    return tuple(kind for property_ in CHECKERS for kind in kinds_of(property_))
