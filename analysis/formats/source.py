"""Reading a history file of unknown origin: regular files only, in blocks, each line bounded."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from chaos.errors import HistoryError

BLOCK_BYTES = 4 << 20
FORM_BYTES_MAX = 64 << 20  # of one line, or one form
DEPTH_MAX = 256  # of collections within collections
DIGITS_MAX = 4000  # of one number
BOM = b"\xef\xbb\xbf"
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
}


def bad(path: Path, line: int, expected: str, got: str, fix: str = "") -> HistoryError:
    """The error for line `line` (from 1) of `path`; `got` is cut to what fits on a line."""
    got = got if len(got) <= 120 else f"{got[:117]}..."
    return HistoryError(f"{path}:{line}: expected {expected}, got {got}", fix=fix)


def bad_byte(path: Path, byte: int, expected: str, got: str, fix: str = "") -> HistoryError:
    """The same for what stands at `byte` (from 0) of a binary file."""
    return HistoryError(f"{path}: byte {byte}: expected {expected}, got {got}", fix=fix)


def open_source(path: Path) -> BinaryIO:
    """`path` opened for reading; HistoryError unless it is a regular file that holds something."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror}") from None
    try:
        state = os.fstat(number)
        if not stat.S_ISREG(state.st_mode):
            kind = "a folder" if stat.S_ISDIR(state.st_mode) else "no regular file"
            raise HistoryError(
                f"expected a history file at {path}, found {kind}",
                fix="a pipe or a device is to be saved as a file first",
            )
        if not state.st_size:
            raise HistoryError(f"{path}:1: expected a history, got an empty file")
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def head_of(path: Path, size: int) -> bytes:
    """The first `size` bytes; HistoryError when they are those of something packed or binary."""
    with open_source(path) as source:
        head = source.read(size)
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise HistoryError(
                f"{path} is packed ({name}): a history is read as text", fix="unpack it first"
            )
    if head.startswith(b"PAR1"):
        raise HistoryError(
            f"{path} is a Parquet file: those are read as part of a run directory",
            fix="name the folder that holds it and run.json",
        )
    refuse_binary(path, head, 1)
    return head.removeprefix(BOM)


def refuse_binary(path: Path, block: bytes, line: int) -> None:
    """HistoryError where `block`, which begins on line `line`, holds a zero byte."""
    at = block.find(0)
    if at >= 0:
        line += block.count(b"\n", 0, at)
        raise bad(path, line, "text in UTF-8", "a zero byte", "the file is binary, or damaged")


def text_of(path: Path, block: bytes, line: int) -> str:
    """`block`, which begins on line `line`, as text; HistoryError where it is no UTF-8."""
    refuse_binary(path, block, line)
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError as error:
        line += block.count(b"\n", 0, error.start)
        raise not_utf8(path, line, error) from None


def not_utf8(path: Path, line: int, error: UnicodeDecodeError) -> HistoryError:
    """The error for a byte on line `line` that is no UTF-8."""
    got = f"the byte 0x{error.object[error.start]:02x}"
    return bad(path, line, "text in UTF-8", got, "convert it, for instance with iconv")


def too_long(path: Path, line: int) -> HistoryError:
    """The error for a line or form that does not end."""
    size = f"{FORM_BYTES_MAX >> 20} MiB"
    return bad(path, line, f"lines and values of at most {size}", f"more than {size}")


class Pieces:
    """The text of a file, piece by piece: (text, line on which it begins, whether it is the last).

    Before the next piece is taken, `used` says how many characters of the last were read; the rest
    stands before the next, with as much new text, so that a long form costs twice its length.
    """

    def __init__(self, path: Path) -> None:
        self.used = 0
        self._path = path

    def __iter__(self) -> Iterator[tuple[str, int, bool]]:
        decoder, rest, line, final = codecs.getincrementaldecoder("utf-8")(), "", 1, False
        with open_source(self._path) as source:
            while not final:
                block = source.read(max(BLOCK_BYTES, len(rest)))
                final, self.used = not block, 0
                text = rest + self._decoded(decoder, block, line + rest.count("\n"))
                if line == 1:
                    text = text.removeprefix("\ufeff")
                yield text, line, final
                line += text.count("\n", 0, self.used)
                rest = text[self.used :]
                if len(rest) > FORM_BYTES_MAX:
                    raise too_long(self._path, line)

    def _decoded(self, decoder: codecs.IncrementalDecoder, block: bytes, line: int) -> str:
        refuse_binary(self._path, block, line)
        try:
            return decoder.decode(block, not block)
        except UnicodeDecodeError as error:
            line += error.object.count(b"\n", 0, error.start)
            raise not_utf8(self._path, line, error) from None


def blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number of its first line, text of whole lines) of a file, each line with its end.

    The text is UTF-8 and has no zero bytes. At the end of the file a line without an end gets one.
    """
    with open_source(path) as source:
        number, rest = 1, b""
        while block := source.read(max(BLOCK_BYTES, len(rest))):
            block = rest + (block.removeprefix(BOM) if number == 1 and not rest else block)
            end = block.rfind(b"\n") + 1
            whole, rest = block[:end], block[end:]
            if len(rest) > FORM_BYTES_MAX:
                raise too_long(path, number + whole.count(b"\n"))
            if whole:
                text_of(path, whole, number)
                yield number, whole
                number += whole.count(b"\n")
        if rest:
            text_of(path, rest, number)
            yield number, rest + b"\n"


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text without its end) of every line that is not blank."""
    with open_source(path) as source:
        number = 0
        while block := source.readline(FORM_BYTES_MAX + 1):
            number += 1
            if len(block) > FORM_BYTES_MAX:
                raise too_long(path, number)
            if number == 1:
                block = block.removeprefix(BOM)
            if text := text_of(path, block, number).strip():
                yield number, text
