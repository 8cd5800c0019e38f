"""What checks say: where in the file, what, and what to do. The caller knows the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chaos import registry
from chaos.errors import SpecError
from chaos.systems.base import System

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Something wrong at `path` of a file; `key`: the key is wrong rather than its value."""

    path: Path
    message: str
    fix: str = ""
    key: bool = False
    note: bool = False  # worth saying, no error


def unknown(what: str, word: str, known: Sequence[str], path: Path, *, key: bool = False
            ) -> Complaint:  # fmt: skip
    """The complaint for a name that refers to nothing."""
    return Complaint(
        path=path,
        message=f"unknown {what} `{word}`; known: {', '.join(known) or 'none'}",
        fix=registry.did_you_mean(word, known),
        key=key,
    )


def all_known(path: Path, given: Iterable[str], kind: str, known: Iterable[str]
              ) -> Iterator[Complaint]:  # fmt: skip
    """A complaint for each name under the key at `path` that is none of the known ones."""
    names = list(known)
    for name in given:
        if name not in names:
            yield unknown(kind, name, names, (*path, name), key=True)


def load_system(name: str, path: Path = ("system",)) -> System | Complaint:
    """The system, or the complaint that says why there is none."""
    known = registry.SYSTEMS.names()
    if name not in known:
        return unknown("system", name, known, path)
    try:
        return registry.SYSTEMS.get(name)
    except SpecError as error:
        return Complaint(path=path, message=error.what, fix=error.fix)
