"""What the names of docs/transactions.md count and rule out."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.checkers.kinds import Kind

ADYA = "Adya 1999, MIT/LCS/TR-786"
ELLE = "Kingsbury & Alvaro 2020, doi:10.14778/3430915.3430918"
CERONE = "Cerone & Gotsman 2018, doi:10.1145/3152396"
BAILIS = "Bailis et al. 2014, doi:10.1145/2588555.2588562"
BERENSON = "Berenson et al. 1995, doi:10.1145/223784.223785"
SOVRAN = "Sovran et al. 2011, doi:10.1145/2043556.2043592"

_FLAWS = (  # name, what is counted, rules out, reference
    ("thin-air-read", "reads that show a value that nobody wrote to that key", "everything", ELLE),
    ("future-read", "reads of what the transaction itself wrote only later", "everything", ELLE),
    ("duplicate-elements", "reads that show an element more than once", "everything", ELLE),
    (
        "incompatible-order",
        "reads that are no beginning of the longest of their key, and no longer one's; or that "
        "show an element, but not in front of it what the same transaction had appended before",
        "everything",
        ELLE,
    ),
    (
        "G1a",
        "reads that show a value which only transactions wrote that failed",
        "read committed, and all above it",
        ADYA,
    ),
    (
        "G1b",
        "reads of a version that its writer wrote over in the same transaction",
        "read committed, and all above it",
        ADYA,
    ),
    (
        "internal",
        "reads that contradict what the transaction had read or written of the key before",
        "read atomic, and all above it",
        CERONE,
    ),
)
_FORMS = (
    (
        "fractured-read",
        "reads of one transaction's write whose reader read an older version of something else "
        "that it wrote",
        "read atomic, and all above it",
        BAILIS,
    ),
    (
        "lost-update",
        "transactions that wrote a key of which they had read a version that another one had "
        "read, and replaced, too",
        "parallel snapshot isolation, and all above it",
        BERENSON,
    ),
    (
        "long-fork",
        "pairs of readers that saw two writes in opposite orders, among the shortest G-nonadjacent",
        "snapshot isolation, and all above it",
        SOVRAN,
    ),
    (
        "write-skew",
        "rw dependencies between two transactions each of which read what the other wrote over",
        "serializable, and all above it",
        BERENSON,
    ),
)
_CYCLES = (  # name, the edge that closes one, what it counts, rules out: as such, in sessions
    ("G0", "ww", "of ww alone", "read uncommitted", "causal"),
    ("G1c", "wr", "of ww and wr", "read committed", "causal"),
    (
        "G-single",
        "rw",
        "of ww, wr and just this rw",
        "parallel snapshot isolation",
        "strong session snapshot isolation",
    ),
    (
        "G-nonadjacent",
        "rw",
        "with rw more than once, never one right after another",
        "snapshot isolation",
        "strong session snapshot isolation",
    ),
    ("G2-item", "rw", "with rw", "serializable", "strict serializable"),
)


def flaw_kinds(prop: str, *, lists: bool) -> Iterator[Kind]:
    """Impossible reads; some are only of lists."""
    for name, counts, out, reference in _FLAWS:
        if lists or name not in ("duplicate-elements", "incompatible-order"):
            yield Kind(property=prop, name=name, counts=counts, rules_out=out, reference=reference)


def form_kinds(prop: str) -> Iterator[Kind]:
    """Special forms of cycles."""
    for name, counts, out, reference in _FORMS:
        yield Kind(property=prop, name=name, counts=counts, rules_out=out, reference=reference)


def cycle_kinds(prop: str) -> Iterator[Kind]:
    """Cycles, without and with the order of sessions and real time."""
    for name, edge, what, out, out_in_sessions in _CYCLES:
        counts = f"{edge} dependencies that close a cycle {what}, and none of a weaker kind"
        reference = CERONE if name == "G-nonadjacent" else ADYA
        for suffix, more, ruled in (
            ("", "", out),
            ("-process", "; it needs the order of sessions", out_in_sessions),
            ("-realtime", "; it needs real time", "strict serializable"),
        ):
            above = "" if ruled == "strict serializable" else ", and all above it"
            yield Kind(
                property=prop,
                name=name + suffix,
                counts=counts + more,
                rules_out=f"{ruled}{above}",
                reference=reference,
            )
