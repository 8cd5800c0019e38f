"""What the name of a broken promise means: what it counts, what it rules out, who defined it."""

from __future__ import annotations

from dataclasses import dataclass

HERLIHY_WING = "Herlihy & Wing 1990, doi:10.1145/78969.78972"
GIBBONS_KORACH = "Gibbons & Korach 1997, doi:10.1137/S0097539794279614"
ADYA = "Adya 1999, MIT/LCS/TR-786 (G1a)"
JEPSEN = "jepsen.checker/set-full, https://jepsen-io.github.io/jepsen/jepsen.checker.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One named anomaly of one property. `acknowledged`: it dates from when the client was told
    ok (a lost write); otherwise from the whole time that its operation ran.
    """

    property: str
    name: str
    counts: str
    rules_out: str
    reference: str
    acknowledged: bool = False
