"""The engine's API as this project uses it: labelled objects, deadlines, and errors that say why.

Everything made here carries `aftershock.run` (which run), `aftershock.topology` and
`aftershock.owner` (the controller's process, so that leftovers of a dead one are told from a run
that goes on). Networks come from 198.18.0.0/15, the range set aside for benchmarking (RFC 2544).
"""

from __future__ import annotations

import contextlib
import io
import ipaddress
import os
import random
import socket
import tarfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, NotFound
from docker.types import IPAMConfig, IPAMPool

from chaos.errors import EngineError
from chaos.record.liveness import started

LABEL_RUN = "aftershock.run"
LABEL_TOPOLOGY = "aftershock.topology"
LABEL_OWNER = "aftershock.owner"
LABEL_RECORD = "aftershock.record"  # the run directory, as the controller's host names it
LABEL_SPEC = "aftershock.spec"  # what attached.py needs to know a cluster again
LABEL_NODE = "aftershock.node"
LABEL_ZONE = "aftershock.zone"
LABEL_PART = "aftershock.part"  # agent | database | toxiproxy

NETWORK_S = 5.0  # for a network whose containers are gone to go, too
KEEP = "kept"  # owner of what `aftershock up` leaves running on purpose
RANGE = ipaddress.ip_network("198.18.0.0/15")


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn the driver's exceptions into an EngineError that says what was being done."""
    try:
        yield
    except (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        urllib3.exceptions.HTTPError,
    ) as error:  # the last is what a stream that breaks off raises, past the driver
        raise EngineError(
            f"the container engine stopped answering while {doing}",
            fix="look at `docker info`; `aftershock down --all` removes what is left",
            detail=str(error)[:300],
        ) from None
    except APIError as error:
        text = error.explanation or str(error)
        fix = "`aftershock down --all` removes leftovers"
        if "no space left" in text.lower():
            fix = "free disk space: `aftershock images prune`, `docker system df`"
        raise EngineError(f"the container engine refused {doing}: {text}", fix=fix) from None
    except DockerException as error:
        raise EngineError(f"{doing}: {error}") from None


def owner() -> str:
    """This controller: host, process id and its start time, so that a reused id is not it."""
    return f"{socket.gethostname()}:{os.getpid()}:{started(os.getpid())}"


def owner_alive(label: str) -> bool:
    """Whether the controller that wrote `label` still runs. On another host: assume it does."""
    if label == KEEP:
        return True
    host, _, rest = label.partition(":")
    pid, _, since = rest.partition(":")
    if host != socket.gethostname():
        return True
    return pid.isdigit() and str(started(int(pid))) == since


