"""What one MariaDB server says of itself: its role, how far it is behind, and what time it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaos.systems._common import silence
from chaos.systems._connections import Kept
from chaos.systems.base import Address, ClockReading, Observation, read_clock
from chaos.systems.mariadb.admin import replication
from chaos.systems.mariadb.wire import FAILURES, OPERATOR, NoAnswer, Session

# SYSDATE asks the clock each time. NOW would not do: while a clock that was ahead is set back, a
# connection's NOW stands still (`THD::set_system_time`).
CLOCK = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS INTEGER)"
VIEW = (
    "SELECT @@global.read_only, @@global.gtid_slave_pos, (SELECT COUNT(*)"
    " FROM information_schema.processlist WHERE command = 'Binlog Dump')"
)


class Observer:
    """Asks one node over a kept connection."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._kept = Kept(lambda: Session(address, timeout_s, OPERATOR, ""))

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            with self._kept as session:
                read_only, applied, connected = session.run(VIEW).rows[0]
                if read_only:
                    return replica(replication(session), applied)
                return Observation(role="primary", note=f"{connected} replicas connected")
        except FAILURES as error:
            return silence(error, NoAnswer)

    def clock(self) -> ClockReading | None:
        """What `SYSDATE` says, in microseconds. Never raises."""
        try:
            with self._kept as session:  # connecting is not in the time that is taken
                return read_clock(lambda: 1000 * int(session.run(CLOCK).value), 1000)
        except FAILURES:
            return None


def replica(said: Mapping[str, Any], applied: str) -> Observation:
    """What SHOW SLAVE STATUS says, as an Observation. MariaDB knows no distance in bytes, and no
    number that grows with each failover."""
    running = said.get("Slave_IO_Running"), said.get("Slave_SQL_Running")
    behind_s = said.get("Seconds_Behind_Master")
    note = None
    if running != ("Yes", "Yes"):
        why = said.get("Last_IO_Error") or said.get("Last_SQL_Error") or "it follows nobody"
        note = f"receives: {running[0]}, applies: {running[1]}: {why}"[:200]
    elif said.get("Gtid_IO_Pos") == applied:
        behind_s = 0
    return Observation(
        role="replica", lag_ms=None if behind_s is None else 1000.0 * behind_s, note=note
    )
