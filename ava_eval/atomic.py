"""Files appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ava_eval.errors import InputError


def require_writable(path: str | os.PathLike[str]) -> None:
    """Make the folder of ``path``; raise InputError when the file could not be written there.

    Long jobs call this before they begin.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{target}: the folder cannot be made: {error.strerror}; name another for the output"
        ) from error
    if target.is_dir():
        raise InputError(f"{target}: expected the name of a file, got a folder")
    if target.exists() and not target.is_file():  # a device or a pipe would become a file
        raise InputError(f"{target}: expected the name of a file, got a device or pipe")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"{target}: the folder is not writable; name another for the output")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; on success it is synced and renamed to it.

    If the body raises, the temporary file is removed and what stood at ``path`` stays untouched.
    A write that fails, as on a full disk, raises InputError naming ``path``.
    The suffix is kept, so that writers which choose a format by it work. Folders are created.
    """
    require_writable(path)
    target = Path(path).resolve()  # what a link points to is replaced, not the link
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except OSError as error:
        if error.filename is None or Path(error.filename) in (temporary, target):
            raise InputError(f"{path}: cannot be written: {error.strerror}") from error
        raise  # of another file, which the body reads
    finally:
        temporary.unlink(missing_ok=True)
