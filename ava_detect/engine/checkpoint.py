"""Checkpoints: whole or absent on disk, checked when read, enough to go on exactly.

A checkpoint is an ordinary ``torch.save`` file, which is a zip, with the SHA-256 of all before it
as the zip's comment: any tool reads the file, and a damaged byte is noticed before it is used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import nn

from ava_detect.engine import distributed
from ava_detect.engine.average import WeightAverage
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError

FORMAT = 1
FINAL = "final.pt"  # its name in the folder of a run
BEST = "best.pt"
_SEAL = b"sha256:"
_SEAL_LENGTH = len(_SEAL) + 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds. ``optimizer`` and ``average`` are None where it was saved without."""

    path: Path
    step: int  # finished steps
    model: dict[str, Any]
    average: dict[str, Any] | None
    optimizer: dict[str, Any] | None
    random: dict[str, Any]
    config: str  # the config as plain text (YAML)
    meta: dict[str, Any]  # what JSON can hold, such as the rows of the label map

    @property
    def weights(self) -> dict[str, Any]:
        """The weights to evaluate: the averaged ones where the run kept an average."""
        return self.model if self.average is None else self.average


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: nn.Module,
    step: int,
    config: str,
    meta: dict[str, Any],
    optimizer: torch.optim.Optimizer | None = None,
    average: WeightAverage | None = None,
) -> None:
    """Write everything to ``path``, which appears whole or not at all.

    Without ``optimizer`` the file is for evaluation only. ``meta`` must be what JSON can hold.
    Raises InputError naming the file when it cannot be written, as on a full disk.
    """
    content = {
        "format": FORMAT,
        "step": step,
        "model": model.state_dict(),
        "average": None if average is None else average.state,
        "optimizer": None if optimizer is None else _optimizer_state(optimizer),
        "random": _random_state(),
        "config": config,
        "meta": json.dumps(meta),
    }
    try:
        with atomic_path(path) as temporary, temporary.open("w+b") as file:
            torch.save(content, file)
            _seal(file)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = _reason(error)
        raise InputError(f"{path}: the checkpoint could not be written: {reason}") from error


