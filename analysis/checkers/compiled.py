"""Plain loops over arrays, compiled by numba where that pays: the only file that knows numba.

A *kernel* is an ordinary function of arrays and integers, annotated with the names in `_TYPES`; of
ours it calls only functions of its own file. `compiled(kernel, operations)` is its machine code, or
None: then the caller goes its other way. Importing numba costs 0.3 s, and compiling a kernel about
as much, so

- what this process has loaded is used from `LOADED_FROM` operations on;
- what an earlier process left in the cache, from `CACHED_FROM` (`IMPORTED_FROM` if numba is
  imported anyway);
- what was never compiled here, from `COLD_FROM`: reading so many takes longer than compiling.

The cache is in `$NUMBA_CACHE_DIR`, or else in the user's cache directory: not beside the code,
which may be read-only, and never where others can write, because code is loaded from it. Where it
cannot be written there is none, and `COLD_FROM` holds always. Whatever fails, the caller goes its
other way.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import os
import platform
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

LOADED_FROM = 5_000
IMPORTED_FROM = 50_000
CACHED_FROM = 400_000
COLD_FROM = 1_000_000

Bytes: TypeAlias = npt.NDArray[np.int8]
Scratch: TypeAlias = npt.NDArray[np.int64]  # an array that the kernel may change
Marks: TypeAlias = npt.NDArray[np.int32]  # the same, with smaller cells

_TYPES = {  # annotation → (numba's name of the cell, may it be changed); None: a plain integer
    "Ints": ("int64", False),
    "Codes": ("int32", False),
    "Bytes": ("int8", False),
    "Mask": ("boolean", False),
    "Scratch": ("int64", True),
    "Marks": ("int32", True),
    "int": None,
}
P = ParamSpec("P")
R = TypeVar("R")

_called: set[Callable[..., Any]] = set()  # functions that kernels may call
_loaded: dict[Callable[..., Any], Callable[..., Any] | None] = {}  # None: it could not be compiled


def compiled(kernel: Callable[P, R], operations: int) -> Callable[P, R] | None:
    """Machine code of `kernel` if it pays for that many operations, else None. Never raises.

    Arrays must be contiguous; those that the kernel only reads may be read-only.
    """
    if operations < LOADED_FROM:
        return None
    if kernel not in _loaded:
        if operations < _least(kernel):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _loaded[kernel] = _load(kernel)
    return cast("Callable[P, R] | None", _loaded[kernel])


def _least(kernel: Callable[..., Any]) -> int:
    """From how many operations on it pays to load this kernel."""
    if not _is_cached(kernel):
        return COLD_FROM
    return IMPORTED_FROM if "numba" in sys.modules else CACHED_FROM


def _load(kernel: Callable[..., Any]) -> Callable[..., Any] | None:
    """Compile, or take from the cache; None when there is no numba, or it does not work here."""
    try:
        numba: Any = importlib.import_module("numba")
        if numba.config.DISABLE_JIT:
            return None
        signature = _signature(kernel, numba.types)
        _allow_calls(kernel, importlib.import_module("numba.extending").register_jitable)
    except Exception:  # a broken installation shows in many ways
        return None
    before = numba.config.CACHE_DIR
    for folder in (_folder(kernel), None):
        try:
            numba.config.CACHE_DIR = str(folder or before)
            return cast(
                "Callable[..., Any]", numba.njit([signature], cache=folder is not None)(kernel)
            )
        except Exception:  # the cache is read-only, full or damaged: once more without it
            continue
        finally:
            numba.config.CACHE_DIR = before
    return None


def _allow_calls(kernel: Callable[..., Any], register: Callable[..., Any]) -> None:
    """Let a kernel call the functions of its file that it names, and these the same."""
    for name in kernel.__code__.co_names:
        called = kernel.__globals__.get(name)
        if not inspect.isfunction(called) or called.__module__ != kernel.__module__:
            continue
        if called not in _called:
            _called.add(called)
            register(called)
            _allow_calls(called, register)


def _signature(kernel: Callable[..., Any], types: Any) -> tuple[Any, ...]:
    """The kernel's arguments as numba types, from its annotations."""
    arguments = []
    for parameter in inspect.signature(kernel).parameters.values():
        known = _TYPES[str(parameter.annotation)]
        if known is None:
            arguments.append(types.int64)
        else:
            cell, changed = known
            arguments.append(types.Array(getattr(types, cell), 1, "C", readonly=not changed))
    return tuple(arguments)


def _is_cached(kernel: Callable[..., Any]) -> bool:
    folder = _folder(kernel)
    try:
        return folder is not None and any(folder.glob(f"*/*.{kernel.__name__}-*.nbi"))
    except OSError:
        return False


@cache
def _folder(kernel: Callable[..., Any]) -> Path | None:
    """Where machine code of this version of this kernel is kept; None: nowhere."""
    try:
        base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
        root = Path(base) if base else Path.home() / ".cache"
        parts = [
            importlib.metadata.version("numba"),
            sys.implementation.cache_tag,
            platform.machine(),
            Path(kernel.__code__.co_filename).read_text(encoding="utf-8"),
        ]
        stamp = hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]
        folder = root / "aftershock" / f"kernels-{stamp}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = folder.stat().st_uid == os.getuid()
        return folder if mine and os.access(folder, os.W_OK) else None
    except (OSError, RuntimeError, importlib.metadata.PackageNotFoundError):
        return None
