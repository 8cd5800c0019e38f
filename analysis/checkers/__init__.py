"""One file per property, and the registry of them.

A checker's module has `PROPERTY`, `check` (the docstring's first line is what `aftershock list
properties` says) and `KINDS`, the names of the anomalies that it can find.
"""

from __future__ import annotations

from collections.abc import Mapping

from analysis.checkers import (
    bank,
    cas_register,
    convergence,
    counter,
    kv_append,
    linearizable_counter,
    linearizable_lock,
    linearizable_queue,
    linearizable_set,
    linearizable_stack,
    list_append,
    lock,
    long_fork,
    register,
    sequential,
    session_guarantees,
    set_full,
    staleness,
    total_queue,
    unique_ids,
)
from analysis.checkers import set as set_checker
from analysis.checkers.base import Checker
from analysis.checkers.kinds import Kind

MODULES = (
    register,
    cas_register,
    kv_append,
    linearizable_set,
    linearizable_queue,
    linearizable_stack,
    linearizable_counter,
    linearizable_lock,
    sequential,
    set_checker,
    set_full,
    total_queue,
    unique_ids,
    counter,
    lock,
    convergence,
    staleness,
    bank,
    session_guarantees,
    long_fork,
    list_append,
)
CHECKERS: Mapping[str, Checker] = {module.PROPERTY: module.check for module in MODULES}
KINDS: tuple[Kind, ...] = tuple(kind for module in MODULES for kind in module.KINDS)
