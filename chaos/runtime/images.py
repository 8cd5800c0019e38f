"""Images: which content each must have, and building what is not there.

An image is a folder under `topologies/images/` with a Dockerfile. Its tag holds a hash of the folder's
content and of how its base is made (`aftershock/redis:3f0c…`), so that a changed Dockerfile is a
different image, the same one is never built twice, and the tag is known without asking an engine.

A Dockerfile whose first lines say `# lends: ca` finds this host's certificate bundle as `ca.crt` in
its build context: downloads must work behind a proxy that inspects TLS. It belongs in a build stage
only, labelled `aftershock.stage`; those stages are removed after the build.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import queue
import tarfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
from docker.errors import APIError, ImageNotFound

from chaos import paths
from chaos.errors import EngineError, ImageError
from chaos.registry import did_you_mean
from chaos.runtime import base_image
from chaos.runtime.base_image import Progress, Report, disk_is_full
from chaos.runtime.docker import engine_errors

LABEL_IMAGE = "aftershock.image"
LABEL_CONTENT = "aftershock.content"
LABEL_BASE = "aftershock.base"
LABEL_STAGE = "aftershock.stage"
LENDS_CA = "# lends: ca"
CA_FILE = "ca.crt"
SIDE_BY_SIDE = 4
SILENCE_S = 900  # a compiler may say nothing for long; an engine that hangs says nothing for ever
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of ours on the engine, or one that could be built (`id` None)."""

    name: str  # its folder
    reference: str
    id: str | None
    size_bytes: int
    current: bool  # its content is what the folder holds now


def names(folder: Path | None = None) -> list[str]:
    """The image folders there are, sorted. `folder`: where, by default the shipped one."""
    root = folder or paths.images()
    return sorted(path.parent.name for path in root.glob("*/Dockerfile"))


def content_hash(name: str, folder: Path | None = None) -> str:
    """12 hex digits over every file of the image's folder and how its base is made."""
    root = _folder(name, folder)
    digest = hashlib.sha256(base_image.DEFINITION.encode())
    for path in _files(root):
        data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        runs = not path.is_symlink() and os.access(path, os.X_OK)
        digest.update(f"\0{path.relative_to(root)}\0{runs}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:12]


def reference(name: str, folder: Path | None = None) -> str:
    """The tag to run for `name`: `aftershock/<name>:<content>` for a folder of ours.

    Anything with a `/`, `:` or `@` is a reference already and returned as it is.
    """
    if any(mark in name for mark in "/:@"):
        return name
    return f"aftershock/{name}:{content_hash(name, folder)}"


def ensure(
    wanted: Iterable[str], *, client: docker.DockerClient, progress: Report,
    folder: Path | None = None, fresh: bool = False,
) -> dict[str, str]:
    """Have every wanted image: {name or reference → image id}.

    Ours are built when their content is not there yet (`fresh`: built again anyway); others are
    pulled when they are not there. Independent ones go side by side; `progress` is called from one
    thread. ImageError carries the last lines of a failed build, after the others have ended.
    """
    unique = list(dict.fromkeys(wanted))
    references = {name: reference(name, folder) for name in unique}
    with engine_errors("looking for images"):
        found = {name: None if fresh else _image_id(client, references[name]) for name in unique}
    done = {name: image_id for name, image_id in found.items() if image_id is not None}
    for name in done:
        progress(Progress(name=name, state="present", seconds=0.0))
    missing = [name for name in unique if name not in done]
    base_id = ""
    if any(_needs_base(name, references[name], folder) for name in missing):
        base_id = base_image.ensure(client, progress)

    def make(name: str, report: Report) -> str:
        if references[name] == name:
            return base_image.pull(client, name, report)
        return _build(client, name, folder, base_id, fresh, report)

    built = _side_by_side(missing, make, progress)
    return {name: done.get(name) or built[name] for name in unique}


def build(
    wanted: Iterable[str] = (), *, client: docker.DockerClient, progress: Report,
    folder: Path | None = None, fresh: bool = False,
) -> dict[str, str]:
    """Build image folders (all if none is named) whose content is not there: {name → image id}."""
    return ensure(
        list(wanted) or names(folder), client=client, progress=progress, folder=folder, fresh=fresh
    )


def list_images(client: docker.DockerClient, folder: Path | None = None) -> list[Image]:
    """Every image of ours on the engine, old ones too, and each folder not built yet."""
    current = {name: reference(name, folder) for name in names(folder)}
    rows: list[Image] = []
    with engine_errors("listing images"):
        held = client.api.images(filters={"label": LABEL_IMAGE})
    for entry in held:
        name = entry["Labels"][LABEL_IMAGE]
        for tag in entry.get("RepoTags") or [entry["Id"]]:
            rows.append(
                Image(name=name, reference=tag, id=entry["Id"], size_bytes=int(entry["Size"]),
                      current=current.get(name) == tag)
            )
    there = {row.reference for row in rows}
    rows += [
        Image(name=name, reference=tag, id=None, size_bytes=0, current=True)
        for name, tag in current.items() if tag not in there
    ]
    return sorted(rows, key=lambda row: (row.name, not row.current, row.reference))


def prune(
    client: docker.DockerClient, only: Iterable[str] | None = None, folder: Path | None = None
) -> list[Image]:
    """Remove images of ours that no folder stands for any more, and left-over build stages.

    Current ones stay, and those a container uses. `only` restricts it to these names. Returns what
    was removed.
    """
    chosen = None if only is None else set(only)
    removed: list[Image] = []
    for row in list_images(client, folder):
        if row.current or row.id is None or (chosen is not None and row.name not in chosen):
            continue
        try:
            with engine_errors(f"removing {row.reference}"):
                _remove(client, row.reference)
        except _InUse:
            continue
        removed.append(row)
    with engine_errors("removing build stages"):
        for name in names(folder) if chosen is None else chosen:
            _drop_stages(client, name)
    return removed


class _InUse(Exception):
    """A container still uses the image."""


def _remove(client: docker.DockerClient, tag: str) -> None:
    try:
        client.images.remove(tag)
    except ImageNotFound:
        return
    except APIError as error:
        if error.status_code == 409:
            raise _InUse from None
        raise


def _folder(name: str, folder: Path | None) -> Path:
    root = folder or paths.images()
    path = root / name
    if name not in names(folder):
        known = names(folder)
        raise ImageError(
            f"expected an image folder, got `{name}`; known: {', '.join(known)}",
            fix=did_you_mean(name, known) or f"add {path.name}/Dockerfile beside the others, or "
            "write a full reference such as `image: postgres:17`",
        )
    return path


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_symlink() or path.is_file())


