"""What every system must do (`chaos.conformance`), as one function that each system's test calls.

A system declares what it speaks in `workloads`; each kind has its check in
`chaos/conformance/clients.py`. Which data must outlive a killed node is seen by the first kind of
`chaos/conformance/kept.py` that it has: set, queue or log.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaos.conformance.cluster import SpecOf
from chaos.conformance.suite import conform
from chaos.systems.base import Cluster, System


@pytest.fixture
def conformance() -> Callable[..., None]:
    """`conformance(system, spec_of, cluster)`; without a cluster, only what a client can see."""

    def check(system: System, spec_of: SpecOf, cluster: Cluster | None = None) -> None:
        findings = list(conform(system, spec_of, cluster))
        bad = [f for f in findings if f.outcome in ("failed", "missing")]
        assert not bad, "\n".join(f"{f.name}: {f.outcome}: {f.why}" for f in bad)
        assert {f.outcome for f in findings} >= {"passed"}

    return check
