"""Pickles that somebody else wrote: arrays of numbers come out of them, and nothing in them is run.

A pickle names the functions that it wants to be called. Here it gets stand-ins for the few that
arrays and plain containers need, and is refused for naming anything else.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ava_eval.errors import InputError


def read_pickle(path: Path, content: str) -> Any:
    """What a pickle of dictionaries, other plain containers, text and arrays of numbers holds.

    ``content`` says what the file should hold ("weights"), for the errors. Raises InputError naming
    the file when it is cut short, no pickle, or names code to run.
    """
    try:
        with path.open("rb") as file:
            unpickler = _ArraysOnly(file, encoding="latin1")  # written by Python 2
            unpickler.path, unpickler.content = path, content
            return _opened(unpickler.load())
    except InputError:
        raise
    except Exception as error:  # what a damaged file raises depends on where the damage is
        raise unreadable(path, error, content) from None


def unreadable(path: Path, error: Exception, content: str) -> InputError:
    """The error for a file that ``error`` stopped the reading of."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return InputError(f"{path}: cut short, damaged, or not a file of {content} ({reason})")


def refused(path: Path, name: str, content: str) -> InputError:
    """The error for a file that names what it does not need."""
    return InputError(
        f"{path}: names {name}, which {content} do not need; refused, and nothing in it was run"
    )


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


def _from_buffer(
    raw: bytes | bytearray, dtype: _Dtype, shape: Sequence[int], order: str, _: Any = None
) -> _Array:
    """How NumPy writes arrays since protocol 5, which Python 3.14 uses by itself."""
    if order not in ("C", "F"):
        raise pickle.UnpicklingError(f"an array in the order {order!r}")
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", bytes(raw)))
    return array


def _scalar(dtype: _Dtype, raw: bytes | str) -> Any:
    return dtype.numbers(raw)[0]


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into old pickles."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How Python 3 writes no bytes at all into old pickles."""
    return b""


ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _latin1,
    ("__builtin__", "bytes"): _no_bytes,
}


class _ArraysOnly(pickle.Unpickler):
    """Makes arrays of numbers and plain containers, and refuses every other name."""

    path: Path
    content: str

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise refused(self.path, f"{module}.{name}", self.content) from None


def _opened(content: Any) -> Any:
    """Arrays in place of what was said of them, in dictionaries of dictionaries."""
    if isinstance(content, dict):
        return {key: _opened(value) for key, value in content.items()}
    return content.value if isinstance(content, _Array) else content
