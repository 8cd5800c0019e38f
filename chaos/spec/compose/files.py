"""What a service is lent of this host, and where it keeps its data.

Nothing of this host is mounted: files and folders are copied into the container when it is made, so
that no fault, and nothing that a service does, can reach them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from chaos.spec.compose.document import Reader
from chaos.spec.load import Value
from chaos.systems.compose.project import Copy
from chaos.units import format_size, shown

COPIED_BYTES_MAX = 64 * 1024 * 1024  # of one bind mount
COPIED_FILES_MAX = 2_000


@dataclass(slots=True, kw_only=True)
class Places:
    """What a service has where. `named`: path → volume; `anonymous`: its own volumes' paths."""

    named: dict[str, str] = field(default_factory=dict)
    anonymous: list[str] = field(default_factory=list)
    tmpfs: dict[str, str] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)


def mounts(reader: Reader, value: Value | None, volumes: Mapping[str, Value]) -> Places:
    """`volumes:` of a service; `volumes`: those that the file declares."""
    places = Places()
    for item in reader.items(value, "a list of volumes"):
        if isinstance(item.data, dict):
            _long(reader, item, volumes, places)
            continue
        text = reader.text(item, "a volume")
        if not text:
            continue
        parts = text.split(":")
        if len(parts) == 1:
            if _place(reader, item, text):
                places.anonymous.append(text)
            continue
        source, target = parts[0], parts[1]
        options = parts[2].split(",") if len(parts) > 2 else []
        if len(parts) > 3 or not _place(reader, item, target):
            if len(parts) > 3:
                fix = "such as data:/var/lib/data or ./web.conf:/etc/web.conf:ro"
                reader.wrong(item, f"expected SOURCE:TARGET:OPTIONS, got {shown(text)}", fix)
            continue
        if source[:1] in ("/", ".", "~"):
            _bind(reader, item, source, target, "ro" not in options, places)
        else:
            _named(reader, item, source, target, volumes, places)
    return places


def _long(reader: Reader, item: Value, volumes: Mapping[str, Value], places: Places) -> None:
    at = reader.mapping(item)
    kind = reader.text(at.get("type")) or "volume"
    target = reader.text(at.get("target"))
    source = reader.text(at.get("source"))
    if target is None:
        reader.wrong(item, "expected the key `target`, found none", "add it")
    elif not _place(reader, at.get("target") or item, target):
        return
    elif kind == "tmpfs":
        places.tmpfs[target] = ""
    elif kind == "bind" and source:
        writes = not reader.flag(at.get("read_only"))
        _bind(reader, at.get("source") or item, source, target, writes, places)
    elif kind == "volume" and source:
        _named(reader, at.get("source") or item, source, target, volumes, places)
    elif kind == "volume":
        places.anonymous.append(target)
    else:
        reader.wrong(
            at.get("type") or item,
            f"expected volume, bind (with `source`) or tmpfs, got {shown(kind)}",
        )


def _place(reader: Reader, at: Value, target: str) -> bool:
    """Whether that is a place inside a container."""
    path = PurePosixPath(target)
    if path.is_absolute() and path != PurePosixPath("/") and ".." not in path.parts:
        return True
    reader.wrong(at, f"expected an absolute path inside the container, got {shown(target)}")
    return False


def _named(
    reader: Reader, at: Value, name: str, target: str, volumes: Mapping[str, Value], places: Places
) -> None:
    if name not in volumes:
        known = ", ".join(volumes) or "none"
        reader.wrong(
            at,
            f"unknown volume {shown(name)}; declared: {known}",
            f"add `volumes: {{{name}: }}` at the end of the file; a file's path begins with ./",
        )
        return
    places.named[target] = name


