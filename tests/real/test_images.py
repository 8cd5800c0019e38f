"""Images on a real engine: built by content, lent nothing that stays, removed when outdated."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from chaos import paths
from chaos.errors import EngineError, ImageError
from chaos.runtime import base_image, daemon, engine, image_build, images, install
from chaos.runtime.images import Progress

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s*(.+?)\s*-----END CERTIFICATE-----", re.DOTALL)


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    found = engine.ensure(print)
    made = engine.client(found)
    yield made
    made.close()


@pytest.fixture
def throwaway(client: docker.DockerClient, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Write an image folder under tmp_path; every image of its name is removed at the end."""
    made: list[str] = []

    def write(dockerfile: str, **files: str) -> str:
        name = made[0] if made else f"throwaway-{uuid.uuid4().hex[:8]}"
        made[:] = [name]
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        (root / "Dockerfile").write_text(dockerfile)
        for file, text in files.items():
            (root / file).write_text(text)
        return name

    yield write
    for name in made:
        for row in client.images.list(filters={"label": f"aftershock.image={name}"}):
            client.images.remove(row.id, force=True)


def quiet(_: Progress) -> None:
    """Progress nobody looks at."""


def certificates(text: bytes) -> set[bytes]:
    return {re.sub(rb"\s", b"", body) for body in PEM.findall(text)}


def certificates_inside(client: docker.DockerClient, reference: str) -> set[bytes]:
    """Every PEM certificate in any file of the image."""
    found: set[bytes] = set()
    container = client.containers.create(reference, command=["none"])
    with tempfile.TemporaryFile() as archive:
        try:
            for chunk in container.export(chunk_size=1 << 20):
                archive.write(chunk)
        finally:
            container.remove()
        archive.seek(0)
        with tarfile.open(fileobj=archive) as tar:
            for entry in tar:
                file = tar.extractfile(entry) if entry.isfile() else None
                if file is not None:
                    found |= certificates(file.read())
    return found


def test_all_shipped_images_are_there_and_a_second_time_costs_nothing(
    client: docker.DockerClient,
) -> None:
    built = images.build(client=client, progress=quiet)
    assert set(built) == set(images.names())
    seen: list[Progress] = []
    started = time.monotonic()
    assert images.build(client=client, progress=seen.append) == built
    assert time.monotonic() - started < 2
    assert {progress.state for progress in seen} == {"present"}
    rows = {row.name: row for row in images.list_images(client) if row.current}
    assert {name: rows[name].id for name in built} == built


@pytest.mark.parametrize(
    ("name", "command", "expected"),
    [
        ("postgres", ["postgres", "--version"], "PostgreSQL) 17."),
        ("redis", ["redis-server", "--version"], "v=8."),
        ("redis", ["redis-benchmark", "--version"], "redis-benchmark 8."),
        ("redis", ["readlink", "/usr/bin/redis-sentinel"], "redis"),
        ("etcd", ["etcd", "--version"], "etcd Version: 3.5."),
        ("etcd", ["etcdctl", "version"], "etcdctl version: 3.5."),
        ("agent", ["nft", "--version"], "nftables v1."),
        (
            "agent",
            ["python3", "-c", "import ctypes; print(ctypes.CDLL('libnftables.so.1'))"],
            "libnftables",
        ),
        ("toxiproxy", ["-version"], "toxiproxy-server version"),
    ],
)
def test_each_image_holds_its_programs(
    client: docker.DockerClient, name: str, command: list[str], expected: str
) -> None:
    images.ensure([name], client=client, progress=quiet)
    output = client.containers.run(images.reference(name), command, remove=True)
    assert expected in output.decode()


def test_an_image_is_rebuilt_when_its_content_changes_and_only_then(
    client: docker.DockerClient, throwaway: Callable[..., str], tmp_path: Path
) -> None:
    name = throwaway("FROM scratch\nCOPY data /data\n", data="one")
    first = images.build([name], client=client, progress=quiet, folder=tmp_path)[name]
    seen: list[Progress] = []
    assert images.build([name], client=client, progress=seen.append, folder=tmp_path)[name] == first
    assert [progress.state for progress in seen] == ["present"]
    old = images.reference(name, tmp_path)
    throwaway("FROM scratch\nCOPY data /data\n", data="two")
    second = images.build([name], client=client, progress=quiet, folder=tmp_path)[name]
    assert second != first
    attributes = client.images.get(images.reference(name, tmp_path)).labels
    assert attributes["aftershock.image"] == name
    assert attributes["aftershock.content"] == images.content_hash(name, tmp_path)

    removed = images.prune(client, only=[name], folder=tmp_path)
    assert [row.reference for row in removed] == [old]
    left = [row for row in images.list_images(client, tmp_path) if row.name == name]
    assert [(row.id, row.current) for row in left] == [(second, True)]


