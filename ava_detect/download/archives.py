"""Archives from elsewhere: nothing in them may land outside the folder they are unpacked into."""

from __future__ import annotations

import errno
import filecmp
import fnmatch
import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ava_eval.errors import InputError

_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    # (zipfile raises NotImplementedError for a compression or an encryption that it lacks)
    *(EOFError, NotImplementedError, UnicodeDecodeError),
)


@dataclass(frozen=True)
class _Member:
    """What zip and tar have in common; ``unsafe`` says why it is refused, or nothing."""

    name: str
    size: int
    is_folder: bool
    unsafe: str
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, pattern: str = "*", *, verify: bool = False) -> int:
    """Unpack the members whose name matches ``pattern`` into ``folder``; how many were not there.

    A single folder that holds everything is left out of the paths. Every member is checked, whether
    it matches or not: absolute paths, ``..``, links, devices, passwords and a file in the place of
    a folder are refused before anything is written. If all files are there with the right sizes,
    nothing is done; ``verify`` compares their contents too. Otherwise the missing ones appear, each
    whole, unless one that is there has other content: that is an InputError and nothing is moved.
    """
    with _opened(archive) as all_members:
        members = {
            name: member
            for name, member in _checked(archive, all_members).items()
            if fnmatch.fnmatchcase(name, pattern)
        }
        if not members:
            raise InputError(f"{archive}: expected members named {pattern!r}, found none")
        if all(_is_there(folder / name, member, verify) for name, member in members.items()):
            return 0
        _require_room(archive, folder, sum(member.size for member in members.values()))
        with tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder) as temporary:
            for name, member in members.items():
                target = Path(temporary, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, target.open("xb") as written:
                    shutil.copyfileobj(source, written)
            return _move(archive, Path(temporary), folder, list(members))


@contextmanager
def _opened(archive: Path) -> Iterator[list[_Member]]:
    """The members; a broken archive, whenever it shows, is an InputError."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                yield [_of_zip(zipped, info) for info in zipped.infolist()]
        else:
            with tarfile.open(archive) as tarred:
                members = [_of_tar(tarred, info) for info in tarred.getmembers()]
                _require_end(tarred)
                yield members
    except (*_BROKEN, OSError) as error:
        # zipfile seeks to wherever an archive says; other errors of the system are not its fault.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = " ".join(str(error).split())  # tarfile takes several lines to say it
        raise InputError(
            f"{archive}: expected a whole zip or tar archive: {reason};"
            " remove it and fetch it again"
        ) from error


def _of_zip(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    # The upper half holds the mode on Unix; it is 0 in archives made elsewhere.
    kind = stat.S_IFMT(info.external_attr >> 16)
    unsafe = "" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "a link or a device"
    if info.flag_bits & 1:
        unsafe = "it asks for a password"
    opens = partial(zipped.open, info)
    return _Member(info.filename, info.file_size, info.is_dir(), unsafe, opens)


def _of_tar(tarred: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    unsafe = "" if info.isreg() or info.isdir() else "a link or a device"
    if hasattr(tarfile, "data_filter"):  # since Python 3.11.4; what it knows beyond our own checks
        try:
            tarfile.data_filter(info, ".")
        except tarfile.FilterError as error:
            unsafe = unsafe or str(error)
    opens = partial(_content, tarred, info)
    return _Member(info.name, info.size, info.isdir(), unsafe, opens)


def _require_end(tarred: tarfile.TarFile) -> None:
    """A tar that was cut between two members looks whole but for the empty block at its end."""
    stream: Any = tarred.fileobj
    stream.seek(tarred.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("the end is missing")
    while stream.read(1 << 16):  # gzip compares its checksum when the last byte is read
        pass


def _content(tarred: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = tarred.extractfile(info)
    if content is None:
        raise tarfile.ReadError(f"{info.name} has no content")
    return content


def _checked(archive: Path, members: list[_Member]) -> dict[str, _Member]:
    """The files by their path below the folder that holds all of them."""
    found: dict[PurePosixPath, _Member] = {}
    for member in members:
        path = PurePosixPath(member.name)
        reason = _unsafe_name(member.name) or member.unsafe
        if path in found:
            reason = "the name occurs twice"
        if reason:
            raise InputError.at(
                archive, None, None, "harmless members", member.name, f"refused: {reason}"
            )
        if not member.is_folder:
            found[path] = member
    for path, member in found.items():
        if not found.keys().isdisjoint(path.parents):
            reason = "refused: a file has the name of its folder"
            raise InputError.at(archive, None, None, "harmless members", member.name, reason)
    nested = len({path.parts[0] for path in found}) == 1 and all(len(p.parts) > 1 for p in found)
    return {
        str(path.relative_to(path.parts[0]) if nested else path): member
        for path, member in found.items()
    }


def _unsafe_name(name: str) -> str:
    """Why a member's name is refused, or nothing."""
    if not name.isprintable() or "\\" in name or ":" in name:
        return "a control character, a backslash or a colon in the name"
    if name.startswith("/"):
        return "an absolute path"
    if ".." in PurePosixPath(name).parts:
        return "a path that leaves the folder"
    return "" if PurePosixPath(name).parts else "an empty name"


def _is_there(path: Path, member: _Member, verify: bool) -> bool:
    if not path.is_file() or path.stat().st_size != member.size:
        return False
    return not verify or _is_same(path, member)


def _is_same(path: Path, member: _Member) -> bool:
    with member.open() as packed, path.open("rb") as there:
        while piece := packed.read(1 << 16):
            if there.read(len(piece)) != piece:
                return False
        return True


def _require_room(archive: Path, folder: Path, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"{archive}: unpacked it takes {size / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB;"
            " make room"
        )


def _move(archive: Path, temporary: Path, folder: Path, names: list[str]) -> int:
    """Move what is missing, unless something else stands in a file's place; how many moved."""
    missing = [name for name in names if not (folder / name).exists()]
    for name in set(names) - set(missing):
        if not filecmp.cmp(temporary / name, folder / name, shallow=False):
            raise InputError(
                f"{folder / name}: differs from the one in {archive}; move it away to get that one"
            )
    for name in missing:
        for parent in PurePosixPath(name).parents[:-1]:  # all but the folder itself
            if (folder / parent).is_file():
                raise InputError(
                    f"{folder / parent}: expected a folder, for {name} of {archive}; move it away"
                )
    for name in missing:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (temporary / name).replace(folder / name)
    return len(missing)
