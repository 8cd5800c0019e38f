"""What an image's tag depends on, what a build context holds, and how failures are said."""

from __future__ import annotations

import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest

from chaos import paths
from chaos.errors import EngineError, ImageError
from chaos.registry import SYSTEMS
from chaos.runtime import base_image, image_build, images
from chaos.runtime.base_image import Progress
from chaos.runtime.image_build import Recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    root = tmp_path / "thing"
    (root / "sub").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\nCOPY sub/a /a\n")
    (root / "sub" / "a").write_text("one")
    return Recipe(name="thing", root=root)


def test_the_shipped_images_are_those_that_are_used() -> None:
    used = {image for name in SYSTEMS.builtin for image in SYSTEMS.get(name).images}
    assert set(images.names()) == {"agent", "toxiproxy"} | used


@pytest.mark.parametrize("name", images.names())
def test_a_shipped_dockerfile_stands_on_the_base_and_lends_to_its_first_stage_only(
    name: str,
) -> None:
    text = (paths.images() / name / "Dockerfile").read_text()
    stages = text.split("\nFROM ")[1:] if text.startswith("#") else ("\n" + text).split("\nFROM ")
    assert stages[0].startswith(base_image.BASE)
    assert image_build.CA_FILE not in "".join(stages[1:])
    if f"COPY {image_build.CA_FILE}" in text:
        assert len(stages) > 1, "what is lent would stay in the result"
        assert f"{image_build.LABEL_STAGE}={name}" in stages[0]


