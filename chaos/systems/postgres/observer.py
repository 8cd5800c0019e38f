"""What one PostgreSQL server says of itself: its role, timeline and lag, and what time it is."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.systems._common import silence
from chaos.systems._connections import Kept
from chaos.systems.base import Address, ClockReading, Observation, read_clock
from chaos.systems.postgres.client import FAILURES, NoAnswer, Session

# The timeline is in the name of the segment being written; only a primary may be asked for that.
VIEW = """
SELECT pg_is_in_recovery(),
       CASE WHEN pg_is_in_recovery()
            THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver),
                          (SELECT timeline_id FROM pg_control_checkpoint()))
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
       (SELECT status = 'streaming' FROM pg_stat_wal_receiver),
       CASE WHEN pg_is_in_recovery()
            THEN (SELECT pg_wal_lsn_diff(latest_end_lsn, pg_last_wal_replay_lsn())
                  FROM pg_stat_wal_receiver) END,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000,
       (SELECT extract(epoch FROM clock_timestamp() - last_msg_receipt_time) * 1000
        FROM pg_stat_wal_receiver),
       (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming')
"""
CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
SILENT_MS = 3000.0  # a primary speaks at least every wal_receiver_timeout / 2


class Observer:
    """Asks one node over a kept connection."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._kept = Kept(lambda: Session(address, timeout_s, "aftershock observer"))

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            with self._kept as session:
                return observation(session.row(VIEW))
        except FAILURES as error:
            return silence(error, NoAnswer)

    def clock(self) -> ClockReading | None:
        """What `clock_timestamp()` says, in microseconds. Never raises."""
        try:
            with self._kept as session:  # connecting is not in the time that is taken
                return read_clock(lambda: 1000 * int(session.row(CLOCK)[0] or 0), 1000)
        except FAILURES:
            return None


def observation(row: Sequence[str | None]) -> Observation:
    """A row of VIEW as an Observation."""
    recovering, timeline, streaming, behind, replayed_ms, silent_ms, standbys = row
    term = int(timeline) if timeline else None
    if recovering == "f":
        return Observation(role="primary", term=term, note=f"{standbys} standbys streaming")
    lag_bytes = max(0, int(float(behind))) if behind else None
    heard = streaming == "t" and silent_ms is not None and float(silent_ms) < SILENT_MS
    if heard and lag_bytes == 0:
        lag_ms: float | None = 0.0
    else:  # since the newest change it has: with an idle primary, longer than it is behind
        lag_ms = float(replayed_ms) if replayed_ms else None
    note = None if heard else "it hears nothing from its primary"
    return Observation(role="replica", term=term, lag_ms=lag_ms, lag_bytes=lag_bytes, note=note)
