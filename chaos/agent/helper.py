"""What a helper container runs: short errands on the engine's host. Standard library only.

It speaks as the agent does (chaos/agent/agent.py), one JSON object a line. At the end of input it
undoes what it did and ends, and its container goes with it.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any

from chaos.agent.cold import Damage
from chaos.agent.disks import Disks as Places
from chaos.agent.loops import Disks
from chaos.agent.throttle import Throttle


def serve() -> None:
    """Answer until the end of input."""
    parts = (Disks(), Throttle(), Damage(Places()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        for line in sys.stdin:
            request: dict[str, Any] = json.loads(line)
            try:
                if request["do"] == "beat":
                    answer: dict[str, Any] = {}
                else:
                    do = next(d for p in parts if (d := getattr(p, f"do_{request['do']}", None)))
                    answer = do(request) or {}
                answer.update(ok=True, t_ns=time.monotonic_ns())
            except Exception as error:
                answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            sys.stdout.write(json.dumps({"id": request["id"], **answer}) + "\n")
            sys.stdout.flush()
    finally:
        for part in parts:
            part.heal()


if __name__ == "__main__":
    serve()