def _needs_base(name: str, tag: str, folder: Path | None) -> bool:
    return tag != name and base_image.BASE in _dockerfile(name, folder)


def _dockerfile(name: str, folder: Path | None) -> str:
    return (_folder(name, folder) / "Dockerfile").read_text(encoding="utf-8")


def _image_id(client: docker.DockerClient, tag: str) -> str | None:
    try:
        return str(client.images.get(tag).id)
    except ImageNotFound:
        return None


def _side_by_side(
    wanted: list[str], make: Callable[[str, Report], str], progress: Report
) -> dict[str, str]:
    """`make` each name in a thread; progress is reported here, in the caller's thread.

    Daemon threads: when Ctrl-C ends this process, their connections close and the engine stops
    building.
    """
    events: queue.SimpleQueue[Progress | tuple[str, str | BaseException]] = queue.SimpleQueue()
    slots = threading.Semaphore(SIDE_BY_SIDE)

    def work(name: str) -> None:
        with slots:
            started = time.monotonic()
            try:
                result: str | BaseException = make(name, events.put)
                state = "built"
            except BaseException as error:
                result, state = error, "failed"
            events.put(Progress(name=name, state=state, seconds=time.monotonic() - started))
            events.put((name, result))

    for name in wanted:
        threading.Thread(target=work, args=(name,), name=f"image {name}", daemon=True).start()
    made: dict[str, str] = {}
    failed: list[BaseException] = []
    while len(made) + len(failed) < len(wanted):
        event = events.get()
        if isinstance(event, Progress):
            progress(event)
        elif isinstance(event[1], BaseException):
            failed.append(event[1])
        else:
            made[event[0]] = event[1]
    if failed:
        raise failed[0]
    return made


