"""Opening files of weights that somebody else wrote, without running anything in them."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ava_eval.errors import InputError

# How torch.save began before it wrote zips: the pickle of a magic number.
LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# Packages whose objects logs and histories in a checkpoint consist of; they are read as nothing.
INERT_PACKAGES = ("mmengine", "mmcv", "numpy", "fvcore", "yacs")


def read_file(path: Path) -> Any:
    """What a file of torch.save or a pickle of arrays holds; tensors on the CPU.

    Only tensors, arrays and plain containers are made. Raises InputError naming the file when it
    is missing, cut short, or names code to run.
    """
    if path.is_dir():
        raise InputError(f"{path}: expected a file of weights, got a folder")
    if not path.is_file():
        raise InputError(f"{path}: no such file of weights")
    with path.open("rb") as file:
        start = file.read(len(LEGACY_TORCH))
    try:
        if zipfile.is_zipfile(path) or start == LEGACY_TORCH:
            return _read_torch(path)
        if start.startswith(b"PK"):
            raise EOFError("a zip without its end")
        return _read_pickle(path)
    except InputError:
        raise
    except Exception as error:  # what a damaged file raises depends on where the damage is
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return InputError(f"{path}: cut short, damaged, or not a file of weights ({reason})")


def _refused(path: Path, name: str) -> InputError:
    return InputError(
        f"{path}: names {name}, which weights do not need; refused, and nothing in it was run"
    )


class _Inert:
    """Stands in for an object that is of no use here."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def _read_torch(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not look at the checksums
        if damaged:
            raise InputError(f"{path}: damaged: the checksum of {damaged} does not hold")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(path):
            raise InputError(
                f"{path}: needs more than tensors and plain containers; refused, and nothing in it"
                f" was run ({' '.join(str(error).split())[:120]})"
            ) from None
    unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    for name in unsafe:
        if name.partition(".")[0] not in INERT_PACKAGES:
            raise _refused(path, name)
    with torch.serialization.safe_globals([(_Inert, name) for name in unsafe]):
        return torch.load(path, map_location="cpu", weights_only=True)


class _Dtype:
    """What a pickle says of a NumPy type: numbers of a byte order, and nothing else."""

    def __init__(self, code: str, *_: Any) -> None:
        if code not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
            raise pickle.UnpicklingError(f"an array of {code!r}")
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple) -> None:
        self.order = "=" if state[1] in ("|", "=") else {"<": "<", ">": ">"}[state[1]]

    def numbers(self, raw: bytes | str) -> np.ndarray:
        data = raw.encode("latin1") if isinstance(raw, str) else raw  # Python 2 wrote strings
        return np.frombuffer(data, np.dtype(self.order + self.code))


class _Array:
    """What a pickle says of a NumPy array.

    NumPy's own constructors are not handed out: some of their arguments are memory addresses.
    """

    def __init__(self, *_: Any) -> None:
        self.value = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, is_fortran, raw = state
        self.value = dtype.numbers(raw).reshape(shape, order="F" if is_fortran else "C")


def _scalar(dtype: _Dtype, raw: bytes | str) -> Any:
    return dtype.numbers(raw)[0]


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into old pickles."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _latin1,
}


class _ArraysOnly(pickle.Unpickler):
    """Makes arrays of numbers and plain containers, and refuses every other name."""

    path: Path

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise _refused(self.path, f"{module}.{name}") from None


def _read_pickle(path: Path) -> Any:
    with path.open("rb") as file:
        unpickler = _ArraysOnly(file, encoding="latin1")  # written by Python 2
        unpickler.path = path
        return _opened(unpickler.load())


def _opened(content: Any) -> Any:
    """Arrays in place of what was said of them, in dictionaries of dictionaries."""
    if isinstance(content, dict):
        return {key: _opened(value) for key, value in content.items()}
    return content.value if isinstance(content, _Array) else content
