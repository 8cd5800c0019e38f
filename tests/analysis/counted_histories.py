"""Small histories of the properties that are decided by counting, judged and verified at once."""

from __future__ import annotations

from analysis.checkers import CHECKERS
from analysis.checkers.base import Context, Meter, run_checker
from analysis.proof.verify import digest, verify
from tests.truth import proofs
from tests.truth.rows import Row, history, table

__all__ = ["Row", "counts", "judged"]


def judged(name, rows, *, initial=None, final_ns=None, enough=1, linearizable=False):
    """What the checker says; a certificate of it that the verifier refuses is an error."""
    context = Context(
        initial=initial,
        final_ns=final_ns,
        enough=enough,
        linearizable=linearizable,
        meter=Meter(1000),
    )
    result = run_checker(name, CHECKERS, history(rows), context)
    assert "the checker failed" not in result.why, (result.why, rows)
    if result.verdict != "unknown":
        certificate = proofs.of(result, rows, initial)
        signed = {**certificate, "digest": digest(certificate)}
        began = final_ns[0] if final_ns else None
        verify(signed, table(rows), proofs.SHA256, initial=initial, final_ns=began)
    return result


def counts(result):
    """Anomalies by name."""
    assert all(anomaly.argument and len(anomaly.instances) for anomaly in result.anomalies)
    return {anomaly.name: anomaly.count for anomaly in result.anomalies}
