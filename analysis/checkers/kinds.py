"""What the name of a broken promise means: what it counts, what it rules out, who defined it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HERLIHY_WING = "Herlihy & Wing 1990, doi:10.1145/78969.78972"
GIBBONS_KORACH = "Gibbons & Korach 1997, doi:10.1137/S0097539794279614"
HENZINGER = "Henzinger, Sezgin & Vafeiadis 2013, doi:10.1007/978-3-642-40184-8_18"
EMMI_ENEA = "Emmi & Enea 2018, doi:10.1145/3158113"
ADYA = "Adya 1999, MIT/LCS/TR-786 (G1a)"
JEPSEN = "jepsen.checker/set-full, https://jepsen-io.github.io/jepsen/jepsen.checker.html"
JEPSEN_QUEUE = "jepsen.checker/total-queue, https://jepsen-io.github.io/jepsen/jepsen.checker.html"
JEPSEN_IDS = "jepsen.checker/unique-ids, https://jepsen-io.github.io/jepsen/jepsen.checker.html"
JEPSEN_COUNTER = "jepsen.checker/counter, https://jepsen-io.github.io/jepsen/jepsen.checker.html"
JEPSEN_BANK = "jepsen.tests.bank, https://jepsen-io.github.io/jepsen/jepsen.tests.bank.html"
JEPSEN_LOG = "jepsen.tests.kafka, https://jepsen-io.github.io/jepsen/jepsen.tests.kafka.html"
LONG_FORK = "Sovran et al. 2011, doi:10.1145/2043556.2043592 (long fork)"
SRE = "Beyer et al. 2016, Site Reliability Engineering, ch. 4 (service level objectives)"
TERRY = "Terry et al. 1994, doi:10.1109/PDIS.1994.331722"
DIJKSTRA = "Dijkstra 1965, doi:10.1145/365559.365617"
BURROWS = "Burrows 2006, The Chubby lock service, OSDI '06 (sequencers)"
VOGELS = "Vogels 2009, doi:10.1145/1435417.1435432"
KLEPPMANN = (
    "Kleppmann 2025, keynote at PaPoC, "
    "https://martin.kleppmann.com/2025/03/31/papoc-keynote-byzantine.html"
)
ERA = "ERA 2026, arXiv:2601.22963 (revocations, roll-backs, an arbiter of epochs)"
GOLAB = "Golab, Li & Shah 2011, doi:10.1145/1993806.1993834"


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


def alike(
    property_: str, words: Iterable[tuple[str, str, str]], *, reference: str, acknowledged: str
) -> tuple[Kind, ...]:
    """Anomalies of a property that one source defines, each told by its name, what it counts and
    what it rules out; that of the name `acknowledged` dates from the answer."""
    return tuple(
        Kind(
            property=property_,
            name=name,
            counts=counts,
            rules_out=rules_out,
            reference=reference,
            acknowledged=name == acknowledged,
        )
        for name, counts, rules_out in words
    )
