"""The names of broken promises: what each counts, what it rules out, where it is defined.

One table, so that the documentation, the attribution and the dashboard say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_HERLIHY_WING = "Herlihy & Wing 1990, doi:10.1145/78969.78972"
_GIBBONS_KORACH = "Gibbons & Korach 1997, doi:10.1137/S0097539794279614"
_ADYA = "Adya 1999, MIT/LCS/TR-786 (G1a)"
_JEPSEN = "jepsen.checker/set-full, https://jepsen-io.github.io/jepsen/jepsen.checker.html"


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


KINDS: tuple[Kind, ...] = (
    Kind(
        property="linearizable-register",
        name="thin-air-read",
        counts="observations (ok reads, swaps that happened) of a value nobody tried to write",
        rules_out="any memory at all",
        reference=_GIBBONS_KORACH,
    ),
    Kind(
        property="linearizable-register",
        name="aborted-read",
        counts="observations of a value whose only writer was told that it failed",
        rules_out="read committed, and all above it",
        reference=_ADYA,
    ),
    Kind(
        property="linearizable-register",
        name="future-read",
        counts="observations that ended before the write they rest on began",
        rules_out="causality, and all above it",
        reference=_GIBBONS_KORACH,
    ),
    Kind(
        property="linearizable-register",
        name="lost-update",
        counts="swaps that replaced a value which another swap had replaced: all but the first",
        rules_out="atomic compare-and-set",
        reference=_HERLIHY_WING,
    ),
    Kind(
        property="linearizable-register",
        name="stale-read",
        counts="observations of a value that had been replaced, by a write begun after that value "
        "was established and seen or completed before the observation began",
        rules_out="linearizability (regular and atomic registers)",
        reference=_GIBBONS_KORACH,
    ),
    Kind(
        property="linearizable-register",
        name="non-linearizable",
        counts="observations of a value after another one was established, though that other was "
        "observed to come later too; and swaps that replaced one another in a circle",
        rules_out="linearizability (atomic registers)",
        reference=_GIBBONS_KORACH,
    ),
    Kind(
        property="set",
        name="phantom",
        counts="values in a read that nobody tried to add, or not before that read had ended",
        rules_out="any memory at all",
        reference=_JEPSEN,
    ),
    Kind(
        property="set",
        name="duplicate",
        counts="values that one read shows more than once",
        rules_out="being a set",
        reference=_JEPSEN,
    ),
    Kind(
        property="set",
        name="lost-write",
        counts="acknowledged adds absent from every final read",
        rules_out="durability of acknowledged writes",
        reference=_JEPSEN,
        acknowledged=True,
    ),
    Kind(
        property="set",
        name="vanished",
        counts="adds never acknowledged but shown by a read, absent from every final read",
        rules_out="reads of durable data only",
        reference=_JEPSEN,
    ),
    Kind(
        property="set",
        name="resurrected",
        counts="adds that definitely failed yet were read, and unacknowledged adds that were read, "
        "missing from a later read, and read again",
        rules_out="atomic adds",
        reference=_JEPSEN,
    ),
    Kind(
        property="set",
        name="diverged",
        counts="elements that some final reads show and others, begun when it was known, lack",
        rules_out="convergence",
        reference=_JEPSEN,
    ),
    Kind(
        property="set",
        name="stale-read",
        counts="reads that lack an add acknowledged before they began, and that a later read shows",
        rules_out="linearizability of reads",
        reference=_JEPSEN,
    ),
)

BY_NAME: Mapping[tuple[str, str], Kind] = {(kind.property, kind.name): kind for kind in KINDS}
