"""Append: transactions that append to lists and read them, from which isolation is judged.

A list that is read shows the order in which it was written, so that dependencies between
transactions are known for certain (Kingsbury and Alvaro, *Elle*, VLDB 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaos.workloads.base import Option
from chaos.workloads.micro import LENGTH, MODELS, Micro


class Append(Micro):
    """See `chaos.workloads.base.Workload`."""

    name = "append"
    about = "Transactions of appends to lists and reads of them."
    operations: Mapping[str, str] = {
        "append": "put an element that nobody else puts there at the end of a list",
        "r": "read a whole list",
    }
    default_mix: Mapping[str, float] = {"append": 1, "r": 1}
    properties: Sequence[str] = ("list-append", *MODELS)
    options: Mapping[str, Option] = {
        "length": LENGTH,
        "lifetime": Option(
            about="after about so many appends a key is left and the next takes its place",
            default=50,
        ),
    }


WORKLOAD = Append()
