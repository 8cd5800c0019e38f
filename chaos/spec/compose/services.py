"""One service of a Compose file, as its nodes are to run it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos import paths
from chaos.registry import did_you_mean
from chaos.spec.compose import keys, shapes
from chaos.spec.compose.document import Reader
from chaos.spec.compose.files import Places, lent, mounts
from chaos.spec.compose.variables import Unfilled, read_env
from chaos.spec.load import Value
from chaos.systems.compose.project import Build, Service
from chaos.units import shown

OURS = "aftershock/"  # before an image's name: one of the images that ship
REPLICAS_MAX = 16
_REFERENCE = re.compile(r"[a-z0-9][a-z0-9._/:-]*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
OWN_KEYS = ("zone", "zones", "port", "knock")
ZONE_LABEL = "x-chaos.zone"
RESTARTS = ("always", "unless-stopped", "on-failure")
ANSWERS_NEW_PRIVILEGES = ("no-new-privileges:true", "no-new-privileges=true", "no-new-privileges")


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a service refers to: declarations of its file, and the zones of the topology."""

    volumes: Mapping[str, Value]
    secrets: Mapping[str, Value]
    configs: Mapping[str, Value]
    zones: Sequence[str]
    without: Sequence[str]  # keys that the user lets go


def read_service(reader: Reader, name: str, value: Value, around: Around) -> Service | None:
    """The service, as far as it can be read; None if its name alone is wrong."""
    if not _SERVICE.fullmatch(name):
        reader.wrong(value, "expected a service's name of letters, digits, `-`, `_` and `.`, at "
                     f"most 40, got {shown(name)}", key=True)  # fmt: skip
        return None
    at = reader.mapping(value, "a service")
    if value.data is None:
        reader.wrong(value, f"expected a service, `{name}` is empty", key=True)
    what = f"the service `{name}`"
    keys.check_keys(reader, at, what, keys.UNDERSTOOD, keys.REFUSED, keys.HARMLESS, around.without)
    own = reader.mapping(at.get("x-chaos"), "what Aftershock is told of it")
    keys.check_keys(reader, own, "a service's x-chaos", OWN_KEYS, {}, {})
    image, build = _image(reader, name, value, at)
    places = mounts(reader, at.get("volumes"), around.volumes)
    replicas = _replicas(reader, at)
    lent_some = bool(places.copies or at.keys() & {"configs", "secrets"})
    if lent_some and reader.flag(at.get("read_only")):
        reader.wrong(at["read_only"], "what is lent is copied into the container, which cannot be"
                     " read-only then", "leave `read_only:` out", key=True)  # fmt: skip
    copies = [
        *places.copies,
        *lent(reader, at.get("configs"), "configs", around.configs),
        *lent(reader, at.get("secrets"), "secrets", around.secrets),
    ]
    return Service(
        name=name,
        zones=_zones(reader, at, own, around.zones),
        image=image or "",
        build=build,
        replicas=replicas,
        command=shapes.arguments(reader, at.get("command")),
        entrypoint=shapes.arguments(reader, at.get("entrypoint")),
        environment=_environment(reader, at),
        data=next(iter(places.anonymous), None),
        volumes=_volumes(name, places),
        copies=copies,
        needs=[need for _, need in shapes.needs(reader, at.get("depends_on"))],
        health=shapes.health(reader, at.get("healthcheck")),
        names=_names(reader, name, at),
        ports=_ports(reader, at, own),
        knock=_knock(reader, own.get("knock")),
        user=reader.text(at.get("user")),
        restarts=(reader.text(at.get("restart")) or "no").partition(":")[0] in RESTARTS,
        options=_options(reader, at, places),
    )


def _volumes(name: str, places: Places) -> dict[str, str]:
    """All but the first of a service's own volumes are the project's, with names of their own."""
    more = {path: f"{name}-{k}" for k, path in enumerate(places.anonymous[1:], 2)}
    return {**places.named, **more}


def _image(
    reader: Reader, name: str, value: Value, at: Mapping[str, Value]
) -> tuple[str | None, Build | None]:
    """The image's reference, and how it is built if it is."""
    image = at.get("image")
    said = reader.text(image, "an image")
    build = _build(reader, at["build"]) if "build" in at else None
    if build is not None:
        return f"compose-{name.lower()}", build
    if "build" in at:
        return None, None
    if not said or image is None:
        reader.wrong(
            image or value,
            f"expected `image:` or `build:` for the service `{name}`, found neither",
            "add one",
            key=image is None,
        )
        return None, None
    if not _REFERENCE.fullmatch(said):
        reader.wrong(image, f"expected an image such as redis:8, got {shown(said)}")
        return None, None
    if said.startswith(OURS) and said.count("/") == 1 and said.partition(":")[2] in ("", "latest"):
        return _shipped(reader, image, said.removeprefix(OURS).partition(":")[0]), None
    tagged = ":" in said.rpartition("/")[2] or "@" in said
    return said if tagged else f"{said}:latest", None