def _bind(
    reader: Reader, at: Value, source: str, target: str, writes: bool, places: Places
) -> None:
    """A file or folder of this host: copied, or, where there is none, an empty folder."""
    path = (reader.folder / Path(source).expanduser()).resolve()
    if not path.exists():
        places.anonymous.append(target)
        reader.note(at, f"there is no {source}: {target} is an empty volume of its own")
        return
    if why := uncopyable(path):
        reader.wrong(
            at,
            f"{source} cannot be lent to a container: {why}",
            "what a service needs is copied: name a file, or a smaller folder",
        )
        return
    places.copies.append(Copy(source=path, target=target))
    if writes:
        reader.note(at, f"{source} is copied: what the service writes there stays in its container")


def uncopyable(path: Path) -> str:
    """Why a file or folder cannot be copied into a container; "" if it can."""
    size = files = 0
    waiting = [path]
    try:
        while waiting:
            here = waiting.pop()
            state = here.lstat() if here != path else here.stat()
            if stat.S_ISDIR(state.st_mode):
                waiting += [Path(entry.path) for entry in os.scandir(here)]
            elif stat.S_ISREG(state.st_mode):
                size += state.st_size
                if not os.access(here, os.R_OK):
                    return f"{here.name} may not be read"
            elif not stat.S_ISLNK(state.st_mode):
                return f"{here.name} is a socket or a device of this host"
            files += 1
            if files > COPIED_FILES_MAX or size > COPIED_BYTES_MAX:
                most = format_size(COPIED_BYTES_MAX)
                return f"it is more than {COPIED_FILES_MAX:,} files or {most}"
    except OSError as error:
        return f"{error.strerror or error}"
    return ""


def lent(reader: Reader, value: Value | None, kind: str, known: Mapping[str, Value]) -> list[Copy]:
    """`secrets:` or `configs:` of a service, of those that the file declares."""
    copies = []
    for item in reader.items(value, f"a list of {kind}"):
        at = item.data if isinstance(item.data, dict) else {"source": item}
        source = at.get("source")
        name = reader.text(source, "a name")
        if name is None or source is None:
            reader.wrong(item, "expected the key `source`, found none", "add it")
            continue
        if name not in known:
            there = ", ".join(known) or "none"
            reader.wrong(source, f"unknown {kind[:-1]} {shown(name)}; declared: {there}")
            continue
        target = reader.text(at.get("target")) or name
        if kind == "secrets" and not target.startswith("/"):
            target = f"/run/secrets/{target}"
        elif not target.startswith("/"):
            target = f"/{target}"
        mode = _mode(reader, at.get("mode"))
        if _place(reader, at.get("target") or item, target):
            copies += _content(reader, known[name], target, mode)
    return copies


def _mode(reader: Reader, value: Value | None) -> int:
    text = reader.text(value, "a mode") or "0444"
    digits = text.removeprefix("0o").lstrip("0") or "0"
    if len(digits) > 4 or set(digits) - set("01234567"):
        if value is not None:
            reader.wrong(value, f"expected a mode such as 0444, got {shown(text)}")
        return 0o444
    return int(digits, 8)


def _content(reader: Reader, declared: Value, target: str, mode: int) -> list[Copy]:
    """What a declared secret or config says: of a file, of a variable, or written out."""
    at = reader.mapping(declared, "`file:`, `environment:` or `content:`")
    if file := reader.text(at.get("file")):
        path = (reader.folder / Path(file).expanduser()).resolve()
        if why := uncopyable(path) if path.is_file() else "there is no such file":
            reader.wrong(at["file"], f"expected a file to lend, got {shown(file)}: {why}")
            return []
        return [Copy(source=path, target=target, mode=mode)]
    if variable := reader.text(at.get("environment")):
        if variable not in reader.known:
            reader.wrong(
                at["environment"],
                f"the variable `{variable}` is not set",
                f"write `{variable}=…` into .env beside the file",
            )
            return []
        return [Copy(text=reader.known[variable], target=target, mode=mode)]
    if "content" in at:
        return [Copy(text=reader.text(at["content"]) or "", target=target, mode=mode)]
    fix = "write `file: ./its-file`"
    message = "expected `file:`, `environment:` or `content:`, found none of them"
    if "external" in at:
        message = "what an engine keeps elsewhere is not seen here"
    reader.wrong(declared, message, fix, key=True)
    return []
