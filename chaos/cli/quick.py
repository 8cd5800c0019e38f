"""What makes a command answer sooner."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec


def arrow_without_pandas() -> None:
    """Import pyarrow so that it does not import pandas, which takes as long as all the rest.

    pyarrow looks for pandas once, when it first converts a list. No command needs pandas; the
    dashboard does, in a process of its own. Whoever imports pandas later still gets it.
    """
    if "pyarrow" in sys.modules or "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        import pyarrow as pa

        pa.array([0])
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not needed here", name=name)
        return None
