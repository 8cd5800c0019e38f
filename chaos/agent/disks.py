"""The node's data directories, and what can go wrong with a disk. Standard library only.

The agent lives in a mount namespace of its own: it reaches the data through a database process,
below /proc/PID/root, and only while one runs. It keeps nothing open in there but what fills a disk:
a filesystem that somebody has open is not unmounted, and a power loss must unmount it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chaos.agent.loops import NOLOGFLUSH, SHUTDOWN
from chaos.agent.proc import each
from chaos.agent.processes import Processes

CAP_SYS_ADMIN = 21
HIDDEN = ".aftershock"  # our own folder in a data directory
KEPT = "kept"  # the synced witness in it
PAGE = 4096
TRY_BYTES = 64 * 1024
WRITTEN_BYTES_MAX = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A data directory, open as `handle`; `device` is None on an ordinary volume."""

    folder: str
    device: str | None
    volume: str  # the engine's name of it, as far as the kernel knows
    handle: int

    @property
    def name(self) -> str:
        """As a probe's record shows it: "/var/lib/redis on loop8"."""
        return f"{self.folder} on {os.path.basename(self.device or self.volume)}"


@dataclass(slots=True)
class Fill:
    """A file without a name that takes the space; it goes with the handle, and with the agent."""

    device: str
    handle: int
    leave_bytes: int

    def top_up(self) -> None:
        """Take what is free, but for `leave_bytes`."""
        size = os.fstat(self.handle).st_size
        chunk = self._room()
        while chunk >= PAGE:
            try:
                os.posix_fallocate(self.handle, size, chunk)
                size, chunk = size + chunk, self._room()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size = os.fstat(self.handle).st_size  # some of it may have been had
                chunk = min(chunk // 2, self._room()) // PAGE * PAGE

    def _room(self) -> int:
        return max(0, free_bytes(self.handle) - self.leave_bytes) // PAGE * PAGE


class Disks:
    """Fills, power losses and witnesses on the node's data directories."""

    def __init__(self) -> None:
        self._places: list[dict[str, Any]] = []
        self._devices: list[int] = []  # kept open, so that the kernel does not free them
        self._fills: dict[str, list[Fill]] = {}  # by fault
        self._held: dict[str, contextlib.ExitStack] = {}  # by fault: what closes its open places
        self._held_places: dict[str, list[Place]] = {}
        self._token = secrets.token_bytes(32)

    def do_disks(self, request: dict[str, Any]) -> None:
        """Learn where the data is: `places` of {folder, device, filesystem}; keep the devices."""
        self._places = request["places"]
        for place in self._places:
            if place["device"] and len(self._devices) < len(self._places):
                self._devices.append(os.open(place["device"], os.O_RDONLY | os.O_CLOEXEC))

    def do_fill(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fill every disk for `fault`, but for `leave_bytes`; how much was free before, and is."""
        free: dict[str, list[int]] = {}
        fills = self._fills.setdefault(request["fault"], [])
        with self.places() as places:
            for place in places:
                if place.device is None:
                    raise ValueError(f"{place.folder} is on a volume of the host: never filled")
                handle = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600, dir_fd=place.handle)
                fills.append(Fill(place.device, handle, request["leave_bytes"]))
                before = free_bytes(handle)
                fills[-1].top_up()
                free[place.name] = [before, free_bytes(handle)]
        return {"free_bytes": free}

    def do_unfill(self, request: dict[str, Any]) -> dict[str, Any]:
        """Give the space of `fault` back; how many disks it still filled."""
        return {"ended": self._drop_fills(request["fault"])}

    def do_hold(self, request: dict[str, Any]) -> None:
        """Keep the data directories open for `fault`, until `held_state` or the end of it: a
        database may end at once of what is done to its disk, and nobody else has it mounted."""
        self._let_go(request["fault"])
        stack = contextlib.ExitStack()
        self._held_places[request["fault"]] = stack.enter_context(self.places())
        self._held[request["fault"]] = stack

    def do_held_state(self, request: dict[str, Any]) -> dict[str, Any]:
        """As `disk_state`, of what `hold` has kept open for `fault`; lets go of it."""
        try:
            return {"disks": states(self._held_places.get(request["fault"], []), TRY_BYTES)}
        finally:
            self._let_go(request["fault"])

    def do_disk_state(self, request: dict[str, Any]) -> dict[str, Any]:
        """What each disk takes now: {"disks": {place's name: {free_bytes, write}}}.

        `write`: "" when `more_bytes` could be written and synced, else the error, such as ENOSPC.
        """
        with self.places() as places:
            return {"disks": states(places, request.get("more_bytes", TRY_BYTES))}

    def do_mounted(self, request: dict[str, Any]) -> dict[str, Any]:
        """Which of the node's filesystems are mounted, anywhere on this host."""
        return {"mounted": [p["device"] for p in self._places if is_mounted(p)]}

    def do_witness(self, request: dict[str, Any]) -> dict[str, Any]:
        """Have a synced file of ours on every disk: {"witness": {place's name: error or ""}}.

        It stays for the whole run. To write it anew before each power loss would commit the
        filesystem's journal, and so save what the database has not synced.
        """
        said = {}
        with self.places() as places:
            for place in places:
                with named_errors() as why, hidden(place.handle) as folder:
                    if read(folder, KEPT) != self._token:
                        write(folder, KEPT, self._token, sync=True)
                        os.fsync(folder)
                        os.fsync(place.handle)
                said[place.name] = "".join(why)
        return {"witness": said}

    def do_power_off(self, request: dict[str, Any]) -> dict[str, Any]:
        """Shut every disk down, with all that was not synced, and kill the processes.

        Writes one more file before, unsynced; tries to write one after, which must fail. What fills
        a disk goes as well: it would keep the filesystem mounted.
        """
        fault, refused = request["fault"], {}
        with self.places() as places:
            for place in places:
                with named_errors(), hidden(place.handle) as folder:
                    write(folder, f"{fault}.lost", self._token, sync=False)
            # A machine without power answers nobody. Between the two below, an fsync that fails may
            # return as if it had not (ext4 keeps such an error to itself while it shuts down), and
            # the database would acknowledge what is lost.
            halted = Processes.halt()
            for place in places:
                fcntl.ioctl(place.handle, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
            killed = len(Processes.kill())
            for place in places:
                refused[place.name] = try_write(place.handle)
        self._let_go()
        ended = self._drop_fills()
        return {"refused": refused, "killed": killed, "fills_ended": ended, "halted": halted}

    def do_witnessed(self, request: dict[str, Any]) -> dict[str, Any]:
        """What became of the witnesses: {"witnessed": {place's name: {synced, unsynced}}}.

        Each is "there", "empty" or "gone". The name of a file that was never synced may survive:
        another program's fsync commits the journal that it stands in. Its contents may not.
        """
        seen = {}
        with self.places() as places:
            for place in places:
                with hidden(place.handle) as folder:
                    unsynced = f"{request['fault']}.lost"
                    seen[place.name] = {
                        "synced": self._seen(folder, KEPT),
                        "unsynced": self._seen(folder, unsynced),
                    }
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(unsynced, dir_fd=folder)
        return {"witnessed": seen}

    def _seen(self, folder: int, name: str) -> str:
        data = read(folder, name)
        return "gone" if data is None else "there" if data == self._token else "empty"

    def do_unmount(self, request: dict[str, Any]) -> dict[str, Any]:
        """Kill the processes and let go, so that the engine unmounts the disks."""
        self._let_go()
        return {"killed": len(Processes.kill()), "fills_ended": self._drop_fills()}

    def tick(self) -> None:
        """Keep full what was filled: databases remove files of theirs."""
        for fill in self._each_fill():
            fill.top_up()

    def heal(self) -> None:
        """Give all space back."""
        self._let_go()
        self._drop_fills()

    def able(self) -> dict[str, Any]:
        """Whether a filesystem can be shut down by this agent; only with `disk:` it may be.

        What the host can do is found out by a helper (chaos/runtime/helper.py).
        """
        return {"disk": {"shutdown": has_capability(CAP_SYS_ADMIN)}}

    @contextlib.contextmanager
    def places(self) -> Iterator[list[Place]]:
        """The data directories that can be reached now, open; closed at the end of the block."""
        with contextlib.ExitStack() as opened:
            found = []
            for place in find_places(self._places):
                opened.callback(os.close, place.handle)
                found.append(place)
            yield found

    def _let_go(self, fault: str | None = None) -> None:
        for name in list(self._held) if fault is None else [fault]:
            self._held_places.pop(name, None)
            if stack := self._held.pop(name, None):
                stack.close()

    def _each_fill(self) -> list[Fill]:
        return [fill for fills in self._fills.values() for fill in fills]

    def _drop_fills(self, fault: str | None = None) -> int:
        """Close the fault's fills, or all; how many."""
        faults = list(self._fills) if fault is None else [fault]
        fills = [fill for name in faults for fill in self._fills.pop(name, [])]
        for fill in fills:
            os.close(fill.handle)
        return len(fills)


def states(places: list[Place], more_bytes: int) -> dict[str, dict[str, Any]]:
    """Of each place: bytes free, and what comes of writing `more_bytes` ("" when it was taken)."""
    return {
        place.name: {
            "free_bytes": free_bytes(place.handle),
            "write": try_write(place.handle, more_bytes),
        }
        for place in places
    }


def find_places(known: list[dict[str, Any]]) -> Iterator[Place]:
    """Each data directory once, through whichever process has it mounted."""
    seen: set[tuple[str, str]] = set()
    for process in each():
        if process.state in "ZX":
            continue
        try:
            with open(f"/proc/{process.pid}/mountinfo", encoding="utf-8") as file:
                mounts = [line.split() for line in file]
        except OSError:
            continue  # it ended meanwhile
        for _, _, number, root, folder, *_ in mounts:
            place = next((p for p in known if fits(p, number, folder)), None)
            if place is None or (number, root) in seen:
                continue
            try:
                handle = os.open(
                    f"/proc/{process.pid}/root{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
                )
            except OSError:
                continue
            seen.add((number, root))
            volume = os.path.basename(os.path.dirname(root))  # …/volumes/NAME/_data
            yield Place(folder=folder, device=place["device"], volume=volume, handle=handle)


def fits(place: dict[str, Any], number: str, folder: str) -> bool:
    """Whether a mount (device number and mount point, of mountinfo) is that of `place`."""
    if place["folder"] != folder:
        return False
    device = place["device"]
    return device is None or number == f"7:{device.removeprefix('/dev/loop')}"


def is_mounted(place: dict[str, Any]) -> bool:
    """Whether the kernel still has the filesystem of a disk, in whatever namespace."""
    if not place["device"]:
        return False
    return os.path.exists(f"/sys/fs/{place['filesystem']}/{os.path.basename(place['device'])}")


def free_bytes(handle: int) -> int:
    """Bytes that may still be written to the filesystem of `handle`."""
    found = os.fstatvfs(handle)
    return found.f_bavail * found.f_frsize


@contextlib.contextmanager
def hidden(handle: int) -> Iterator[int]:
    """Our own folder in a data directory, open in the block; made if it is not there."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(HIDDEN, 0o700, dir_fd=handle)
    folder = os.open(HIDDEN, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
    try:
        yield folder
    finally:
        os.close(folder)


def write(folder: int, name: str, data: bytes, *, sync: bool) -> None:
    """Write a file, synced or not."""
    handle = os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600, dir_fd=folder)
    try:
        os.write(handle, data)
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def read(folder: int, name: str) -> bytes | None:
    """A file's contents; None when it is not there."""
    try:
        handle = os.open(name, os.O_RDONLY, dir_fd=folder)
    except FileNotFoundError:
        return None
    with open(handle, "rb") as file:
        return file.read()


def try_write(handle: int, size_bytes: int = TRY_BYTES) -> str:
    """Write and sync that much without leaving a trace: "" or the error's name.

    Of more than `WRITTEN_BYTES_MAX` the space is asked for, not written.
    """
    with named_errors() as why:
        file = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600, dir_fd=handle)
        try:
            if size_bytes > WRITTEN_BYTES_MAX:
                os.posix_fallocate(file, 0, size_bytes)
            for _ in range(min(size_bytes, WRITTEN_BYTES_MAX) // TRY_BYTES):
                os.write(file, b"a" * TRY_BYTES)
            os.fsync(file)
        finally:
            os.close(file)
    return "".join(why)


@contextlib.contextmanager
def named_errors() -> Iterator[list[str]]:
    """Catch an OSError; its name, such as ENOSPC, is then in the list."""
    why: list[str] = []
    try:
        yield why
    except OSError as error:
        why.append(errno.errorcode.get(error.errno or 0, str(error)))


def has_capability(number: int) -> bool:
    """Whether this process has a Linux capability, by its number."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        words = next(line for line in file if line.startswith("CapEff:"))
    return bool(int(words.split()[1], 16) >> number & 1)
