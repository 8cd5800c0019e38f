"""Images: which content each must have, and having it on the engine.

An image is a folder under `topologies/images/` with a Dockerfile, or one that another package
brings: an entry point of the group `aftershock.images` whose name is the image's and whose object
is the folder's path. Its tag holds a hash of the folder's content and of how its base is made
(`aftershock/redis:3f0c…`), so that a changed Dockerfile is a different image, the same one is
never built twice, and the tag is known without asking an engine.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType

import docker
from docker.errors import APIError, ImageNotFound

from chaos import paths
from chaos.errors import ImageError
from chaos.registry import did_you_mean
from chaos.runtime import base_image, image_build
from chaos.runtime.base_image import Progress, Report
from chaos.runtime.context_build import recipes
from chaos.runtime.docker import engine_errors
from chaos.runtime.image_build import LABEL_IMAGE, Recipe
from chaos.systems.compose.project import Build

__all__ = [
    "Image", "Progress", "Report", "build", "content_hash", "ensure", "folders", "list_images",
    "names", "prune", "reference",
]  # fmt: skip

SIDE_BY_SIDE = 4
GROUP = "aftershock.images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of ours on the engine, or one that could be built (`id` None)."""

    name: str  # its folder
    reference: str  # its tag, or its id when it has lost its tag
    id: str | None
    size_bytes: int
    current: bool  # its content is what the folder holds now


def folders(folder: Path | None = None) -> Mapping[str, Path]:
    """Image → its folder, sorted: those in `folder`, by default the shipped ones and then those of
    other packages. ImageError if a package's entry point is no folder with a Dockerfile."""
    found = {
        path.parent.name: path.parent for path in (folder or paths.images()).glob("*/Dockerfile")
    }
    for point in () if folder else entry_points(group=GROUP):
        found.setdefault(point.name, _brought(point))
    return dict(sorted(found.items()))


def names(folder: Path | None = None) -> list[str]:
    """The image folders there are, sorted. `folder`: where, by default as for `folders`."""
    return list(folders(folder))


def content_hash(name: str, folder: Path | None = None) -> str:
    """12 hex digits over every file of the image's folder and how its base is made."""
    return _recipe(name, folders(folder)).content


def reference(name: str, folder: Path | None = None) -> str:
    """The tag to run for `name`: `aftershock/<name>:<content>` for a folder of ours.

    Anything with a `/`, `:` or `@` is a reference already and returned as it is.
    """
    return name if _is_foreign(name) else _recipe(name, folders(folder)).reference


def ensure(
    wanted: Iterable[str],
    *,
    client: docker.DockerClient,
    progress: Report,
    folder: Path | None = None,
    fresh: bool = False,
    builds: Mapping[str, Build] = MappingProxyType({}),
) -> dict[str, str]:
    """Have every wanted image: {name or reference → image id}.

    Ours are built when their content is not there yet (`fresh`: built again anyway); others are
    pulled when they are not there. Independent ones go side by side; `progress` is called from this
    thread. ImageError carries the last lines of a failed build, after the others have ended.
    """
    unique = list(dict.fromkeys(wanted))
    ours = recipes({name: builds[name] for name in unique if name in builds})
    shipped = [name for name in unique if name not in ours and not _is_foreign(name)]
    known = folders(folder) if shipped else {}
    ours |= {name: _recipe(name, known) for name in shipped}
    tags = {name: ours[name].reference if name in ours else name for name in unique}
    done: dict[str, str] = {}
    with engine_errors("looking for images"):
        for name in unique:
            found = None if fresh else image_build.image_id(client, tags[name])
            if found is not None:
                done[name] = found
                progress(Progress(name=name, state="present", seconds=0.0))
    missing = [name for name in unique if name not in done]
    base_id = ""

    def make(name: str, report: Report) -> str:
        if name in ours:
            return image_build.build(client, ours[name], base_id, report, fresh=fresh)
        return base_image.pull(client, name, report)

    # What cannot be had at all is said before anything is built.
    building = [name for name in missing if name in ours]
    with engine_errors("looking for images"):
        under = dict.fromkeys(base for name in building for base in ours[name].bases())
        foreign = [name for name in under if image_build.image_id(client, name) is None]
    foreign += [name for name in missing if name not in ours]
    done.update(_side_by_side(foreign, make, progress, "pulled"))
    if any(ours[name].needs_base for name in building):
        base_id = base_image.ensure(client, progress)
    done.update(_side_by_side(building, make, progress))
    return {name: done[name] for name in unique}


def build(
    wanted: Iterable[str] = (),
    *,
    client: docker.DockerClient,
    progress: Report,
    folder: Path | None = None,
    fresh: bool = False,
) -> dict[str, str]:
    """Build image folders (all if none is named) whose content is not there: {name → image id}."""
    chosen = list(wanted) or names(folder)
    return ensure(chosen, client=client, progress=progress, folder=folder, fresh=fresh)


