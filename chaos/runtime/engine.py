"""The container engine: find the one that answers, or start one where we may.

Looked for in the order the docker command uses: DOCKER_HOST, the current docker context, then the
usual sockets (rootful, rootless, Docker Desktop, Podman). One that was named but does not answer is
an error: nothing is installed behind its back.

Standard library only until `client`: `python -m chaos.runtime.engine` prepares a machine before any
of our dependencies is there.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chaos.errors import EngineError
from chaos.runtime import daemon
from chaos.runtime.daemon import WITHOUT
from chaos.runtime.install import Say

if TYPE_CHECKING:
    import docker

API_OLDEST = (1, 41)  # Engine 20.10
PING_DEADLINE_S = 3.0
CALL_DEADLINE_S = 60
ROOTFUL = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that answered. `source` says where its address was found."""

    url: str  # unix:///…, tcp://host:port
    source: str  # "DOCKER_HOST", "the docker context `x`", "the usual sockets"
    version: str
    api: str  # "1.41"
    certificates: Path | None = None  # folder of ca.pem, cert.pem, key.pem for TLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an engine may be. `named`: the user asked for this one, no other will do."""

    url: str
    source: str
    named: bool = False
    certificates: Path | None = None


class Refused(Exception):
    """A place that has no usable engine. `kind`: absent, denied, dead, old or unsupported."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why


def places() -> list[Place]:
    """Where to look, in order; only one place if DOCKER_HOST or a docker context names it."""
    if url := os.environ.get("DOCKER_HOST"):
        tls = os.environ.get("DOCKER_TLS_VERIFY") or os.environ.get("DOCKER_CERT_PATH")
        folder = Path(os.environ.get("DOCKER_CERT_PATH") or _config_folder()) if tls else None
        return [Place(url=url, source="DOCKER_HOST", named=True, certificates=folder)]
    if context := _context():
        return [context]
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    sockets = (
        ROOTFUL.removeprefix("unix://"),
        f"{runtime}/docker.sock",
        f"{Path.home()}/.docker/run/docker.sock",
        f"{runtime}/podman/podman.sock",
        "/run/podman/podman.sock",
    )
    return [Place(url=f"unix://{path}", source="the usual sockets") for path in sockets]


def find() -> Engine | None:
    """The first engine that answers, or None."""
    engine, _ = _look()
    return engine


def ensure(say: Say) -> Engine:
    """An engine that answers; where none does and we may, install and start one, saying each step.

    EngineError says what stands in the way and what to do.
    """
    engine, refused = _look()
    if engine is not None:
        return engine
    for place, refusal in refused:
        if place.named or refusal.kind in ("old", "denied"):
            raise _explained(place, refusal)
    daemon.start(say, answers=lambda: _answers(ROOTFUL))
    return require()


def require() -> Engine:
    """An engine that answers; nothing is installed or started. EngineError says what to do."""
    engine, refused = _look()
    if engine is None:
        raise _explained(*refused[0])
    return engine


def client(engine: Engine) -> docker.DockerClient:
    """The driver, speaking the engine's own API version; each call ends within 60 s."""
    import docker
    from docker.errors import DockerException
    from docker.tls import TLSConfig

    tls: Any = False
    if engine.certificates is not None:
        folder = engine.certificates
        tls = TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(folder / "ca.pem"),
            verify=True,
        )
    try:
        return docker.DockerClient(
            base_url=engine.url, version="auto", timeout=CALL_DEADLINE_S, tls=tls
        )
    except DockerException as error:
        raise EngineError(
            f"the engine at {engine.url} answered once and then no more: {error}",
            fix=f"look at `docker info`. {WITHOUT}",
        ) from None


def capabilities(client: docker.DockerClient) -> dict[str, Any]:
    """What the engine and its kernel are, for run.json: versions, cgroup, storage, CPUs, memory."""
    from chaos.runtime.docker import engine_errors

    with engine_errors("asking what the engine can do"):
        info, version = client.info(), client.version()
    return {
        "engine": version.get("Version"),
        "api": version.get("ApiVersion"),
        "cgroup": info.get("CgroupVersion", "1"),
        "storage": info.get("Driver"),
        "kernel": info.get("KernelVersion"),
        "system": info.get("OperatingSystem"),
        "architecture": info.get("Architecture"),
        "cpus": info.get("NCPU"),
        "memory_bytes": info.get("MemTotal"),
        "rootless": any("rootless" in option for option in info.get("SecurityOptions") or []),
    }


def main() -> int:
    """`python -m chaos.runtime.engine`: find or start an engine, saying each step."""
    try:
        engine = ensure(lambda step: print(step, flush=True))
    except EngineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"container engine {engine.version} (API {engine.api}) answers at {engine.url}")
    return 0


