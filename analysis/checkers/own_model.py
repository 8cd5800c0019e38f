"""A model of the user's own as a property: `aftershock check --model FILE.py:NAME`.

Only a file that the user names is ever executed, never one that a history or certificate names.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Hashable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from analysis.checkers.base import Checker, CheckResult, Context, Verdict
from analysis.checkers.calls import hints_of, read_calls
from analysis.checkers.models import Model, Op
from analysis.checkers.searched import Question
from analysis.history import OK, History
from chaos.errors import UsageError

EXAMPLE = "aftershock check history.edn --model model.py:Semaphore"


class Failed(Exception):
    """A model raised, or returned what is no state; `args[0]` says why, `op` and `state` where."""

    def __init__(self, why: str, op: Op, state: Hashable) -> None:
        super().__init__(why)
        self.op = op
        self.state = state


class OwnModel:
    """A user's model whose failures say at which operation; hints are passed through."""

    def __init__(self, model: Model, name: str) -> None:
        self.initial = model.initial
        self.name = name  # in claims: "model.py:Semaphore"
        self._model = model

    @property
    def property(self) -> str:
        """What the property is called: the model's name in its file."""
        return self.name.rpartition(":")[2]

    def __getattr__(self, hint: str) -> Any:
        if hint.startswith("_"):
            raise AttributeError(hint)
        return getattr(self._model, hint)

    def step(self, state: Hashable, op: Op) -> Hashable | None:
        """As the model says. Failed when it raises, or returns what cannot be hashed."""
        try:
            after = self._model.step(state, op)
            hash(after)
        except Exception as error:
            raise Failed(_told(error), op, state) from error
        return after


def load(named: str) -> OwnModel:
    """The model `FILE.py:NAME`: an object with `initial` and `step`, or a class that makes one.

    UsageError when there is none, or it is none.
    """
    file, _, name = named.rpartition(":")
    path = Path(file)
    if not file or not name.isidentifier():
        raise UsageError(f"expected --model FILE.py:NAME, got {named!r}", fix=EXAMPLE)
    if not path.is_file():
        raise UsageError(f"expected a model in {file}, but there is no such file", fix=EXAMPLE)
    module = _module(path)
    if not hasattr(module, name):
        models = [each for each, what in vars(module).items() if callable(getattr(what, "step", 0))]
        there = (
            f"the models in it: {', '.join(models)}" if models else "it has no class with a step"
        )
        raise UsageError(f"expected a model {name} in {file}, which has none of that name; {there}")
    found = getattr(module, name)
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise UsageError(f"{named} could not be made: {_told(error)}") from error
    return own(found, f"{path.name}:{name}")


def own(model: Any, name: str) -> OwnModel:
    """An object as a model; UsageError when it lacks what a model needs."""
    if not callable(getattr(model, "step", None)):
        raise UsageError(f"expected {name} to have a method step(state, op)")
    if getattr(model, "initial", None) is None:
        raise UsageError(f"expected {name} to have an initial state that is not None: `initial`")
    try:
        hash(model.initial)
    except TypeError as error:
        raise UsageError(
            f"expected the initial state of {name} to be hashable, got {error}",
            fix="states are tuples, frozensets, numbers, texts: nothing that can be changed",
        ) from None
    return OwnModel(model, name)


def checker(model: OwnModel) -> Checker:
    """Decides whether every key of a history behaves like `model`, whatever its operations."""

    def check(history: History, context: Context) -> CheckResult:
        """Every key behaves like the model."""
        rows = np.arange(len(history))
        ask = Question(
            property=model.property,
            model=model.name,
            history=history,
            context=context,
            rows=rows,
            nameless=f"the {model.property}",
        )
        acknowledged = bool(np.any(history.type == OK))
        try:
            return ask.answer(model, unseen="" if acknowledged else "nothing was acknowledged")
        except Failed as failed:
            return ask.told(Verdict.UNKNOWN, _where(history, model, failed))

    return check


def _where(history: History, model: OwnModel, failed: Failed) -> str:
    """Which operation the model failed at, and how."""
    calls = read_calls(history, np.arange(len(history)), hints_of(model))
    told = repr(failed.op)
    row = next((r for r, op in zip(calls.rows, calls.ops, strict=True) if repr(op) == told), None)
    at = "an operation" if row is None else f"operation {row}"
    op = failed.op
    what = f"{op.f} of {op.value!r} by process {op.process}, in the state {failed.state!r}"
    return f"the model {model.name} failed at {at} ({what}): {failed}"


def _module(path: Path) -> ModuleType:
    """The file as a module of its own; UsageError when it cannot be executed."""
    spec = importlib.util.spec_from_file_location(f"aftershock_model_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"expected a Python file, got {path}", fix=EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{path} could not be read: {_told(error)}") from error
    return module


def _told(error: BaseException) -> str:
    """An exception in a line, with the place in the user's file that it comes from."""
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return what
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).resolve()
    theirs = [f for f in frames if f.filename[:1] != "<" and Path(f.filename).resolve() != ours]
    return f"{what} ({Path(theirs[-1].filename).name}:{theirs[-1].lineno})" if theirs else what
