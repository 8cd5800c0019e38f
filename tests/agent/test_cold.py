"""Cold files: which one is damaged, one bit of it, and nothing through a link."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.agent.cold import COLD_S, coldest, empty, open_below, peek, put, walk
from chaos.agent.disks import HIDDEN, Place

DAY_S = 86_400


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "data"
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield Place(folder=str(folder), device=None, volume="", handle=handle)
    os.close(handle)


@pytest.fixture
def file(place: Place) -> Callable[..., Path]:
    def write(name: str, size: int, age_s: float) -> Path:
        path = Path(place.folder) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * size)
        then = time.time() - age_s
        os.utime(path, (then, then))
        return path

    return write


def test_the_largest_of_the_cold(place: Place, file: Callable[..., Path]) -> None:
    file("hot", 9000, 0)
    file("small", 10, DAY_S)
    file("base/large", 5000, 2 * COLD_S)
    file("none", 0, DAY_S)
    file(f"{HIDDEN}/kept", 100_000, DAY_S)
    assert coldest([place], "*").path == "base/large"
    assert coldest([place], "s*").path == "small"
    with pytest.raises(ValueError, match="no file with anything in it matches 'n\\*'"):
        coldest([place], "n*")


def test_where_nothing_is_cold_the_older_half(place: Place, file: Callable[..., Path]) -> None:
    file("newest", 9000, 0)
    file("older", 10, 2)
    file("old", 20, 1)
    assert coldest([place], "*").path == "old"


def test_links_are_not_followed(place: Place, file: Callable[..., Path], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"host" * 5000)
    os.utime(outside, (1, 1))
    (Path(place.folder) / "link").symlink_to(outside)
    (Path(place.folder) / "folder").symlink_to(tmp_path)
    file("own", 1, DAY_S)
    assert [found.path for found in walk(place)] == ["own"]
    with pytest.raises(OSError, match="symbolic links"):
        open_below(place, "link")
    empty(place)
    assert os.listdir(place.handle) == []
    assert outside.read_bytes() == b"host" * 5000


def test_one_byte_is_put_and_the_times_stay(place: Place, file: Callable[..., Path]) -> None:
    path = file("page", 10_000, DAY_S)
    before = path.stat()
    handle = open_below(place, "page")
    put(handle, 8191, ord("x") ^ 1 << 3)
    os.close(handle)
    assert peek(place, "page", 8191) == ord("x") ^ 8
    assert peek(place, "page", 8192) == ord("x")
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.read_bytes().count(b"x") == 9999
    assert peek(place, "gone", 0) is None