def test_the_tag_changes_with_content_name_mode_and_base_and_with_nothing_else(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe.root / "sub" / "a"
    seen = [recipe.reference]
    file.touch()
    assert recipe.reference == seen[0]
    changes = (
        lambda: file.write_text("two"),
        lambda: file.chmod(0o755),
        lambda: file.rename(recipe.root / "sub" / "b"),
        lambda: (recipe.root / "link").symlink_to("sub/b"),
        lambda: monkeypatch.setattr(base_image, "DEFINITION", "another base"),
    )
    for change in changes:
        change()
        assert recipe.reference not in seen
        seen.append(recipe.reference)
    name, _, content = seen[0].partition(":")
    assert name == "aftershock/thing"
    assert len(content) == 12
    assert set(content) <= set("0123456789abcdef")


@pytest.mark.parametrize("name", ["postgres:17", "me/mine", "there.example/x@sha256:00"])
def test_a_full_reference_stays_as_it_is(name: str) -> None:
    assert images.reference(name) == name


def test_an_unknown_image_is_answered_with_the_nearest() -> None:
    with pytest.raises(ImageError, match="got `postgers`") as caught:
        images.reference("postgers")
    assert "`postgres`" in caught.value.fix


def test_the_bundle_is_in_the_context_of_those_that_ask_for_it(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"a bundle of this host")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    before = recipe.content
    with tarfile.open(fileobj=recipe.context()) as tar:
        assert tar.getnames() == ["Dockerfile", "sub/a"]
    (recipe.root / "Dockerfile").write_text("# lends: ca\nFROM scratch\n")
    with tarfile.open(fileobj=recipe.context()) as tar:
        lent = tar.extractfile("ca.crt")
        assert lent is not None
        assert lent.read() == b"a bundle of this host"
        assert {(entry.uid, entry.gid, entry.mtime) for entry in tar} == {(0, 0, 0)}
    asked = recipe.content
    bundle.write_bytes(b"another")
    assert before != asked == recipe.content  # the bundle is no part of the result, nor of its tag


def test_a_bundle_that_is_not_there_is_looked_for_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/bundle.pem")
    assert b"BEGIN CERTIFICATE" in image_build.ca_bundle()


def test_proxies_become_build_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    assert image_build.proxies() == ({}, None)
    monkeypatch.setenv("https_proxy", "http://there.example:3128")
    assert image_build.proxies() == ({"https_proxy": "http://there.example:3128"}, None)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:3128")
    assert image_build.proxies()[1] == "host"


def test_images_are_made_side_by_side_and_reported_in_the_callers_thread() -> None:
    together = threading.Barrier(3)
    seen: list[tuple[str, str, str]] = []

    def make(name: str, report: base_image.Report) -> str:
        report(Progress(name=name, state="building", seconds=0.0))
        together.wait(timeout=10)  # broken unless all three are here at once
        return f"id of {name}"

    def note(progress: Progress) -> None:
        seen.append((progress.name, progress.state, threading.current_thread().name))

    made = images._side_by_side(["a", "b", "c"], make, note)
    assert made == {name: f"id of {name}" for name in "abc"}
    assert {row[2] for row in seen} == {threading.current_thread().name}
    assert sorted(row[:2] for row in seen) == [(n, s) for n in "abc" for s in ("building", "built")]


def test_the_others_are_finished_before_a_failure_is_raised() -> None:
    ended: list[str] = []

    def make(name: str, _: base_image.Report) -> str:
        if name == "bad":
            raise ImageError("no such thing")
        time.sleep(0.2)
        ended.append(name)
        return name

    states: dict[str, str] = {}
    with pytest.raises(ImageError, match="no such thing"):
        images._side_by_side(["bad", "good"], make, lambda p: states.__setitem__(p.name, p.state))
    assert ended == ["good"]
    assert states == {"bad": "failed", "good": "built"}


class FullDisk:
    """An engine of which only the place of its data is known."""

    def info(self) -> dict[str, str]:
        return {"DockerRootDir": "/var/lib/docker"}


@pytest.mark.parametrize(
    ("why", "kind", "expected"),
    [
        ("write /x: no space left on device", ImageError, "disk of /var/lib/docker"),
        ("context canceled", EngineError, "engine stopped"),
        ("The command returned a non-zero code: 7", ImageError, "non-zero code: 7"),
    ],
)
def test_why_a_build_failed(why: str, kind: type[EngineError], expected: str) -> None:
    thing = Recipe(name="thing", root=Path("thing"))
    error = image_build._failed(FullDisk(), thing, why, ["the", "end"])  # type: ignore[arg-type]
    assert type(error) is kind
    assert expected in error.what
    assert error.detail == "the\nend"
    assert error.fix


def test_two_builders_of_one_image_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lock = tmp_path / "aftershock" / "image-thing.lock"
    with image_build._one_at_a_time("thing"):
        busy = subprocess.run(["flock", "-n", lock, "true"], check=False)
    free = subprocess.run(["flock", "-n", lock, "true"], check=False)
    assert (busy.returncode, free.returncode) == (1, 0)


def test_the_base_is_made_of_what_a_slim_image_has(tmp_path: Path) -> None:
    for file in (
        "usr/share/doc/bash/copyright", "usr/share/doc/bash/README", "usr/share/man/man1/ls.1",
        "var/log/dpkg.log", "etc/hostname", "etc/resolv.conf", "etc/machine-id", "usr/bin/ls",
        "var/cache/apt/archives/bash.deb", "etc/dpkg/dpkg.cfg.d/x", "etc/apt/apt.conf.d/x",
        "usr/sbin/x",
    ):  # fmt: skip
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    base_image._slim(tmp_path)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {
        "usr/share/doc/bash/copyright", "usr/bin/ls", "usr/sbin/x", "usr/sbin/policy-rc.d",
        "etc/dpkg/dpkg.cfg.d/x", "etc/dpkg/dpkg.cfg.d/docker",
        "etc/apt/apt.conf.d/x", "etc/apt/apt.conf.d/docker",
    }  # fmt: skip
    policy = subprocess.run([tmp_path / "usr/sbin/policy-rc.d"], check=False)
    assert policy.returncode == 101


def brought(monkeypatch: pytest.MonkeyPatch, folder: object) -> None:
    """As if a package had an image `theirs` that is `folder`."""

    class Point:
        name, value = "theirs", "theirs:FOLDER"

        @staticmethod
        def load() -> object:
            if isinstance(folder, Exception):
                raise folder
            return folder

    monkeypatch.setattr(
        images, "entry_points", lambda group: [Point] if group == images.GROUP else []
    )


def test_another_package_brings_its_image(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    brought(monkeypatch, recipe.root)
    assert "theirs" in images.names()
    assert images.folders()["theirs"] == recipe.root
    assert images.reference("theirs") == Recipe(name="theirs", root=recipe.root).reference
    assert "theirs" not in images.names(paths.images())


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        (RuntimeError("half installed"), "cannot be loaded: RuntimeError: half installed"),
        (Path("/nowhere"), "expected a Dockerfile in /nowhere, found none"),
    ],
    ids=["broken", "empty"],
)
def test_a_package_whose_image_is_broken_is_named(
    folder: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought(monkeypatch, folder)
    with pytest.raises(ImageError, match=words) as raised:
        images.names()
    assert "theirs" in str(raised.value)
