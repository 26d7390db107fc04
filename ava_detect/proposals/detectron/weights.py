"""Weights of detectron2's models: where they are, and reading them without running code."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ava_detect.proposals.detectron.settings import SMALL
from ava_eval.errors import InputError

COUNTER = "num_batches_tracked"  # of a batch norm, which torch adds where a file has none

_log = logging.getLogger(__name__)


def weights_of(config: str, settings: Any, weights: str | os.PathLike[str] | None) -> str | None:
    """The file or URL of the weights: the caller's, the zoo's, or the config file's if any."""
    from detectron2.config import CfgNode
    from detectron2.model_zoo import get_checkpoint_url

    if weights is not None:
        return os.fspath(weights)
    if is_published(config, weights):
        try:
            return get_checkpoint_url(config)
        except RuntimeError as error:
            raise InputError(
                f"proposer.weights: detectron2 publishes no weights for {config!r}; "
                "set proposer.weights to a file"
            ) from error
    lazy = not isinstance(settings, CfgNode)
    return (settings.train.init_checkpoint if lazy else settings.MODEL.WEIGHTS) or None


def require_weights(config: str, settings: Any, weights: str | os.PathLike[str] | None) -> str:
    """``weights_of``; InputError where there are none."""
    found = weights_of(config, settings, weights)
    if found is None:
        raise InputError(
            f"proposer.weights: {config!r} names no weights; train it with `train-proposer`, "
            "or set proposer.weights to a file"
        )
    return found


def is_published(config: str, weights: str | os.PathLike[str] | None) -> bool:
    """Whether ``weights_of`` names those that detectron2 publishes for a model of its zoo."""
    return weights is None and config != SMALL and not Path(config).is_file()


def load_weights(model: nn.Module, weights: str, strict: bool) -> Path:
    """Fill the model; return the file that was read, as plain data and never as code.

    Raises InputError when the file cannot be had or read. If ``strict`` it names the first weight
    that is missing in it or has another shape; else the file may lack some, which is told in a
    line, but not the whole backbone.
    """
    checkpointer = build_checkpointer(model, strict=strict)
    try:
        checkpointer.load(weights)
        return Path(checkpointer.file)
    except InputError:
        raise
    except Exception as error:  # downloads and readers raise many types
        raise InputError(
            f"{weights}: expected weights for detectron2 ({' '.join(str(error).split())[:200]}); "
            "set proposer.weights to a file that this machine has"
        ) from error


def build_checkpointer(
    model: nn.Module, folder: Path | None = None, strict: bool = False, **parts: Any
) -> Any:
    """detectron2's checkpointer, which translates weights of its forerunners, without running code.

    It saves into ``folder`` the model and other ``parts``.
    """
    from detectron2.checkpoint import DetectionCheckpointer

    class PlainCheckpointer(DetectionCheckpointer):
        def _load_file(self, filename: str) -> dict:
            self.file = filename
            if not filename.endswith(".pkl"):
                return super()._load_file(filename)
            with Path(filename).open("rb") as file:
                content = _PlainUnpickler(file, encoding="latin1").load()
            if "__author__" in content:
                return content
            blobs = {k: v for k, v in content.get("blobs", content).items() if "_momentum" not in k}
            return {"model": blobs, "__author__": "Caffe2", "matching_heuristics": True}

        def _torch_load(self, filename: str) -> dict:
            return torch.load(filename, map_location="cpu", weights_only=True)

        def _load_model(self, checkpoint: dict) -> Any:
            incompatible = super()._load_model(checkpoint)
            for key, given, wanted in incompatible.incorrect_shapes if strict else ():
                raise InputError.at(self.file, None, key, f"shape {wanted}", f"shape {given}")
            for key in incompatible.missing_keys if strict else ():
                raise InputError.at(self.file, None, key, "this weight of the config", "nothing")
            if not strict:
                own = {key for key in self.model.state_dict() if not key.endswith(COUNTER)}
                _tell_of_missing(self.file, own, incompatible.missing_keys)
            return incompatible

        def _log_incompatible_keys(self, incompatible: Any) -> None:
            """All that matters has been told."""

    return PlainCheckpointer(model, "" if folder is None else str(folder), **parts)


def _tell_of_missing(file: str, own: set[str], missing: Sequence[str]) -> None:
    """Log how many weights a file does not have; InputError where it has none of the backbone."""
    if not any(key.startswith("backbone.") for key in own.difference(missing)):
        raise InputError(
            f"{file}: expected weights for the model that proposer.config names, got none that fit"
            " its backbone; set proposer.weights to weights of that model"
        )
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        _log.info(
            "%s: has no weights that fit %d of the model's %d (%s), which start from random ones",
            file,
            len(missing),
            len(own),
            some,
        )


class _PlainUnpickler(pickle.Unpickler):
    """Reads numpy arrays and plain containers; a file that asks for anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        arrays = module.split(".")[0] == "numpy" and name in {
            "ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer",
        }  # fmt: skip
        if arrays or (module, name) in {("_codecs", "encode"), ("collections", "OrderedDict")}:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"weights must be plain arrays, not {module}.{name}")
