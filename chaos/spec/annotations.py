"""What a model says of the place at a path: the annotation that governs what stands there."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any

from pydantic import BaseModel

from chaos.spec.entries import ENTRIES

Path = tuple[str | int, ...]


def model_at(model: Any, path: Path) -> Any:
    """The annotation that governs what stands at `path` of a `model`."""
    here: Any = model
    for step in path:
        here = _below(_bare(here), step)
    return _bare(here)


def holds_single_values(annotation: Any) -> bool:
    """Whether that is a mapping whose values are neither mappings nor lists, as `settings:` is."""
    return typing.get_origin(annotation) is dict and _is_single(typing.get_args(annotation)[1])


def _bare(annotation: Any) -> Any:
    """The annotation without Annotated and without `| None`."""
    while typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    if _is_union(annotation):
        members = [m for m in typing.get_args(annotation) if m is not type(None)]
        if len(members) == 1:
            return _bare(members[0])
    return annotation


def _below(annotation: Any, step: str | int) -> Any:
    """One step down: a field, a mapping's values, a list's items, or the member a tag names."""
    if _is_model(annotation):
        for name, field in annotation.model_fields.items():
            if step in (field.alias, name):
                return field.annotation
        return None
    members = typing.get_args(annotation)
    if _is_union(annotation):
        if step in ENTRIES:
            return ENTRIES[str(step)]
        tagged = [m for m in map(_bare, members) if _tag_of(m) == step]
        return tagged[0] if tagged else None
    if typing.get_origin(annotation) is dict:
        return members[1]
    if typing.get_origin(annotation) is tuple:
        index = step if isinstance(step, int) and len(members) > step else 0
        return members[index]
    return None


def _is_single(annotation: Any) -> bool:
    here = _bare(annotation)
    if _is_union(here):
        return all(_is_single(member) for member in typing.get_args(here))
    return not _is_model(here) and typing.get_origin(here) not in (dict, tuple, list)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _tag_of(member: Any) -> str | None:
    """The `kind` a story's outcome model stands for."""
    field = getattr(member, "model_fields", {}).get("kind")
    return typing.get_args(field.annotation)[0] if field else None
