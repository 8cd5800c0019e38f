"""A plan of the system in memory, played by real client processes from its start to its final."""

from __future__ import annotations

import time

from chaos.load.plan import LoadPlan
from chaos.load.pool import LoadPool
from chaos.record.reader import RunData, open_run
from chaos.record.writer import RunWriter


def played(writer: RunWriter, plan: LoadPlan, seconds: float = 0.7) -> RunData:
    """The run that `writer` writes, with a load of so many seconds."""
    with LoadPool(plan) as pool:
        pool.wait_ready(30)
        pool.start(time.monotonic_ns())
        time.sleep(seconds)
        pool.stop(10)
        pool.final(10)
        pool.quit()
    writer.finish("done")
    return open_run(writer.path)