def _look() -> tuple[Engine | None, list[tuple[Place, Refused]]]:
    refused: list[tuple[Place, Refused]] = []
    for place in places():
        try:
            return _ask(place), refused
        except Refused as refusal:
            refused.append((place, refusal))
    return None, refused


def _answers(url: str) -> bool:
    try:
        _ask(Place(url=url, source=""))
    except Refused as refusal:
        return refusal.kind == "old"  # it answers; the caller says that it is too old
    return True


def _ask(place: Place) -> Engine:
    """Ask for the version within 3 s; Refused says what came instead."""
    connection = _connection(place)
    try:
        connection.request("GET", "/version")
        answer = connection.getresponse()
        body = json.loads(answer.read(1_000_000))
        version, api = str(body["Version"]), str(body["ApiVersion"])
        numbers = tuple(int(part) for part in api.split("."))
    except PermissionError:
        raise Refused("denied", "permission denied") from None
    except FileNotFoundError:
        raise Refused("absent", "no such socket") from None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise Refused("dead", str(error) or type(error).__name__) from None
    finally:
        connection.close()
    if numbers < API_OLDEST:
        raise Refused("old", f"engine {version} speaks API {api}")
    return Engine(
        url=place.url,
        source=place.source,
        version=version,
        api=api,
        certificates=place.certificates,
    )


def _connection(place: Place) -> http.client.HTTPConnection:
    parts = urlsplit(place.url)
    if parts.scheme == "unix":
        return _UnixConnection(parts.path)
    if parts.scheme not in ("tcp", "http", "https"):
        raise Refused("unsupported", f"`{parts.scheme}://` is not spoken here")
    try:
        host, port = parts.hostname or "localhost", parts.port
    except ValueError as error:
        raise Refused("unsupported", str(error)) from None
    if place.certificates is None and parts.scheme != "https":
        return http.client.HTTPConnection(host, port or 2375, timeout=PING_DEADLINE_S)
    try:
        folder = place.certificates
        tls = ssl.create_default_context(cafile=str(folder / "ca.pem") if folder else None)
        if folder:
            tls.load_cert_chain(str(folder / "cert.pem"), str(folder / "key.pem"))
    except OSError as error:
        raise Refused("dead", f"its TLS files cannot be used: {error}") from None
    return http.client.HTTPSConnection(host, port or 2376, timeout=PING_DEADLINE_S, context=tls)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PING_DEADLINE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _config_folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _context() -> Place | None:
    """The docker context in use; None for the default one."""
    folder = _config_folder()
    name = os.environ.get("DOCKER_CONTEXT") or _read(folder / "config.json").get("currentContext")
    if not isinstance(name, str) or name in ("", "default"):
        return None
    key = hashlib.sha256(name.encode()).hexdigest()
    source = f"the docker context `{name}`"
    try:
        meta = _read(folder / "contexts/meta" / key / "meta.json")
        url = str(meta["Endpoints"]["docker"]["Host"])
    except (KeyError, TypeError):
        return Place(url="missing://", source=source, named=True)
    tls = folder / "contexts/tls" / key / "docker"
    return Place(url=url, source=source, named=True, certificates=tls if tls.is_dir() else None)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _explained(place: Place, refusal: Refused) -> EngineError:
    """One sentence for each thing that can stand in the way, and what to do."""
    at = f"{place.source} ({place.url})" if place.named else place.url
    oldest = ".".join(map(str, API_OLDEST))
    if refusal.kind == "old":
        return EngineError(
            f"expected a container engine with API {oldest} or newer, got {refusal.why} at {at}",
            fix=f"upgrade it to Docker Engine 20.10 or newer. {WITHOUT}",
        )
    if refusal.kind == "denied":
        return EngineError(
            f"a container engine is at {at}, but you may not use its socket: {refusal.why}",
            fix="`sudo usermod -aG docker $USER`, log in again; or run this as root. " + WITHOUT,
        )
    if place.url.startswith("ssh://"):
        target = place.url.removeprefix("ssh://")
        return EngineError(
            f"{at} is reached over SSH, which is not spoken here",
            fix=f"`ssh -fNL /tmp/docker.sock:/var/run/docker.sock {target}`, then "
            f"DOCKER_HOST=unix:///tmp/docker.sock. {WITHOUT}",
        )
    if place.url == "missing://":
        return EngineError(
            f"{place.source} is set, but no such context is known",
            fix=f"`docker context ls` lists them, `docker context use default` resets. {WITHOUT}",
        )
    return EngineError(
        f"no container engine answers at {at}: {refusal.why}",
        fix=(
            f"start that engine, or unset what names it. {WITHOUT}"
            if place.named
            else f"look at `docker info`. {WITHOUT}"
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
