"""`set:` and `--set`: values put at dotted paths of a file, as if they had been written there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import BaseModel

from chaos.errors import SpecError
from chaos.spec.annotations import holds_single_values, model_at
from chaos.spec.load import Value, parse_document
from chaos.spec.problems import OPTION, SpecProblems, finding_at
from chaos.units import shown


@dataclass(frozen=True, slots=True)
class Change:
    """A value, and the dotted path of its place."""

    path: str
    value: Value


def change_of(text: str) -> Change:
    """What `--set a.b=value` says, the value read as YAML; errors show the option."""
    path, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[^.\s]+(\.[^.\s]+)*", path):
        raise SpecError(
            f"expected --set path=value, got {shown(text)}", fix="such as --set workload.rate=100/s"
        )
    return Change(path, parse_document(value if value.strip() else '""', f"{OPTION}{text}").root)


def steps_of(model: type[BaseModel], path: str) -> list[str]:
    """The steps of a dotted path in a file of that model. In a mapping of single values, as
    `settings` is one, nothing lies deeper: all that is left is one name, whatever dots it has."""
    parts = path.split(".")
    for depth in range(1, len(parts)):
        if holds_single_values(model_at(model, tuple(parts[:depth]))):
            return [*parts[:depth], ".".join(parts[depth:])]
    return parts


def override(root: Value, model: type[BaseModel], change: Change) -> None:
    """Put the value at its place, making mappings on the way; a list's items go by number."""
    steps, value = steps_of(model, change.path), change.value
    here = root
    for depth, step in enumerate(steps):
        last = depth == len(steps) - 1
        if isinstance(here.data, list):
            index = int(step) if step.isdecimal() and len(step) < 6 else -1
            if not 0 <= index < len(here.data):
                said = f"expected a number below {len(here.data)} after `{'.'.join(steps[:depth])}`"
                raise SpecProblems([finding_at(value.mark, f"{said}, got {shown(step)}")])
            if last:
                here.data[index] = Value(data=value.data, mark=value.mark)
            here = here.data[index]
            continue
        if not isinstance(here.data, dict):
            got = shown(here.plain())
            said = f"`{'.'.join(steps[:depth])}` is {got}, so nothing can be set inside it"
            raise SpecProblems([finding_at(value.key or value.mark, said)])
        if last:
            here.data[step] = Value(data=value.data, mark=value.mark, key=value.key or value.mark)
            return
        if step not in here.data:
            here.data[step] = Value(data={}, mark=value.mark, key=value.key or value.mark)
        here = here.data[step]
