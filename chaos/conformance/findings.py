"""What a check of a system says: passed, failed, missing; and the words for what is not so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems.base import Client, Definite, System, classify


class Nonconformance(Exception):
    """A system does not do what every system must: what was expected, and what it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check came to."""

    name: str  # "client set", "failover"
    about: str  # what is checked, one sentence
    outcome: str  # passed | failed | missing (what the check is about) | absent (and need not be)
    why: str = ""  # of one that did not pass


def must(holds: object, sentence: str) -> None:
    """Nonconformance that says `sentence`, unless it holds."""
    if not holds:
        raise Nonconformance(sentence)


def same(what: str, got: Any, wanted: Any) -> None:
    """Nonconformance unless `got` is what is wanted."""
    must(got == wanted, f"{what}: expected {wanted!r}, got {got!r}")


def refused(client: Client, operation: Invocation, code: str) -> None:
    """The client must answer `operation` with the definite answer `code`."""
    asked = words(operation)
    try:
        result = client.invoke(operation)
    except Definite as answer:
        same(f"{asked}: the code of the refusal", answer.code, code)
    except Exception as error:
        raise Nonconformance(
            f"{asked}: expected Definite({code!r}), got {type(error).__name__}: {error}"
        ) from error
    else:
        raise Nonconformance(f"{asked}: expected Definite({code!r}), got {result}")


def failure(system: System, client: Client, operation: Invocation) -> tuple[bool, str]:
    """(definite, why) of an operation that cannot succeed; its error must be in the table."""
    asked = words(operation)
    try:
        result = client.invoke(operation)
    except Exception as error:
        definite, why = classify(error, system.errors)
        must(
            not why.startswith("unknown"),
            f"{asked}: no rule of `errors` is for {type(error).__name__}: {error}",
        )
        return definite, why
    raise Nonconformance(f"{asked}: expected an error, for its node is down; got {result}")


def done(client: Client, operation: Invocation) -> Result:
    """The client's answer to an operation that nothing is in the way of."""
    try:
        return client.invoke(operation)
    except Exception as error:
        raise Nonconformance(
            f"{words(operation)}: expected success, got {type(error).__name__}: {error}"
        ) from error


def words(operation: Invocation) -> str:
    """The operation, short: `cas c0 3 (expected 2)`."""
    said = [operation.f, operation.key, operation.value, operation.payload]
    expected = "" if operation.expected is None else f" (expected {operation.expected})"
    return " ".join(str(part) for part in said if part is not None) + expected


def first_sentence(check: Callable[..., object]) -> str:
    """What a check is about: its docstring's first paragraph, on one line."""
    named = check.func if isinstance(check, partial) else check
    return " ".join((named.__doc__ or "").split("\n\n")[0].split())
