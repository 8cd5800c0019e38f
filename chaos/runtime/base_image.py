"""The base image, `debian:trixie-slim`: used if there, else pulled, else made here.

A pull gets 10 seconds for each piece of news. Where no registry answers, debootstrap makes the same
distribution from its package mirror and the result is imported under the same name, so that the
same Dockerfiles build in both worlds.
"""

from __future__ import annotations

import contextlib
import json
import platform
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import requests
from docker import auth, utils
from docker.errors import APIError, ImageNotFound

from chaos.errors import EngineError, ImageError
from chaos.runtime import install
from chaos.runtime.docker import engine_errors

BASE = "debian:trixie-slim"
SUITE = "trixie"
DEFINITION = f"{BASE} minbase 1"  # part of every image's content hash: raise it when this changes
PULL_DEADLINE_S = 10.0
BOOTSTRAP_DEADLINE_S = 900.0

_DPKG = """path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
"""
_APT = """Acquire::Languages "none";
Acquire::GzipIndexes "true";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
APT::AutoRemove::SuggestsImportant "false";
"""
_EMPTIED = (
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/lib/apt/lists",
    "var/cache/apt",
    "var/cache/debconf",
    "var/cache/ldconfig",
    "var/log",
)
_REMOVED = ("etc/hostname", "etc/resolv.conf", "etc/machine-id", "var/lib/dbus/machine-id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One line of progress on one image.

    `state`: present, waiting, pulling, bootstrapping, importing,
    building, built, pulled or failed.
    """

    name: str
    state: str
    seconds: float
    detail: str = ""


Report = Callable[[Progress], None]


def ensure(client: docker.DockerClient, report: Report) -> str:
    """The id of the base image on this engine; ImageError when it can be had in no way."""
    with engine_errors("looking for the base image"), contextlib.suppress(ImageNotFound):
        return str(client.images.get(BASE).id)
    started = time.monotonic()
    try:
        image_id = pull(client, BASE, report)
    except ImageError as error:
        report(
            Progress(
                name=BASE,
                state="bootstrapping",
                seconds=time.monotonic() - started,
                detail=f"no registry gave it: {error.detail[:120]}",
            )
        )
        image_id = _bootstrap(client, report, no_registry=error.detail)
    report(Progress(name=BASE, state="built", seconds=time.monotonic() - started))
    return image_id


def pull(
    client: docker.DockerClient,
    reference: str,
    report: Report,
    deadline_s: float = PULL_DEADLINE_S,
) -> str:
    """Pull `reference`; its image id. ImageError once nothing new was heard for `deadline_s`."""
    heard = time.monotonic()
    news: set[str] = set()
    report(Progress(name=reference, state="pulling", seconds=0.0))
    try:
        for event in _pull_events(client, reference, deadline_s):
            if "error" in event:
                raise _not_pulled(reference, str(event["error"]))
            if not str(event.get("status", "")).startswith("Retrying"):
                text = json.dumps(event, sort_keys=True)
                if text not in news:
                    news.add(text)
                    heard = time.monotonic()
            if time.monotonic() - heard > deadline_s:
                raise _not_pulled(reference, f"nothing new came for {deadline_s:g} s")
    except APIError as error:
        raise _not_pulled(reference, error.explanation or str(error)) from None
    except requests.exceptions.RequestException as error:
        with engine_errors(f"pulling {reference}"):
            client.ping()
        raise _not_pulled(
            reference, f"nothing came for {deadline_s:g} s ({type(error).__name__})"
        ) from None
    with engine_errors(f"pulling {reference}"):
        return str(client.images.get(reference).id)


def _pull_events(
    client: docker.DockerClient, reference: str, deadline_s: float
) -> Iterator[dict[str, object]]:
    """What the engine says while pulling. Unlike the driver's `pull`, silence has an end here."""
    repository, tag = utils.parse_repository_tag(reference)
    registry, _ = auth.resolve_repository_name(repository)
    header = auth.get_config_header(client.api, registry)
    with client.api.post(
        f"{client.api.base_url}/v{client.api.api_version}/images/create",
        params={"fromImage": repository, "tag": tag or "latest"},
        headers={"X-Registry-Auth": header} if header else {},
        stream=True,
        timeout=deadline_s,
    ) as response:
        if response.status_code >= 400:
            raise _not_pulled(reference, _message(response.text))
        for line in response.iter_lines():
            if line.strip():
                yield json.loads(line)


def _message(text: str) -> str:
    """An engine's refusal without its JSON."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(text)["message"])
    return text.strip()[:500]


def _not_pulled(reference: str, why: str) -> ImageError:
    if disk_is_full(why):
        return ImageError(
            f"the engine's disk is full: {reference} cannot be pulled",
            detail=why,
            fix="free space there: `aftershock images prune`, `docker system df`",
        )
    return ImageError(
        f"the image {reference} could not be pulled",
        detail=why,
        fix="check its name and the network; `docker load` brings an image in without a registry",
    )


def _bootstrap(client: docker.DockerClient, report: Report, *, no_registry: str) -> str:
    started = time.monotonic()

    def say(text: str) -> None:
        report(
            Progress(
                name=BASE,
                state="bootstrapping",
                detail=text[:100],
                seconds=time.monotonic() - started,
            )
        )

    _check_host(client, no_registry)
    if shutil.which("debootstrap") is None:
        if why := install.refusal():
            raise _cannot(f"debootstrap is not installed, and {why}", no_registry)
        install.packages(["debootstrap", "debian-archive-keyring"], say)
    work = Path(tempfile.mkdtemp(prefix="aftershock-base-", dir=_workspace()))
    try:
        root = work / "root"
        _debootstrap(root, say)
        _slim(root)
        report(Progress(name=BASE, state="importing", seconds=time.monotonic() - started))
        return _import(client, root)
    except OSError as error:
        raise _local_failure(error, work) from None
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", str(work)], check=False)


def _check_host(client: docker.DockerClient, no_registry: str) -> None:
    with engine_errors("asking for its architecture"):
        theirs = str(client.info().get("Architecture", ""))
    if platform.system() != "Linux" or theirs != platform.machine():
        raise _cannot(
            f"the engine runs {theirs} and this host is {platform.system()} {platform.machine()}",
            no_registry,
        )
    if refused := install.not_root():
        raise _cannot(refused, no_registry)


def _cannot(why: str, no_registry: str) -> ImageError:
    return ImageError(
        f"the base image {BASE} is not there, no registry gave it, and it cannot be made here: "
        f"{why}",
        detail=no_registry,
        fix=f"`docker pull {BASE}` where a registry answers, then `docker save` and `docker load`; "
        "or run `aftershock images build` as root on a Debian machine with debootstrap",
    )


def _workspace() -> str:
    """debootstrap needs a disk, not a small tmpfs."""
    return "/var/tmp" if Path("/var/tmp").is_dir() else tempfile.gettempdir()


def _debootstrap(root: Path, say: Callable[[str], None]) -> None:
    """Its own default mirror first, then the mirrors this host's apt is set to."""
    last: deque[str] = deque(maxlen=20)
    tried: list[str] = []
    for mirror in _mirrors():
        subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=False)
        command = [*_own_mounts(), "debootstrap", "--variant=minbase", SUITE, str(root), *mirror]
        tried.append(mirror[0] if mirror else "its default mirror")
        say(f"debootstrap from {tried[-1]}")
        if _run(command, last, say) == 0:
            return
        if disk_is_full("\n".join(last)):
            raise _no_room(root.parent)
    raise ImageError(
        f"debootstrap could not make {BASE} from {', '.join(tried)}",
        detail="\n".join(last),
        fix="check that a Debian mirror answers, or load the image with `docker load`",
    )