def archive(files: Mapping[str, str], mode: int = 0o644) -> bytes:
    """A tar of `files` (absolute path → text), folders included, for `put_archive` at /."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def create_network(client: docker.DockerClient, name: str, labels: Mapping[str, str]) -> Any:
    """A bridge network on a /24 of RANGE that neither the engine nor this host uses."""
    with engine_errors("making a network"):
        taken = list(_taken_subnets(client))
        free = [
            net
            for net in RANGE.subnets(new_prefix=24)
            if not any(net.overlaps(other) for other in taken)
        ]
        random.shuffle(free)  # two runs that start at once rarely want the same one
        for subnet in free[:20]:
            pool = IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))
            try:
                return client.networks.create(
                    name,
                    driver="bridge",
                    ipam=IPAMConfig(pool_configs=[pool]),
                    labels=dict(labels),
                    check_duplicate=False,
                )
            except APIError as error:
                if "overlap" not in str(error).lower():
                    raise
    raise EngineError(
        f"no free /24 in {RANGE} for a test network",
        fix="`aftershock down --all` removes networks of earlier runs",
    )


def _taken_subnets(client: docker.DockerClient) -> Iterator[ipaddress.IPv4Network]:
    for network in client.networks.list():
        for config in (network.attrs.get("IPAM") or {}).get("Config") or []:
            with contextlib.suppress(ValueError, KeyError):
                yield ipaddress.IPv4Network(config["Subnet"])
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/route").read_text().splitlines()[1:]:
            columns = line.split()
            address, mask = (int(columns[i], 16).to_bytes(4, "little") for i in (1, 7))
            if any(mask):
                yield ipaddress.IPv4Network((int.from_bytes(address), _bits(mask)), strict=False)


def _bits(mask: bytes) -> int:
    return int.from_bytes(mask).bit_count()


def reaches_directly(gateway: str) -> bool:
    """Whether the network's bridge is on this very host, so that its addresses can be dialled.

    Binding to the gateway's address works just where the address is ours: not with Docker Desktop
    or a remote engine. AFTERSHOCK_PUBLISH=1 says no, for trying the published path here.
    """
    if os.environ.get("AFTERSHOCK_PUBLISH") == "1":
        return False
    with socket.socket() as probe:
        try:
            probe.bind((gateway, 0))
        except OSError:
            return False
    return True


def remove_run(client: docker.DockerClient, run_id: str) -> dict[str, int]:
    """Remove every container, network and volume of `run_id`; how many of each went."""
    where: dict[str, Any] = {"label": f"{LABEL_RUN}={run_id}"}
    with engine_errors("removing what a run left"), ThreadPoolExecutor(8) as pool:
        found = client.containers.list(all=True, filters=where, ignore_removed=True)
        agents = [c for c in found if c.labels.get(LABEL_PART) == "agent"]
        others = [c for c in found if c not in agents]
        # Databases first: the agent holds their namespaces.
        containers = sum(pool.map(_remove_container, others))
        containers += sum(pool.map(_remove_container, agents))
        networks = sum(_remove_network(n) for n in client.networks.list(filters=where))
        volumes = sum(pool.map(_remove_volume, client.volumes.list(filters=where)))
    return {"containers": containers, "networks": networks, "volumes": volumes}


def _remove_container(container: Any) -> bool:
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return False
    except APIError as error:
        if error.status_code == 409:  # somebody else is removing it just now
            return False
        raise
    return True


def _remove_network(network: Any) -> bool:
    end = time.monotonic() + NETWORK_S
    while True:
        try:
            network.remove()
        except NotFound:
            return False
        except APIError as error:
            # 403: a container that somebody else is removing still holds it; or the engine has lost
            # count of those that did (20.10 under load), which only its next start mends.
            if error.status_code != 403:
                raise
            if time.monotonic() > end:
                if _holders(network):
                    raise
                return False
            time.sleep(0.1)
        else:
            return True


def _holders(network: Any) -> Mapping[str, Any]:
    """The containers in a network, by id, as the engine tells them."""
    try:
        network.reload()
    except NotFound:
        return {}
    return network.attrs.get("Containers") or {}


def _remove_volume(volume: Any) -> bool:
    try:
        volume.remove(force=True)
    except NotFound:
        return False
    return True


def runs(client: docker.DockerClient) -> dict[str, dict[str, str]]:
    """Every run with something left on the engine: {run id: its labels}."""
    found: dict[str, dict[str, str]] = {}
    with engine_errors("looking for runs"):
        where: dict[str, Any] = {"label": LABEL_RUN}
        for container in client.containers.list(all=True, filters=where, ignore_removed=True):
            found.setdefault(container.labels[LABEL_RUN], dict(container.labels))
        for thing in (*client.networks.list(filters=where), *client.volumes.list(filters=where)):
            labels = thing.attrs.get("Labels") or {}
            if LABEL_RUN in labels:
                found.setdefault(labels[LABEL_RUN], dict(labels))
    return found


def leftovers(client: docker.DockerClient) -> dict[str, dict[str, str]]:
    """Runs whose controller is dead: {run id: labels}."""
    return {
        run: labels
        for run, labels in runs(client).items()
        if not owner_alive(labels.get(LABEL_OWNER, ""))
    }
