"""What this machine can do, and what is missing, each with what to do about it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from chaos import paths
from chaos.errors import AftershockError
from chaos.runtime import engine, images


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `needed`: runs on real databases cannot do without it."""

    what: str
    ok: bool
    found: str
    fix: str = ""
    needed: bool = True


DISK_BYTES_MIN = 4 << 30


def examine() -> list[Finding]:
    """Look at the engine, the images, the disk and what ships; start nothing, change nothing."""
    findings = [_disk(), _recorded()]
    try:
        client = engine.client(engine.require())
        able = engine.capabilities(client)
    except AftershockError as error:
        return [
            Finding(what="container engine", ok=False, found=error.what, fix=error.fix),
            *findings,
        ]
    said = ", ".join(f"{key} {value}" for key, value in able.items() if value not in (None, ""))
    findings.insert(0, Finding(what="container engine", ok=True, found=said))
    listed = images.list_images(client)
    missing = sorted(i.name for i in listed if i.current and i.id is None)
    findings.append(
        Finding(
            what="images",
            ok=not missing,
            needed=False,
            found=f"not built yet: {', '.join(missing)}" if missing else "all built",
            fix="`aftershock images build` (a run builds what it needs by itself)"
            if missing
            else "",
        )
    )
    return findings


def _disk() -> Finding:
    free = shutil.disk_usage(".").free
    return Finding(
        what="disk",
        ok=free >= DISK_BYTES_MIN,
        found=f"{free / 1e9:.1f} GB free here",
        fix="" if free >= DISK_BYTES_MIN else "free some; images and runs need about 4 GB",
    )


def _recorded() -> Finding:
    count = sum(1 for _ in paths.recorded().glob("*/run.json"))
    return Finding(
        what="recorded runs",
        ok=count > 0,
        needed=False,
        found=f"{count}; shown by `aftershock runs` and `aftershock dashboard` without an engine",
    )