def test_prune_keeps_an_outdated_image_that_a_container_uses(
    client: docker.DockerClient, throwaway: Callable[..., str], tmp_path: Path
) -> None:
    name = throwaway("FROM scratch\nCOPY data /data\n", data="one")
    first = images.build([name], client=client, progress=quiet, folder=tmp_path)[name]
    user = client.containers.create(images.reference(name, tmp_path), command=["none"])
    try:
        throwaway("FROM scratch\nCOPY data /data\n", data="two")
        assert images.prune(client, only=[name], folder=tmp_path) == []
        assert client.images.get(first).id == first
    finally:
        user.remove()
    assert len(images.prune(client, only=[name], folder=tmp_path)) == 1


def test_a_failed_build_shows_its_last_lines(
    client: docker.DockerClient, throwaway: Callable[..., str], tmp_path: Path
) -> None:
    base_image.ensure(client, quiet)
    name = throwaway(
        f"FROM {base_image.BASE}\nRUN for i in $(seq 60); do echo line-$i; done; exit 7\n"
    )
    seen: list[Progress] = []
    with pytest.raises(ImageError) as caught:
        images.build([name], client=client, progress=seen.append, folder=tmp_path)
    assert name in caught.value.what
    assert "7" in caught.value.what
    assert "line-60" in caught.value.detail
    assert len(caught.value.detail.splitlines()) <= 20
    assert seen[-1].state == "failed"


def test_no_image_holds_a_certificate_of_this_host(
    client: docker.DockerClient, throwaway: Callable[..., str], tmp_path: Path
) -> None:
    lent = certificates(image_build.ca_bundle())
    assert lent, "this host has no certificates to lend"
    control = throwaway("# lends: ca\nFROM scratch\nCOPY ca.crt /kept.crt\n")
    images.build([control], client=client, progress=quiet, folder=tmp_path)
    assert certificates_inside(client, images.reference(control, tmp_path)) == lent

    # What Debian's packages bring along is nobody's secret: Patroni's image has its
    # ca-certificates, and into Node.js older ones are compiled.
    node = throwaway(
        f"FROM {base_image.BASE}\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends nodejs\n"
    )
    images.build([node], client=client, progress=quiet, folder=tmp_path)
    compiled_in = certificates_inside(client, images.reference(node, tmp_path))
    built = images.build(client=client, progress=quiet)
    files = {name: (paths.images() / name / "Dockerfile").read_text() for name in built}
    lends = {name for name, text in files.items() if "# lends: ca" in text}
    public = certificates_inside(client, images.reference("patroni")) | compiled_in
    assert lends
    assert "patroni" not in lends
    for name in built:
        reference = images.reference(name)
        inside = certificates_inside(client, reference)
        assert not inside & (lent - public), f"{name} holds what was lent"
        assert name not in lends or not inside & (lent - compiled_in), f"{name} holds what was lent"
        told = str(client.images.get(reference).attrs["Config"]) + str(
            client.api.history(reference)
        )
        assert "CERTIFICATE" not in told
        assert not re.search(r"https?_proxy", told, re.IGNORECASE)


def test_the_stage_that_was_lent_the_bundle_is_gone(
    client: docker.DockerClient, throwaway: Callable[..., str], tmp_path: Path
) -> None:
    name = throwaway("")
    throwaway(
        f"# lends: ca\nFROM scratch AS build\nLABEL aftershock.stage={name}\n"
        "COPY ca.crt /ca.crt\nCOPY data /data\n\nFROM scratch\nCOPY --from=build /data /data\n",
        data="result",
    )
    images.build([name], client=client, progress=quiet, folder=tmp_path)
    assert not certificates_inside(client, images.reference(name, tmp_path))
    assert client.images.list(filters={"label": f"aftershock.stage={name}"}, all=True) == []


