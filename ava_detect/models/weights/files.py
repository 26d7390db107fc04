"""Opening files of weights that somebody else wrote, without running anything in them."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from ava_detect.safe_pickle import read_pickle, refused, unreadable
from ava_eval.errors import InputError, missing_hint

CONTENT = "weights"  # of the files, in errors
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
        raise InputError(f"{path}: no such file of weights{missing_hint(path)}")
    with path.open("rb") as file:
        start = file.read(len(LEGACY_TORCH))
    try:
        if zipfile.is_zipfile(path) or start == LEGACY_TORCH:
            return _read_torch(path)
        if start.startswith(b"PK"):
            raise EOFError("a zip without its end")
        return read_pickle(path, CONTENT)
    except InputError:
        raise
    except Exception as error:  # what a damaged file raises depends on where the damage is
        raise unreadable(path, error, CONTENT) from None


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
            raise refused(path, name, CONTENT)
    with torch.serialization.safe_globals([(_Inert, name) for name in unsafe]):
        return torch.load(path, map_location="cpu", weights_only=True)
