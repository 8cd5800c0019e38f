"""What a run pays for knowing what this host can do: asked anew, and remembered."""

from __future__ import annotations

import statistics
import time

from chaos.runtime import capabilities, images
from tests.bench.support import Row, connect, row

ROUNDS = 5


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}: medians of five."""
    client = connect()
    try:
        agent = images.ensure(["agent"], client=client, progress=lambda _: None)["agent"]

        def seconds(*, fresh: bool) -> float:
            taken = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                capabilities.probe(client, agent, fresh=fresh)
                taken.append(time.perf_counter() - began)
            return statistics.median(taken)

        asked, kept = seconds(fresh=True), seconds(fresh=False)
    finally:
        client.close()
    return [
        row("what this host can do, asked", asked, "s", "< 1"),
        row("the same, remembered", kept * 1000, "ms", "< 50"),
    ]