def _shipped(reader: Reader, image: Value, folder: str) -> str | None:
    known = sorted(path.parent.name for path in paths.images().glob("*/Dockerfile"))
    if folder in known:
        return folder
    reader.wrong(
        image,
        f"unknown image {shown(OURS + folder)}; those that ship: {', '.join(known)}",
        did_you_mean(folder, known),
    )
    return None


def _build(reader: Reader, value: Value) -> Build | None:
    at = {"context": value} if isinstance(value.data, str) else reader.mapping(value, "a build")
    refused = keys.BUILD_REFUSED
    harmless = dict.fromkeys(keys.BUILD_HARMLESS, "the engine's plain builder is used")
    keys.check_keys(reader, at, "`build:`", keys.BUILD, refused, harmless)
    context = at.get("context")
    where = reader.text(context, "a folder") or "."
    folder = (reader.folder / Path(where).expanduser()).resolve()
    place = context or value
    if "://" in where or where.startswith("git@"):
        fix = "fetch it, and name its folder"
        reader.wrong(place, f"expected a folder of this host, got {shown(where)}", fix)
        return None
    if not folder.is_dir():
        reader.wrong(place, f"expected a folder to build in, found none at {shown(where)}",
                     "it is relative to the Compose file")  # fmt: skip
        return None
    text = reader.text(at.get("dockerfile_inline"))
    dockerfile = reader.text(at.get("dockerfile")) or "Dockerfile"
    if text is None and not (folder / dockerfile).is_file():
        got = shown(f"{where}/{dockerfile}")
        reader.wrong(at.get("dockerfile") or place, f"expected a Dockerfile, found none at {got}")
        return None
    given = shapes.pairs(reader, at.get("args"), "arguments")
    arguments = {n: reader.known.get(n, "") if v is None else v for n, (_, v) in given.items()}
    return Build(
        context=folder,
        dockerfile=dockerfile,
        text=text,
        target=reader.text(at.get("target")),
        arguments=arguments,
    )


def _environment(reader: Reader, at: Mapping[str, Value]) -> dict[str, str]:
    """`env_file:` first, then `environment:`; a name without a value is this process's own."""
    found: dict[str, str] = {}
    listed = at.get("env_file")
    files = [listed] if listed is not None and not isinstance(listed.data, list) else (
        reader.items(listed)
    )  # fmt: skip
    for item in files:
        part = item.data if isinstance(item.data, dict) else {"path": item}
        name = reader.text(part.get("path"), "a file's path")
        if name is None:
            continue
        path = reader.folder / Path(name).expanduser()
        required = part.get("required")
        if not path.is_file():
            if required is None or reader.flag(required):
                reader.wrong(item, f"expected a file of NAME=value lines, found none at {name}")
            continue
        try:
            found |= read_env(path)
        except Unfilled as error:
            reader.wrong(item, str(error), error.fix)
    for name, (_, text) in shapes.pairs(reader, at.get("environment"), "variables").items():
        if text is not None:
            found[name] = text
        elif name in reader.known:
            found[name] = reader.known[name]
    return found


def _replicas(reader: Reader, at: Mapping[str, Value]) -> int:
    deploy = reader.mapping(at.get("deploy"))
    swarm = dict.fromkeys(keys.DEPLOY_HARMLESS, "it is for Swarm")
    keys.check_keys(reader, deploy, "`deploy:`", keys.DEPLOY, {}, swarm)
    asked = reader.whole(deploy.get("replicas"), 1, REPLICAS_MAX)
    return asked or reader.whole(at.get("scale"), 1, REPLICAS_MAX) or 1


