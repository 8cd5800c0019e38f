"""Images that a Compose file builds, and files that its services are lent."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from chaos.errors import ClusterError, ImageError
from chaos.runtime import images
from chaos.runtime.base_image import BASE
from chaos.runtime.context_build import INLINE, recipes
from chaos.runtime.copies import copied
from chaos.systems.compose.project import Build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "Dockerfile": f"FROM {BASE} AS one\nFROM --platform=linux/amd64 alpine:3 as two\n"
        "FROM one\nFROM $ARG\nFROM busybox\nfrom scratch\n# FROM none\n",
        ".dockerignore": "# comment\n*.log\nskipped/\n",
        "app.py": "app",
        "app.log": "log",
        "skipped/x": "x",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def names_in(archive: io.BytesIO) -> set[str]:
    with tarfile.open(fileobj=archive) as tar:
        return set(tar.getnames())


def test_the_context_is_what_dockerignore_leaves(folder: Path) -> None:
    recipe = recipes({"compose-web": Build(context=folder)})["compose-web"]
    assert names_in(recipe.context()) == {"Dockerfile", ".dockerignore", "app.py"}
    assert recipe.bases() == ["alpine:3", "busybox:latest"]
    assert recipe.needs_base
    assert recipe.reference == f"aftershock/compose-web:{recipe.content}"


def test_content_follows_files_arguments_and_target(folder: Path) -> None:
    def content(**keys: Any) -> str:
        how: Any = Build(context=folder, **keys)
        return recipes({"x": how})["x"].content

    before = content()
    assert content() == before
    assert len({before, content(arguments={"A": "1"}), content(target="one")}) == 3
    (folder / "app.log").write_text("ignored")
    assert content() == before
    (folder / "app.py").write_text("other")
    assert content() != before


def test_a_dockerfile_in_the_compose_file(folder: Path) -> None:
    recipe = recipes({"compose-web": Build(context=folder, text="FROM scratch\n")})["compose-web"]
    assert INLINE in names_in(recipe.context())
    assert recipe.options()["dockerfile"] == INLINE
    assert (recipe.bases(), recipe.needs_base) == ([], False)


def test_a_dockerfile_that_went_away(folder: Path) -> None:
    recipe = recipes({"compose-web": Build(context=folder)})["compose-web"]
    (folder / "Dockerfile").unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        recipe.bases()


def test_files_are_copied_as_a_mount_would_show_them(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "page").write_text("hello")
    (folder / "in" / "page").chmod(0o640)
    (folder / "link").symlink_to("in/page")
    archive = copied([("/srv/site", folder, None), ("/run/secrets/x", "text", 0o400)])
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {entry.name: entry for entry in tar}
        assert set(found) == {
            "srv/site", "srv/site/in", "srv/site/in/page", "srv/site/link", "run/secrets/x",
        }  # fmt: skip
        assert found["srv/site/in/page"].mode == 0o640
        assert found["srv/site/link"].linkname == "in/page"
        assert found["run/secrets/x"].mode == 0o400
        page = tar.extractfile("srv/site/in/page")
        assert page is not None
        assert page.read() == b"hello"
    with pytest.raises(ClusterError, match="cannot be copied to /x"):
        copied([("/x", tmp_path / "gone", None)])


def test_all_images_that_failed_are_named_with_what_ships() -> None:
    failed = {
        name: ImageError(f"the image {name} could not be pulled", detail="first\nlast", fix="look")
        for name in ("x.test/redis:8", "a/b:1")
    }
    error = images._cannot_be_had(failed)
    assert isinstance(error, ImageError)
    assert error.what == "2 images cannot be had: a/b:1, x.test/redis:8"
    assert error.detail == "a/b:1: last\nx.test/redis:8: last"
    assert error.fix == "look; `image: aftershock/redis` is one that ships"
    other = ValueError()
    assert images._cannot_be_had({**failed, "c": other}) is other
