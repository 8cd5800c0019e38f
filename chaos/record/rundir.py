"""Where the parts of a run directory are, and its `run.json`.

    runs/<experiment>/<UTC time>-<seed>/
      run.json          how it was made: spec, seed, versions, host, phases; see `new_run_json`
      journal.jsonl     every fault, written before it is injected (docs/run-directory.md)
      history.parquet   operations            (while the run goes on: segments/*.arrows)
      faults.parquet    faults and steps      (made from the journal when the run ends)
      samples.parquet   what the nodes claim  (while the run goes on: segments/samples.arrows)
      logs/<node>.log   results.json  proofs/
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from chaos.errors import RecordError

RUN_JSON = "run.json"
JOURNAL = "journal.jsonl"
HISTORY = "history.parquet"
FAULTS = "faults.parquet"
SAMPLES = "samples.parquet"
RESULTS = "results.json"
SEGMENTS = "segments"
LOGS = "logs"
PROOFS = "proofs"


def write_json(path: Path, data: Any) -> None:
    """Replace `path` by `data` as JSON, all or nothing, and on disk when this returns."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as out:
        json.dump(data, out, indent=1, ensure_ascii=False)
        out.write("\n")
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; RecordError when it is missing, cut off or something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"expected a file {path.name} in {path.parent}, found none") from None
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise RecordError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(data, dict):
        raise RecordError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data
