"""Makes the certificate of a verdict: what the checker claims, bound to one history.

The format is in docs/certificates.md; `analysis.proof` re-checks it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from analysis.checkers.base import CheckResult, Verdict
from analysis.proof.source import fingerprint
from chaos.record import rundir
from chaos.record.reader import RunData

VERSION = 1


def folder_of(run: RunData, chosen: Path | None) -> Path:
    """Where certificates of this history are: in its run directory, else below `chosen` (default:
    `proofs` in the current folder) by the history's fingerprint, so that it may be renamed.
    """
    if chosen is None and (run.path / rundir.RUN_JSON).is_file():
        return run.path / rundir.PROOFS
    return (chosen or Path(rundir.PROOFS)) / fingerprint(run.path)[:16]


def make(result: CheckResult, run: RunData) -> bytes | None:
    """The certificate of `result` as JSON; None when nothing is claimed (an unknown verdict)."""
    if result.verdict is Verdict.UNKNOWN:
        return None
    if result.verdict is Verdict.VALID:
        claims = [result.claim]
    else:
        claims = [anomaly.claim for anomaly in result.anomalies]
    claims = [claim for claim in claims if claim is not None]
    if not claims:
        return None
    body: dict[str, Any] = {
        "certificate": VERSION,
        "property": result.property,
        "verdict": str(result.verdict),
        "history": {"operations": run.history.num_rows, "sha256": fingerprint(run.path)},
        "initial": run.meta["imported"].get("initial"),
        "claims": claims,
    }
    text = canonical(body)
    digest = hashlib.sha256(text).hexdigest()
    return text[:-1] + b',"digest":"' + digest.encode() + b'"}\n'


def canonical(body: Any) -> bytes:
    """What is digested: JSON with sorted keys and without spaces, in UTF-8; arrays are lists."""
    mark, lists = secrets.token_hex(16), list[bytes]()

    def shown(array: npt.NDArray[Any]) -> Any:
        # Fractions are written in more than one way, and what is small need not be fast.
        if array.dtype.kind not in "iu" or array.ndim != 1 or not array.dtype.isnative:
            return array.tolist()
        lists.append(orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY))
        return mark

    text = json.dumps(
        body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=shown
    ).encode("utf-8", "surrogatepass")
    if not lists:
        return text
    between = text.split(f'"{mark}"'.encode())
    return b"".join(part for pair in zip(between, [*lists, b""], strict=True) for part in pair)


def write(result: CheckResult, run: RunData, folder: Path) -> Path | None:
    """Put the certificate of `result` into `folder`; its path, None when there is none.

    A certificate of the same property that stood there is replaced, or removed when there is
    none now: what stands in the folder is always of the last verdict.
    """
    path = folder / f"{result.property}.json"
    text = make(result, run)
    if text is None:
        path.unlink(missing_ok=True)
        return None
    folder.mkdir(parents=True, exist_ok=True)
    # A name of its own: another check of the same history may be writing here too.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path
