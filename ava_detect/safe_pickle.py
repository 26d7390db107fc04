"""Pickles that somebody else wrote: arrays of numbers come out of them, and nothing in them is run.

A pickle names the functions that it wants to be called. Here it gets stand-ins for the few that
arrays and plain containers need, and is refused for naming anything else.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Callable, Sequence
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
        _require_shallow(path)
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


DEEPEST = 100
"""Containers in each other; weights and boxes need a handful."""


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
            return _Callable(ADMITTED[module, name])
        except KeyError:
            raise refused(self.path, f"{module}.{name}", self.content) from None


class _Callable:
    """What a pickle may call, and not change: of a function or class it could set attributes."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *values: Any) -> Any:
        return self._function(*values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"a change of {name}")


def _opened(content: Any) -> Any:
    """Arrays in place of what was said of them, in dictionaries of dictionaries."""
    if isinstance(content, dict):
        return {key: _opened(value) for key, value in content.items()}
    return content.value if isinstance(content, _Array) else content


def _require_shallow(path: Path) -> None:
    """Refuse containers in containers in containers, and so on: hashing them overflows the stack.

    The depth of what lies on the pickle's stack is followed without making any of it.
    """
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[Any, int] = {}
    with path.open("rb") as file:
        for opcode, argument, _ in pickletools.genops(file):
            name, before, after = opcode.name, opcode.stack_before, opcode.stack_after
            if name == "MARK":
                marks.append(len(stack))
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo[argument] = stack[-1]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name == "DUP":
                stack.append(stack[-1])
            else:
                start = len(stack) - len(before)
                if pickletools.markobject in before:
                    start = marks.pop() - before.index(pickletools.markobject)
                taken = stack[start:]
                del stack[start:]
                fills = name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")
                inside = taken[1:] if fills else taken
                depth = max([taken[0] if fills else 0, *(1 + deep for deep in inside)])
                if depth > DEEPEST:
                    raise pickle.UnpicklingError(f"more than {DEEPEST} containers in each other")
                stack += [depth] * len(after)