def _zones(
    reader: Reader, at: Mapping[str, Value], own: Mapping[str, Value], zones: Sequence[str]
) -> list[str]:
    """Where its nodes are: `x-chaos: {zone: …}`, its label, or the first zone there is."""
    labels = shapes.pairs(reader, at.get("labels"), "labels")
    place, label = labels.get(ZONE_LABEL, (None, None))
    asked = [own["zone"]] if "zone" in own else reader.items(own.get("zones"), "a list of zones")
    if not asked and place is not None:
        asked = [Value(data=label, mark=place.mark)]
    found: list[str] = []
    for item in asked:
        zone = reader.text(item, "a zone")
        if zone is not None and zone in zones:
            found.append(zone)
        elif zone is not None:
            fix = did_you_mean(zone, zones) or "write it into `x-chaos: {regions: …}`"
            reader.wrong(item, f"unknown zone {shown(zone)}; known: {', '.join(zones)}", fix)
    return found or list(zones[:1])


def _ports(reader: Reader, at: Mapping[str, Value], own: Mapping[str, Value]) -> list[int]:
    first = reader.whole(own.get("port"), 1, 65535)
    listed = [
        *shapes.ports(reader, at.get("ports")),
        *shapes.ports(reader, at.get("expose")),
    ]
    return list(dict.fromkeys([first, *listed] if first else listed))


def _knock(reader: Reader, value: Value | None) -> bytes | None:
    text = reader.text(value)
    return None if text is None else text.encode()


def _names(reader: Reader, name: str, at: Mapping[str, Value]) -> list[str]:
    """Whatever else others may call it, as Compose lets them."""
    found = [name, reader.text(at.get("container_name")), reader.text(at.get("hostname"))]
    networks = at.get("networks")
    if networks is not None and isinstance(networks.data, dict):
        for item in networks.data.values():
            part = reader.mapping(item)
            found += [reader.text(alias) for alias in reader.items(part.get("aliases"))]
            for key in part.keys() & {"ipv4_address", "ipv6_address", "mac_address"}:
                reader.note(part[key], f"`{key}` is left out: a run has addresses of its own")
    else:
        for item in reader.items(networks, "a list of networks"):
            reader.text(item, "a network's name")
    return list(dict.fromkeys(each for each in found if each))


def linked(reader: Reader, at: Mapping[str, Value]) -> list[tuple[str, str]]:
    """`links:`: (service, what it is called)."""
    found = []
    for item in reader.items(at.get("links"), "a list of links"):
        text = reader.text(item, "a link") or ""
        service, _, alias = text.partition(":")
        found.append((service, alias or service))
    return found


def _options(reader: Reader, at: Mapping[str, Value], places: Places) -> dict[str, Any]:
    """What the engine is told, in its driver's words; what is not asked for is left out."""
    limits = reader.mapping(
        reader.mapping(reader.mapping(at.get("deploy")).get("resources")).get("limits")
    )
    tmpfs = at.get("tmpfs")
    items = [tmpfs] if tmpfs is not None and not isinstance(tmpfs.data, list) else (
        reader.items(tmpfs)
    )  # fmt: skip
    memory = {path: options for text in map(reader.text, items) if text
              for path, _, options in [text.partition(":")]} | places.tmpfs  # fmt: skip
    security = []
    for item in reader.items(at.get("security_opt")):
        if (text := reader.text(item)) in ANSWERS_NEW_PRIVILEGES:
            security.append("no-new-privileges")
        elif text is not None:
            reader.wrong(item, f"{shown(text)} is not supported: only no-new-privileges:true is")
    asked = {
        "working_dir": reader.text(at.get("working_dir")),
        "read_only": reader.flag(at.get("read_only")),
        "stop_signal": reader.text(at.get("stop_signal")),
        "shm_size": shapes.size_bytes(reader, at.get("shm_size")),
        "mem_limit": shapes.size_bytes(reader, limits.get("memory") or at.get("mem_limit")),
        "nano_cpus": shapes.cpus(reader, limits.get("cpus") or at.get("cpus")),
        "pids_limit": reader.whole(at.get("pids_limit"), 1, 10**9),
        "cap_drop": [t for i in reader.items(at.get("cap_drop")) if (t := reader.text(i))],
        "group_add": [t for i in reader.items(at.get("group_add")) if (t := reader.text(i))],
        "security_opt": security,
        "tmpfs": memory,
        "ulimits": _ulimits(reader, at.get("ulimits")),
    }
    return {name: value for name, value in asked.items() if value}


def _ulimits(reader: Reader, value: Value | None) -> list[dict[str, Any]]:
    found = []
    for name, item in reader.mapping(value, "limits").items():
        part = item.data if isinstance(item.data, dict) else {"soft": item, "hard": item}
        soft, hard = (reader.whole(part.get(key), 0, 2**31) for key in ("soft", "hard"))
        if soft is not None and hard is not None:
            found.append({"name": name, "soft": soft, "hard": hard})
    return found
