"""One file per property, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.checkers import register
from analysis.checkers import set as set_checker
from analysis.checkers.base import Checker

CHECKERS: Mapping[str, Checker] = {
    register.PROPERTY: register.check,
    set_checker.PROPERTY: set_checker.check,
}
