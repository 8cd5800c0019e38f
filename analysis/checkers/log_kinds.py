"""The names of what may be wrong with a log."""

from __future__ import annotations

from analysis.checkers.kinds import ADYA, JEPSEN_LOG, Kind

PROPERTY = "log"
_KINDS = (
    ("thin-air-poll", "messages polled that nobody sent to that log", "any memory at all"),
    (
        "aborted-read",
        "messages polled whose senders were all told that they failed",
        "read committed, and all above it",
    ),
    (
        "future-poll",
        "messages polled before anybody had begun to send them",
        "causality, and all above it",
    ),
    (
        "precommitted-read",
        "messages polled by a transaction that alone may have sent them",
        "polls of what is committed only",
    ),
    (
        "inconsistent-offsets",
        "offsets at which ok sends and polls tell of different messages",
        "one log for all",
    ),
    (
        "duplicate",
        "messages at more offsets than they may have been sent times",
        "exactly one place for each message",
    ),
    (
        "lost-write",
        "messages whose send was acknowledged and that no poll shows, though one shows a later "
        "offset; or, where no offset was told, a message sent only afterwards",
        "durability of what is acknowledged",
    ),
    (
        "vanished",
        "messages whose send was acknowledged, not among the lost, at whose offset a poll shows "
        "another one after all that tell of them there",
        "durability of what is acknowledged",
    ),
    (
        "int-nonmonotonic-poll",
        "messages polled behind one of a higher or the same offset, in one operation",
        "logs read in their order",
    ),
    (
        "int-poll-skip",
        "messages polled behind one of a lower offset, in one operation, with a message between",
        "logs read without a gap",
    ),
    (
        "nonmonotonic-poll",
        "messages polled that are no later than those of the poll before, by the same process",
        "logs read in their order",
    ),
    (
        "poll-skip",
        "messages polled before which the same process left out one since its last poll",
        "logs read without a gap",
    ),
    (
        "int-nonmonotonic-send",
        "messages sent that got a lower offset than one sent before in the same operation",
        "logs written in the order of each process",
    ),
    (
        "nonmonotonic-send",
        "messages sent that got a lower offset than the last one of their process",
        "logs written in the order of each process",
    ),
    (
        "reordered",
        "messages sent that got a lower offset than one whose send had ended before",
        "linearizability of sends",
    ),
)
KINDS = tuple(
    Kind(
        property=PROPERTY,
        name=name,
        counts=counts,
        rules_out=rules_out,
        reference=ADYA if name == "aborted-read" else JEPSEN_LOG,
        acknowledged=name in ("lost-write", "vanished"),
    )
    for name, counts, rules_out in _KINDS
)
