"""What one MinIO node says of itself and of the drives of its cluster.

Every node is alike. One that reaches as many drives as a write needs is a `member`; one that
reaches fewer is a `candidate`: it is up, and takes no writes. To say so a node asks the others, so
that one which waits for another that is cut off is not heard of (`unknown`) until it gives that one
up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chaos.systems._common import silence
from chaos.systems._connections import Kept
from chaos.systems.base import Address, ClockReading, NotConnected, Observation, read_clock
from chaos.systems.objectstore.wire import FAILURES, Admin, knock

STORAGE = "/minio/admin/v3/storageinfo"


def quorum(said: Mapping[str, Any]) -> int:
    """How many drives a write needs, by a node's own storage information."""
    data, parity = said["Backend"]["StandardSCData"][0], said["Backend"]["StandardSCParity"]
    return int(data) + int(data == parity)


def online(said: Mapping[str, Any]) -> int:
    """How many drives it reaches."""
    return sum(drive["state"] == "ok" for drive in said["Disks"])


def whole(said: Mapping[str, Any]) -> bool:
    """Whether it reaches all drives, and none is being filled again."""
    drives: Sequence[Mapping[str, Any]] = said["Disks"]
    return online(said) == len(drives) and not any(drive.get("healing") for drive in drives)


def observation(said: Mapping[str, Any], site: str) -> Observation:
    """A node's storage information as an Observation; `site`: in which of two, "" of one."""
    there, needed, of = online(said), quorum(said), len(said["Disks"])
    healing = sum(bool(drive.get("healing")) for drive in said["Disks"])
    note = f"{there} of {of} drives online, a write needs {needed}"
    if healing:
        note += f", {healing} being filled"
    return Observation(
        role="member" if there >= needed else "candidate", note=f"{site}: {note}" if site else note
    )


class Observer:
    """Asks one node over a kept connection."""

    def __init__(self, address: Address, timeout_s: float, site: str) -> None:
        self._site = site
        self._kept = Kept(lambda: Admin(address, timeout_s))

    def observe(self) -> Observation:
        """Never raises: no answer is an answer too."""
        try:
            with self._kept as admin:
                said = admin.get(STORAGE)
        except (*FAILURES, ValueError) as error:
            seen = silence(error)
            refused = str(error).startswith("status ")
            return dataclasses.replace(seen, role="candidate") if refused else seen
        return observation(said, self._site)


def clock(address: Address, timeout_s: float) -> Callable[[], ClockReading | None]:
    """Asks one node for its time: it calls each request by the time, in ns, when it came."""

    def asked() -> ClockReading | None:
        try:
            return read_clock(lambda: int(knock(address, timeout_s), 16))
        except (NotConnected, ValueError):
            return None

    return asked