def test_a_registry_that_never_answers_costs_the_deadline_and_no_more(
    client: docker.DockerClient,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        started = time.monotonic()
        with pytest.raises(ImageError, match="could not be pulled"):
            base_image.pull(client, f"127.0.0.1:{port}/nobody/none:1", quiet, deadline_s=1.5)
        assert time.monotonic() - started < 4


def test_an_image_nobody_has_is_named_in_the_error(client: docker.DockerClient) -> None:
    with pytest.raises(ImageError, match=r"127\.0\.0\.1:9/nobody/none:1"):
        images.ensure(["127.0.0.1:9/nobody/none:1"], client=client, progress=quiet)


def test_an_engine_that_stops_in_mid_build_is_said(
    client: docker.DockerClient, throwaway: Callable[..., str], tmp_path: Path
) -> None:
    base_image.ensure(client, quiet)
    name = throwaway(f"FROM {base_image.BASE}\nRUN sleep 20\n")
    with relay(tmp_path / "relay.sock") as cut:
        through = docker.DockerClient(base_url=f"unix://{tmp_path}/relay.sock", timeout=10)
        threading.Timer(2.0, cut).start()
        started = time.monotonic()
        with pytest.raises(EngineError, match="stopped answering") as caught:
            images.build([name], client=through, progress=quiet, folder=tmp_path)
        through.close()
    assert not isinstance(caught.value, ImageError)
    assert time.monotonic() - started < 10


@contextlib.contextmanager
def relay(path: Path) -> Iterator[Callable[[], None]]:
    """A socket that passes bytes to the real engine until `cut`: then it is gone for good."""
    target = engine.ensure(print).url.removeprefix("unix://")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    ends: list[socket.socket] = [server]

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(target)
                ends.extend((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    def cut() -> None:
        path.unlink(missing_ok=True)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    threading.Thread(target=accept, daemon=True).start()
    yield cut
    cut()


needs_root = pytest.mark.skipif(
    install.not_root() is not None, reason="starting an engine and making a base image need root"
)


@needs_root
def test_without_a_registry_the_base_is_made_here(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = f"127.0.0.1:9/throwaway-{uuid.uuid4().hex[:8]}:trixie-slim"  # nobody listens there
    monkeypatch.setattr(base_image, "BASE", reference)
    seen: list[Progress] = []
    try:
        base_image.ensure(client, seen.append)
        size = client.images.get(reference).attrs["Size"]
        told = client.containers.run(
            reference,
            ["sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME; "
             "find /var/lib/apt/lists /var/cache/apt /usr/share/man /usr/share/locale /var/log "
             "/etc/machine-id -type f; true"],
            remove=True,
        )  # fmt: skip
    finally:
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.remove(reference)
    states = list(dict.fromkeys(progress.state for progress in seen))
    assert states == ["pulling", "bootstrapping", "importing", "built"]
    assert size < 120_000_000
    assert told.decode().split("\n", 1) == ["trixie", ""], "left over in the base image"


@pytest.fixture
def second_engine(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Another dockerd, with nothing shared, its data on a disk of 48 MB: (url, what was said).

    In a network namespace of its own: a dockerd told to have no bridge removes `docker0`, which
    belongs to the engine that the rest of this machine uses.
    """
    before = bridge()
    data = tmp_path / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", data], check=True)
    # A socket's path has at most 107 characters, and containerd's is below the second one.
    short = Path("/tmp") / f"as-{uuid.uuid4().hex[:8]}"
    pid_file, sock, execs = tmp_path / "docker.pid", short.with_suffix(".sock"), short
    pid_file.write_text("1")  # a living process, but no dockerd: as an engine ended by force left
    one = daemon.Daemon(
        command=["unshare", "--net", "dockerd", "--data-root", str(data),
                 "--exec-root", str(execs), "--pidfile", str(pid_file),
                 "--host", f"unix://{sock}", "--bridge=none", "--iptables=false",
                 "--storage-driver=vfs"],
        log=tmp_path / "dockerd.log", pid_files=((pid_file, "dockerd"),),
    )  # fmt: skip
    said: list[str] = []
    try:
        daemon.launch(one, said.append, lambda: engine._answers(f"unix://{sock}"))
        yield f"unix://{sock}", said
    finally:
        child = daemon.children.pop()
        child.terminate()
        child.wait(timeout=30)
        sock.unlink(missing_ok=True)
        subprocess.run(["umount", "-R", data], check=True)
        shutil.rmtree(execs, ignore_errors=True)
    assert bridge() == before, "the second engine touched the first one's bridge"


def bridge() -> int | None:
    """The interface number of the first engine's bridge."""
    return next((number for number, name in socket.if_nameindex() if name == "docker0"), None)


@needs_root
def test_a_new_engine_survives_a_stale_pid_file_and_a_full_disk_is_named(
    second_engine: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, said = second_engine
    assert any("docker.pid" in step and "gone" in step for step in said)
    assert "answers after" in said[-1]
    root = tmp_path / "images" / "large"
    root.mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\nCOPY big /big\n")
    (root / "big").write_bytes(b"x" * 64_000_000)
    client = docker.DockerClient(base_url=url, timeout=60)
    with pytest.raises(ImageError, match="disk is full") as caught:
        images.build(client=client, progress=quiet, folder=tmp_path / "images")
    client.close()
    assert str(tmp_path / "data") in caught.value.what