def _build(
    client: docker.DockerClient, name: str, folder: Path | None, base_id: str, fresh: bool,
    report: Report,
) -> str:
    tag = reference(name, folder)
    with _one_at_a_time(name), engine_errors(f"building the image {name}"):
        image_id = _image_id(client, tag)
        if image_id is not None and not fresh:  # another run built it while we waited
            return image_id
        context = _context(_folder(name, folder), lends=LENDS_CA in _dockerfile(name, folder))
        labels = {LABEL_IMAGE: name, LABEL_CONTENT: tag.rpartition(":")[2], LABEL_BASE: base_id}
        try:
            _run_build(client, name, tag, context, labels, fresh, report)
        finally:
            with contextlib.suppress(Exception):
                _drop_stages(client, name)
        image_id = _image_id(client, tag)
    if image_id is None:
        raise ImageError(f"the engine said the image {name} is built, but has no {tag}")
    return image_id


def _run_build(
    client: docker.DockerClient, name: str, tag: str, context: io.BytesIO,
    labels: Mapping[str, str], fresh: bool, report: Report,
) -> None:
    started = time.monotonic()
    last: deque[str] = deque(maxlen=20)
    arguments, network = proxies()
    report(Progress(name=name, state="building", seconds=0.0))
    try:
        for event in client.api.build(
            fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True, decode=True,
            labels=dict(labels), buildargs=arguments, network_mode=network, nocache=fresh,
            timeout=SILENCE_S,
        ):
            lines = str(event.get("stream", "")).splitlines()
            last.extend(line for line in lines if line.strip())
            for line in lines:
                if line.startswith("Step "):
                    report(Progress(name=name, state="building", detail=line[5:85],
                                    seconds=time.monotonic() - started))
            if "error" in event:
                raise _failed(client, name, str(event["error"]), last)
    except APIError as error:
        raise _failed(client, name, error.explanation or str(error), last) from None
    except requests.exceptions.RequestException as error:
        raise EngineError(
            f"the container engine stopped answering while building the image {name}",
            fix="start the engine again; what was already built is kept",
            detail="\n".join([*last, str(error)[:200]]),
        ) from None


def _failed(client: docker.DockerClient, name: str, why: str, last: Iterable[str]) -> EngineError:
    text = "\n".join(last)
    if disk_is_full(why + text):
        return base_image.full_disk(client, f"building the image {name}", text)
    return ImageError(
        f"building the image {name} failed: {why.strip()}",
        detail=text,
        fix=f"the lines above are the build's last; `aftershock images build {name}` tries again",
    )


def _context(root: Path, *, lends: bool) -> io.BytesIO:
    """The build context as a tar: the folder's files and, where asked for, the CA bundle."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in _files(root):
            tar.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=_plain)
        if lends:
            bundle = ca_bundle()
            entry = tarfile.TarInfo(CA_FILE)
            entry.size, entry.mode = len(bundle), 0o644
            tar.addfile(entry, io.BytesIO(bundle))
    buffer.seek(0)
    return buffer


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def ca_bundle() -> bytes:
    """This host's certificate bundle (PEM): what it trusts, its proxy's authority included."""
    usual = (
        os.environ.get("SSL_CERT_FILE", ""), "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", requests.certs.where(),
    )
    for place in filter(None, usual):
        with contextlib.suppress(OSError):
            return Path(place).read_bytes()
    raise ImageError("expected a bundle of certificates on this host, found none",
                     fix="install ca-certificates, or set SSL_CERT_FILE")


def proxies() -> tuple[dict[str, str], str | None]:
    """Build arguments for the proxies this process uses, and the build's network.

    These arguments are predefined: engines keep them out of an image's history. A proxy on the
    loopback of the host is reached only from the host's own network.
    """
    arguments: dict[str, str] = {}
    for name in _PROXIES:
        for spelling in (name, name.lower()):
            if value := os.environ.get(spelling):
                arguments[spelling] = value
    hosts = {urlsplit(value).hostname for value in arguments.values() if "://" in value}
    return arguments, "host" if hosts & {"127.0.0.1", "localhost", "::1"} else None


def _drop_stages(client: docker.DockerClient, name: str) -> None:
    """Remove the first stages of a build: they are large and hold what was lent to them."""
    client.images.prune(filters={"dangling": True, "label": f"{LABEL_STAGE}={name}"})


@contextlib.contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Two runs that want the same image build it once. Without a place to lock, no lock."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aftershock"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        handle: Any = (cache / f"image-{name}.lock").open("w")
    except OSError:
        yield
        return
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
