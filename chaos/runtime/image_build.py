"""Building one image folder over the engine's API, and what is lent to its first stage.

A Dockerfile with a line `# lends: ca` finds this host's certificate bundle as `ca.crt` in its build
context: downloads must work behind a proxy that inspects TLS. It belongs in a build stage only,
labelled `aftershock.stage=<name>`; those stages are removed after the build.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import tarfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import docker
import requests
import urllib3
from docker.errors import APIError, ImageNotFound

from chaos.errors import EngineError, ImageError
from chaos.runtime import base_image
from chaos.runtime.base_image import Progress, Report, disk_is_full
from chaos.runtime.docker import engine_errors

LABEL_IMAGE = "aftershock.image"
LABEL_CONTENT = "aftershock.content"
LABEL_BASE = "aftershock.base"
LABEL_STAGE = "aftershock.stage"
CA_FILE = "ca.crt"
SILENCE_S = 900  # a compiler may say nothing for long; an engine that hangs says nothing for ever
_LENDS_CA = "# lends: ca"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One image folder: a Dockerfile and what it copies."""

    name: str
    root: Path

    @property
    def dockerfile(self) -> str:
        """The text of its Dockerfile."""
        return (self.root / "Dockerfile").read_text(encoding="utf-8")

    @property
    def needs_base(self) -> bool:
        """Whether it stands on our base image."""
        return base_image.BASE in self.dockerfile

    @property
    def content(self) -> str:
        """12 hex digits over every file of the folder and how the base image is made."""
        return self._content()

    def _content(self) -> str:
        digest = hashlib.sha256(base_image.DEFINITION.encode())
        for path in self._files():
            link = path.is_symlink()
            data = os.readlink(path).encode() if link else path.read_bytes()
            runs = not link and os.access(path, os.X_OK)
            digest.update(f"\0{path.relative_to(self.root)}\0{runs}\0{len(data)}\0".encode() + data)
        return digest.hexdigest()[:12]

    @property
    def reference(self) -> str:
        """Its tag: `aftershock/<name>:<content>`."""
        return f"aftershock/{self.name}:{self.content}"

    def context(self) -> io.BytesIO:
        """The build context as a tar: the folder's files and, where asked for, the CA bundle."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path in self._files():
                tar.add(path, str(path.relative_to(self.root)), recursive=False, filter=_plain)
            if _LENDS_CA in self.dockerfile.splitlines():
                bundle = ca_bundle()
                entry = tarfile.TarInfo(CA_FILE)
                entry.size, entry.mode = len(bundle), 0o644
                tar.addfile(entry, io.BytesIO(bundle))
            self._more(tar)
        buffer.seek(0)
        return buffer

    @property
    def again(self) -> str:
        """The command that builds it."""
        return f"aftershock images build {self.name}"

    def bases(self) -> list[str]:
        """Images of others that it stands on, besides our base: none."""
        return []

    def options(self) -> dict[str, Any]:
        """What else the engine is told, in its driver's words."""
        return {}

    def arguments(self) -> dict[str, str]:
        """Build arguments of its own."""
        return {}

    def _more(self, tar: tarfile.TarFile) -> None:
        """Files of the context that are in no folder: none."""

    def _files(self) -> list[Path]:
        return sorted(p for p in self.root.rglob("*") if p.is_symlink() or p.is_file())


def build(
    client: docker.DockerClient, recipe: Recipe, base_id: str, report: Report, *, fresh: bool
) -> str:
    """Build `recipe` unless its content is there (`fresh`: even then); the image's id.

    ImageError with the build's last 20 lines; EngineError if the engine stops answering.
    """
    name, tag = recipe.name, recipe.reference
    with _one_at_a_time(name), engine_errors(f"building the image {name}"):
        there = image_id(client, tag)
        if there is not None and not fresh:  # another run built it while we waited
            return there
        labels = {LABEL_IMAGE: name, LABEL_CONTENT: recipe.content, LABEL_BASE: base_id}
        try:
            _run(client, recipe, tag, labels, report, fresh=fresh)
        except ImageError:
            with contextlib.suppress(Exception):  # the build's own error matters more
                drop_stages(client, name)
            raise
        drop_stages(client, name)
        built = image_id(client, tag)
    if built is None:
        raise ImageError(
            f"the engine ended building the image {name} without making {tag}",
            fix=f"`aftershock images build {name}` tries again",
        )
    return built


def image_id(client: docker.DockerClient, tag: str) -> str | None:
    """The id of the image called `tag` on the engine, or None."""
    try:
        return str(client.images.get(tag).id)
    except ImageNotFound:
        return None


def drop_stages(client: docker.DockerClient, name: str) -> None:
    """Remove the first stages of `name`'s builds: they are large and hold what was lent to them."""
    client.images.prune(filters={"dangling": True, "label": f"{LABEL_STAGE}={name}"})


def ca_bundle() -> bytes:
    """This host's certificate bundle (PEM): what it trusts, its proxy's authority included."""
    usual = (
        os.environ.get("SSL_CERT_FILE", ""),
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
        certifi.where(),
    )
    for place in filter(None, usual):
        with contextlib.suppress(OSError):
            return Path(place).read_bytes()
    raise ImageError(
        "expected a bundle of certificates on this host, found none",
        fix="install ca-certificates, or set SSL_CERT_FILE",
    )


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


def _run(
    client: docker.DockerClient,
    recipe: Recipe,
    tag: str,
    labels: Mapping[str, str],
    report: Report,
    *,
    fresh: bool,
) -> None:
    started = time.monotonic()
    name, last = recipe.name, deque[str](maxlen=20)

    def say(detail: str) -> None:
        seconds = time.monotonic() - started
        report(Progress(name=name, state="building", seconds=seconds, detail=detail))

    arguments, network = proxies()
    say("")
    try:
        for event in client.api.build(
            fileobj=recipe.context(), custom_context=True, tag=tag, rm=True, forcerm=True,
            decode=True, labels=dict(labels), buildargs=arguments | recipe.arguments(),
            network_mode=network, nocache=fresh, timeout=SILENCE_S, **recipe.options(),
        ):  # fmt: skip
            lines = [line for line in str(event.get("stream", "")).splitlines() if line.strip()]
            last.extend(lines)
            for line in lines:
                if line.startswith("Step "):
                    say(line[5:85])
            if "error" in event:
                raise _failed(client, recipe, str(event["error"]), last)
    except APIError as error:
        raise _failed(client, recipe, error.explanation or str(error), last) from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise EngineError(
            f"the container engine stopped answering while building the image {name}",
            fix="start the engine again; images already built are kept",
            detail="\n".join([*last, str(error)[:200]]),
        ) from None


def _failed(
    client: docker.DockerClient, recipe: Recipe, why: str, last: Iterable[str]
) -> EngineError:
    name = recipe.name
    text = "\n".join(last)
    if disk_is_full(why + text):
        return base_image.full_disk(client, f"building the image {name}", text)
    if any(word in why for word in ("context canceled", "daemon is shutting down", "EOF")):
        return EngineError(
            f"the container engine stopped while building the image {name}: {why.strip()}",
            fix="start the engine again; images already built are kept",
            detail=text,
        )
    return ImageError(
        f"building the image {name} failed: {why.strip()}",
        detail=text,
        fix=f"the lines above are the build's last; `{recipe.again}` tries again",
    )


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


@contextlib.contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Two runs that want the same image build it once. Without a place to lock, no lock."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aftershock"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        handle = (cache / f"image-{name}.lock").open("w")
    except OSError:
        yield
        return
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
