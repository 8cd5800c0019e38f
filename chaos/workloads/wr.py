"""Write-read: transactions that write registers blindly and read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaos.workloads.micro import MODELS, Micro


class WriteRead(Micro):
    """See `chaos.workloads.base.Workload`."""

    name = "wr"
    about = "Transactions of blind writes to registers and reads of them."
    operations: Mapping[str, str] = {
        "w": "write a value that nobody else writes",
        "r": "read a register",
    }
    default_mix: Mapping[str, float] = {"w": 1, "r": 1}
    properties: Sequence[str] = ("rw-register", *MODELS)


WORKLOAD = WriteRead()
