"""Helper containers: short errands that only the engine's host can do, with just the rights needed.

A helper runs the agent's image with chaos/agent/helper.py, has no network, ends when the controller
hangs up or dies, and the engine removes it then. It carries the run's labels like everything else.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import docker
from docker.errors import NotFound
from docker.types import Mount

from chaos.agent.ladder import ladder
from chaos.agent.link import AgentLink, Answer
from chaos.agent.loops import CONTROL, FOLDER, LOOP_MAJOR, SIZES_TO_TRY
from chaos.errors import AftershockError, EngineError, FaultError
from chaos.runtime.disks import Disk
from chaos.runtime.docker import LABEL_PART, engine_errors
from chaos.runtime.pod import AGENT_HOME, LOGS, attach
from chaos.spec.topology import Disk as DiskSpec
from chaos.systems.base import ContainerSpec

PROGRAM = ["python3", "-u", "-m", "chaos.agent.helper"]
MAKE_DEADLINE_S = 30.0
LOOP_RIGHTS: Mapping[str, Any] = {
    "cap_add": ["SYS_ADMIN"],  # to attach loop devices
    "devices": [f"{CONTROL}:{CONTROL}:rw"],
    "device_cgroup_rules": [f"b {LOOP_MAJOR}:* rwm"],
}


class Helper:
    """One helper container; leaving the `with` block ends it."""

    def __init__(
        self,
        client: docker.DockerClient,
        image: str,
        run: str,
        labels: Mapping[str, str],
        mounts: Sequence[tuple[str, str]] = (),
        **host: Any,
    ) -> None:
        """Start it. `run`: the prefix of the run's names. `mounts`: what it sees of the engine's
        host, (there, in the container). `host`: rights, in docker-py's words (`cap_add`, …)."""
        api = client.api
        with engine_errors("starting a helper container"):
            made = api.create_container(
                image,
                PROGRAM,
                name=f"{run}-helper-{secrets.token_hex(3)}",
                working_dir=AGENT_HOME,
                stdin_open=True,
                labels={**labels, LABEL_PART: "helper"},
                host_config=api.create_host_config(
                    network_mode="none",
                    auto_remove=True,
                    log_config=LOGS,
                    mounts=[Mount(inside, there, type="bind") for there, inside in mounts],
                    **host,
                ),
            )
            self._id = made["Id"]
            self._api = api
            self.link: AgentLink
            _, self.link = attach(client, made["Id"], "a helper container")

    def ask(self, do: str, deadline_s: float = 10.0, **arguments: Any) -> Answer:
        """Have it do something."""
        return self.link.ask(do, deadline_s, **arguments)

    def close(self) -> None:
        """End it: it reads end-of-file, undoes what it did and goes. Returns when it is gone."""
        self.link.close()
        doing = "waiting for a helper container to end"
        with engine_errors(doing), contextlib.suppress(NotFound):
            self._api.wait(self._id, timeout=10, condition="removed")

    def __enter__(self) -> Helper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextlib.contextmanager
def made_disks(
    client: docker.DockerClient,
    image: str,
    run: str,
    labels: Mapping[str, str],
    disk: DiskSpec | None,
    specs: Mapping[str, Sequence[ContainerSpec]],
) -> Iterator[dict[str, dict[str, Disk]]]:
    """A disk for every data directory of `specs` (node → its containers), if there is `disk:`.

    {node: {container's name: Disk}}. In the block the helper keeps them; after it those do who have
    a disk open: the nodes' agents.
    """
    if disk is None:
        yield {}
        return
    # The kernel shows the file's name for each loop device: it says whose it is.
    owners = {f"{run}-{n}-{s.name}": (n, s.name) for n in specs for s in specs[n] if s.data_dir}
    with engine_errors("making a volume for the disks' images"):
        client.volumes.create(f"{run}-disks", labels=dict(labels))
    binds = {f"{run}-disks": {"bind": FOLDER, "mode": "rw"}}
    with Helper(client, image, run, labels, binds=binds, **LOOP_RIGHTS) as helper:
        kind = disk.filesystem
        asked = {"names": list(owners), "filesystem": kind, "size_bytes": disk.size_bytes}
        try:
            made = helper.ask("make", MAKE_DEADLINE_S, **asked)["devices"]
        except FaultError as error:
            raise EngineError(
                f"the disks of the nodes could not be made: {error.what}",
                fix="`disk:` needs loop devices (Linux 5.8 or later) on the engine's host; leave it"
                " out to run without disk faults",
            ) from None
        found: dict[str, dict[str, Disk]] = {}
        for name, (node, container) in owners.items():
            found.setdefault(node, {})[container] = Disk(device=made[name], filesystem=kind)
        yield found


def disk_ladder(
    client: docker.DockerClient, image: str, run: str, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Which disks of our own the engine's host can make (chaos/agent/ladder.py), by trying."""
    try:
        with Helper(client, image, run, labels, **LOOP_RIGHTS) as helper:
            whys: dict[str, str] = helper.ask("try", MAKE_DEADLINE_S)["whys"]
    except AftershockError as error:  # no /dev/loop-control, or no SYS_ADMIN for containers
        whys = dict.fromkeys(SIZES_TO_TRY, error.what)
    return ladder(*((f"loop-{kind}", why) for kind, why in whys.items()))
