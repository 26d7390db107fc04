"""Opening what a user names: plain or ``.gz``, with errors in one line and a digest on the way."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from ava_eval.errors import InputError, missing_hint


class Digest(Protocol):
    """What ``hashlib.sha256()`` is: something that sees the bytes of a file."""

    def update(self, data: memoryview, /) -> None: ...


@contextmanager
def open_input(path: str | PathLike[str], digest: Digest | None = None) -> Iterator[Any]:
    """Open a file for reading bytes, unpacked if its name ends in ``.gz``.

    What opening, reading, unpacking and decoding may raise becomes ``InputError``. ``digest`` is
    fed the bytes of the file as they are read, so that pipes have one too.
    """
    if not str(path):
        raise InputError("expected the name of a file, got ''")
    try:
        with Path(path).open("rb") as raw:
            file: Any = raw if digest is None else io.BufferedReader(_Watched(raw, digest))
            if is_gzip(path):
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield unpacked
            else:
                yield file
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected text in UTF-8 ({error.reason})") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        hint = missing_hint(Path(path)) if isinstance(error, FileNotFoundError) else ""
        hint = "; expected a file" if isinstance(error, IsADirectoryError) else hint
        raise InputError(f"{path}: cannot be read: {reason}{hint}") from error


def is_gzip(path: str | PathLike[str]) -> bool:
    """Whether the name says that the file is packed."""
    return str(path).endswith(".gz")


def read_text(path: str | PathLike[str], digest: Digest | None = None) -> str:
    """The whole text of a small file; a byte-order mark is cut."""
    with open_input(path, digest) as file:
        return file.read().decode("utf-8-sig")


class _Watched(io.RawIOBase):
    """A file whose bytes a digest sees as they are read."""

    def __init__(self, file: io.BufferedReader, digest: Digest) -> None:
        self._file, self._digest = file, digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self._file.readinto(buffer)
        self._digest.update(memoryview(buffer)[:size])
        return size
