"""Importing a peer toolbox from a checkout of its code, unchanged, at a fixed commit."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
import tarfile
import tempfile
import types
from pathlib import Path
from typing import Any

COMMITS = {
    "pyslowfast": "287ec00",
    "pytorchvideo": "f3142bb",
    "mmaction2": "4d6c934",
    "detectron2": "02b5c4e",
}
_PACKAGE_OF = {"cv2": "opencv-python-headless", "mmcv": "mmcv-lite"}


def extract(
    peer: str, checkout: Path, paths: list[str]
) -> tuple[tempfile.TemporaryDirectory[str], Path]:
    """Files of the peer's commit, in a folder that lives as long as the first of the two."""
    bare = (checkout / "HEAD").is_file()
    git_dir = checkout if bare else checkout / ".git"
    command = ["git", f"--git-dir={git_dir}", "archive", COMMITS[peer], *paths]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        message = done.stderr.decode().strip().splitlines()[-1:]
        raise ValueError(f"{checkout}: no {peer} at commit {COMMITS[peer]}: {' '.join(message)}")
    kept = tempfile.TemporaryDirectory(prefix=f"{peer}-")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(kept.name, filter="data")
    return kept, Path(kept.name)


def enter(name: str, folder: Path) -> None:
    """Make a package importable without its ``__init__``."""
    stand_in(name, __path__=[str(folder.joinpath(*name.split(".")))])


def stand_in(name: str, **attributes: Any) -> types.ModuleType:
    """Put a module with these attributes, and the packages around it, into ``sys.modules``."""
    parent, _, child = name.rpartition(".")
    if parent and parent not in sys.modules:
        _import_or_stand_in(parent)
    module = types.ModuleType(name)
    vars(module).update(attributes)
    sys.modules[name] = module
    if parent:
        setattr(sys.modules[parent], child, module)
    return module


def _import_or_stand_in(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        stand_in(name)


def import_module(name: str, peer: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        package = _PACKAGE_OF.get(missing, missing)
        raise ImportError(f"{peer} needs a package that is not installed: {package}") from error