def _reason(error: BaseException) -> str:
    """What the system said, such as that the disk is full, in place of torch's words about it."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, OSError):
            return behind.strerror or str(behind)
        behind = behind.__context__
    return str(error).partition("\n")[0]


def is_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Whether a file ends as those of ``save_checkpoint`` do."""
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _SEAL_LENGTH))
        return file.read().startswith(_SEAL)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file of ``save_checkpoint``, all tensors on the CPU.

    Raises InputError naming the file when it is missing, damaged, or not a checkpoint of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    _check_seal(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    if content.pop("format") != FORMAT:
        raise InputError(f"{path}: written by a newer version; expected format {FORMAT}")
    return Checkpoint(path=path, meta=json.loads(content.pop("meta")), **content)


def step_path(run_dir: str | os.PathLike[str], step: int) -> Path:
    """Where a run keeps the checkpoint of ``step`` finished steps."""
    return Path(run_dir) / f"step-{step:08d}.pt"


def save_step(
    run_dir: str | os.PathLike[str],
    *,
    step: int,
    keep_last: int = 2,
    keep_every: int | None = None,
    **content: Any,
) -> None:
    """``save_checkpoint`` as the newest of a run; main rank only.

    The last ``keep_last`` stay, and those of multiples of ``keep_every`` steps. Leftovers of
    writers that were killed go too; later files, which are damaged, become ``.damaged``.
    ``final.pt`` and ``best.pt`` are not touched.
    """
    if not distributed.is_main():
        return
    save_checkpoint(step_path(run_dir, step), step=step, **content)
    files = _step_files(run_dir)
    for later in [path for path in files if _step_of(path) > step]:
        later.replace(later.with_suffix(".damaged"))  # `latest` has passed it over
    older = [path for path in files if _step_of(path) < step]
    for old in older[: max(0, len(older) - (keep_last - 1))]:
        if keep_every is None or _step_of(old) % keep_every:
            old.unlink()
    for pattern in (".step-*.pt", ".best-*.pt", ".final-*.pt"):
        for leftover in Path(run_dir).glob(pattern):
            leftover.unlink()


def save_if_best(
    run_dir: str | os.PathLike[str],
    figures: Mapping[str, float],
    measured_by: str,
    *,
    step: int,
    model: nn.Module,
    config: str,
    meta: dict[str, Any],
) -> None:
    """Write ``best.pt``, for evaluation only, unless its first figure is as good; main rank only.

    It is compared with one of the same ``measured_by`` only, a text that tells how the figures were
    measured. A figure that is not a number is worse than any other.
    """
    if not distributed.is_main():
        return
    path, name = Path(run_dir) / BEST, next(iter(figures))
    try:
        meta_before = load_checkpoint(path).meta if path.is_file() else {}
    except InputError as error:
        _log.warning("%s; it is replaced", error)
        meta_before = {}
    comparable = meta_before.get("measured_by") == measured_by
    before = meta_before["figures"][name] if comparable else math.nan
    if math.isnan(before) or figures[name] > before:
        known = {key: value for key, value in figures.items() if not math.isnan(value)}
        if name in known:
            meta = {**meta, "figures": known, "measured_by": measured_by}
            save_checkpoint(path, step=step, model=model, config=config, meta=meta)


def latest(run_dir: str | os.PathLike[str]) -> Checkpoint | None:
    """The newest readable checkpoint of a run; None where the run has not saved any.

    A damaged one is logged and the one before taken. Raises InputError when all are damaged.
    """
    files = _step_files(run_dir)
    while files:
        try:
            return load_checkpoint(files.pop())
        except InputError as error:
            if not files:
                raise
            _log.warning("%s; going on from %s", error, files[-1].name)
    return None


def _step_files(run_dir: str | os.PathLike[str]) -> list[Path]:
    files = Path(run_dir).glob("step-*.pt")
    return sorted((path for path in files if path.stem[5:].isdigit()), key=_step_of)


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def restore(
    checkpoint: Checkpoint,
    *,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None = None,
) -> None:
    """Put a run back to where ``checkpoint`` was saved, random generators included.

    Raises InputError naming the file when it belongs to another model, optimizer or kind of run.
    """
    path = checkpoint.path
    if checkpoint.optimizer is None:
        raise InputError(f"{path}: holds no optimizer, so it can be evaluated but not resumed")
    if (average is None) != (checkpoint.average is None):
        kept = "without" if checkpoint.average is None else "with"
        raise InputError(f"{path}: saved {kept} averaged weights; resume with the run's own config")
    name = checkpoint.optimizer["name"]
    if name != type(optimizer).__name__:
        raise InputError(f"{path}: saved by the optimizer {name}; resume with the run's own config")
    load_weights(model, checkpoint.model, path)
    optimizer.load_state_dict(checkpoint.optimizer["state"])
    if average is not None and checkpoint.average is not None:
        average.load(checkpoint.average)
    _set_random_state(checkpoint.random)


def load_weights(model: nn.Module, state: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Load ``state``, read from ``path``, into ``model``: every key and every shape must agree.

    Raises InputError that names the first key that differs, with both shapes.
    """
    expected = model.state_dict()
    for key in [*expected, *state]:
        ours = _shape(expected[key]) if key in expected else "no such tensor"
        theirs = _shape(state[key]) if key in state else "no such tensor"
        if ours != theirs:
            raise InputError(
                f"{path}: {key}: the model has {ours}, the file {theirs}; "
                "use the config that the file was saved with, and a whole file"
            )
    model.load_state_dict(state)


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, torch.Tensor) else "no tensor"


def _optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return {"name": type(optimizer).__name__, "state": optimizer.state_dict()}


def _random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def _seal(file: BinaryIO) -> None:
    """Append the digest as the comment of a zip that has none, whose length is the last 2 bytes."""
    end = file.seek(-2, os.SEEK_END) + 2
    file.write(_SEAL_LENGTH.to_bytes(2, "little"))
    file.write(_digest(file, end))


def _check_seal(path: Path) -> None:
    with path.open("rb") as file:
        end = max(0, file.seek(0, os.SEEK_END) - _SEAL_LENGTH)
        digest = _digest(file, end)
        seal = file.read()
    if not seal.startswith(_SEAL):
        raise InputError(f"{path}: cut short, or not a checkpoint of ours: it ends without SHA-256")
    if seal != digest:
        raise InputError(f"{path}: the checkpoint is damaged: its SHA-256 is another")


def _digest(file: BinaryIO, end: int) -> bytes:
    """Seal of the first ``end`` bytes, after which the file stands."""
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(min(1 << 20, end - file.tell())):
        digest.update(block)
    return _SEAL + digest.hexdigest().encode()