def list_images(client: docker.DockerClient, folder: Path | None = None) -> list[Image]:
    """Every image of ours on the engine, old ones too, and each folder not built yet."""
    known = folders(folder)
    current = {name: _recipe(name, known).reference for name in known}
    with engine_errors("listing images"):
        held = client.api.images(filters={"label": LABEL_IMAGE})
    rows = [
        Image(
            name=entry["Labels"][LABEL_IMAGE],
            reference=tag if tag != "<none>:<none>" else entry["Id"],
            id=entry["Id"],
            size_bytes=int(entry["Size"]),
            current=current.get(entry["Labels"][LABEL_IMAGE]) == tag,
        )
        for entry in held
        for tag in entry.get("RepoTags") or [entry["Id"]]
    ]
    there = {row.reference for row in rows}
    rows += [
        Image(name=name, reference=tag, id=None, size_bytes=0, current=True)
        for name, tag in current.items()
        if tag not in there
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
    removed = [
        row
        for row in list_images(client, folder)
        if not row.current
        and (chosen is None or row.name in chosen)
        and _removed(client, row.reference)
    ]
    with engine_errors("removing build stages"):
        for name in names(folder) if chosen is None else chosen:
            image_build.drop_stages(client, name)
    return removed


def _removed(client: docker.DockerClient, tag: str) -> bool:
    """Remove an image; False if a container uses it or it is gone already."""
    with engine_errors(f"removing the image {tag}"):
        try:
            client.images.remove(tag)
        except ImageNotFound:
            return False
        except APIError as error:
            if error.status_code == 409:
                return False
            raise
    return True


def _brought(point: EntryPoint) -> Path:
    """The image folder of another package; its module may fail in any way."""
    try:
        root = Path(point.load())
    except Exception as error:
        raise ImageError(
            f"the image {point.name} cannot be loaded: {type(error).__name__}: {error}",
            fix="install its package again, or remove it",
        ) from error
    if not (root / "Dockerfile").is_file():
        raise ImageError(
            f"the image {point.name}: expected a Dockerfile in {root}, found none",
            fix=f"have the package's entry point `{point.value}` name the folder that holds it",
        )
    return root


def _is_foreign(name: str) -> bool:
    return any(mark in name for mark in "/:@")


def _recipe(name: str, known: Mapping[str, Path]) -> Recipe:
    if name not in known:
        raise ImageError(
            f"expected an image folder, got `{name}`; known: {', '.join(known)}",
            fix=did_you_mean(name, known)
            or "an image from a registry is written with its tag, such as `image: postgres:17`",
        )
    return Recipe(name=name, root=known[name])


def _side_by_side(
    wanted: list[str], make: Callable[[str, Report], str], progress: Report, done: str = "built"
) -> dict[str, str]:
    """`make` each name in a thread; progress is reported here, in the caller's thread: `done` in
    the end. All that failed are named in one error.

    Daemon threads: when Ctrl-C ends this process, their connections close and the engine stops
    building.
    """
    events: queue.SimpleQueue[Progress | tuple[str, str | Exception]] = queue.SimpleQueue()
    slots = threading.Semaphore(SIDE_BY_SIDE)

    def work(name: str) -> None:
        with slots:
            started = time.monotonic()
            result = make_or_error(name)
            state = "failed" if isinstance(result, Exception) else done
            events.put(Progress(name=name, state=state, seconds=time.monotonic() - started))
            events.put((name, result))

    def make_or_error(name: str) -> str | Exception:
        try:
            return make(name, events.put)
        except Exception as error:
            return error

    for name in wanted:
        threading.Thread(target=work, args=(name,), name=f"image {name}", daemon=True).start()
    made: dict[str, str] = {}
    failed: dict[str, Exception] = {}
    while len(made) + len(failed) < len(wanted):
        event = events.get()
        if isinstance(event, Progress):
            progress(event)
        elif isinstance(event[1], Exception):
            failed[event[0]] = event[1]
        else:
            made[event[0]] = event[1]
    if failed:
        raise _cannot_be_had(failed)
    return made


def _cannot_be_had(failed: Mapping[str, Exception]) -> Exception:
    """One error for all; one that is no image's fault before others."""
    other = [error for error in failed.values() if not isinstance(error, ImageError)]
    if other:
        return other[0]
    errors = {name: e for name, e in sorted(failed.items()) if isinstance(e, ImageError)}
    ships = dict.fromkeys(
        _repository(name) for name in sorted(failed) if _repository(name) in names()
    )
    hints = [f"`image: aftershock/{name}` is one that ships" for name in ships]
    fix = "; ".join([*dict.fromkeys(e.fix for e in errors.values() if e.fix), *hints])
    if len(errors) == 1:
        (one,) = errors.values()
        return ImageError(one.what, detail=one.detail, fix=fix)
    lines = []
    for name, error in errors.items():
        said = error.detail.strip().splitlines() or [error.what]
        lines += [f"{name}: {said[-1]}"] if _is_foreign(name) else [error.what, *said]
    return ImageError(
        f"{len(errors)} images cannot be had: {', '.join(errors)}", detail="\n".join(lines), fix=fix
    )


def _repository(reference: str) -> str:
    """`postgres` of docker.io/library/postgres:17; "" of an image of ours."""
    name = reference.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return name if _is_foreign(reference) else ""