def _mirrors() -> Iterator[list[str]]:
    yield []
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        for uri in dict.fromkeys(listed.stdout.split()):
            if uri.rstrip("/").endswith("/debian"):
                yield [uri]


def _own_mounts() -> list[str]:
    """A mount namespace of its own, where allowed: what debootstrap mounts goes with it."""
    command = ["unshare", "--mount"]
    if shutil.which("unshare") is None:
        return []
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else []


def _run(command: list[str], last: deque[str], say: Callable[[str], None]) -> int:
    """Run with a deadline, reporting a line now and then; the exit code."""
    started = said = time.monotonic()
    with subprocess.Popen(
        ["timeout", f"{BOOTSTRAP_DEADLINE_S:.0f}", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            if time.monotonic() - said > 2.0:
                said = time.monotonic()
                say(line.strip())
    if process.returncode == 124:
        last.append(f"ended after {time.monotonic() - started:.0f} s: too slow")
    return process.returncode


def _slim(root: Path) -> None:
    """As small as the registry's slim image, and without traces of this host."""
    for name in _EMPTIED:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in _REMOVED:
        (root / name).unlink(missing_ok=True)
    for folder in (root / "usr/share/doc").glob("*/*"):
        if folder.name != "copyright":
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    (root / "etc/dpkg/dpkg.cfg.d/docker").write_text(_DPKG)
    (root / "etc/apt/apt.conf.d/docker").write_text(_APT)
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")  # packages must not start services in a build
    policy.chmod(0o755)


def _import(client: docker.DockerClient, root: Path) -> str:
    repository, _, tag = BASE.rpartition(":")
    archive = root.parent / "base.tar"
    packed = subprocess.run(
        [
            "tar",
            "--sort=name",
            "--mtime=@0",
            "--numeric-owner",
            "--one-file-system",
            "-C",
            str(root),
            "-cf",
            str(archive),
            ".",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if packed.returncode != 0:
        if disk_is_full(packed.stderr):
            raise _no_room(root.parent)
        raise ImageError(f"packing {BASE} failed", detail=packed.stderr[-2000:])
    try:
        with engine_errors(f"importing {BASE}"):
            client.api.import_image(
                src=str(archive), repository=repository, tag=tag, changes=['CMD ["bash"]']
            )
            return str(client.images.get(BASE).id)
    except EngineError as error:
        if disk_is_full(error.what):
            raise full_disk(client, f"importing {BASE}", error.detail) from None
        raise


def disk_is_full(text: str) -> bool:
    """Whether an error's text says that a disk has no room."""
    return "no space left on device" in text.lower()


def full_disk(client: docker.DockerClient, doing: str, detail: str) -> ImageError:
    """The error for an engine without room: which folder's disk, and what to do."""
    where = "its disk"
    with contextlib.suppress(Exception):
        where = f"the disk of {client.info()['DockerRootDir']}"
    return ImageError(
        f"the engine's disk is full: no space left on {where} while {doing}",
        detail=detail,
        fix="free space there: `aftershock images prune`, `docker system df`; then try again",
    )


def _no_room(place: Path) -> ImageError:
    return ImageError(
        f"the disk is full: {BASE} needs about 600 MB under {place.parent}",
        fix="free space there, then try again",
    )


def _local_failure(error: OSError, work: Path) -> ImageError:
    if disk_is_full(str(error)):
        return _no_room(work)
    return ImageError(
        f"{BASE} could not be made under {work.parent}: {error}",
        fix="look at that folder's rights and free space",
    )
