"""Whether a run may go on in the folder that it began in."""

from __future__ import annotations

import pandas as pd

from ava_detect.config import Config, parse_config
from ava_detect.engine.checkpoint import Checkpoint
from ava_eval.errors import InputError

# Settings that a resumed run may change: they do not touch what is learned.
FREE = (
    *("output", "split", "weights", "device", "evaluation", "proposer", "tensorboard"),
    *("log_every", "save_every", "evaluate_every", "keep_last", "keep_every"),
    *("data.val", "data.test", "data.eval_label_map", "data.workers", "data.cache_gb"),
    "optim.accumulate",
)


def check_same_run(config: Config, label_map: pd.DataFrame, saved: Checkpoint) -> None:
    """Refuse to go on with other settings or classes than the run began with."""
    # Column c of the classifier must mean the same action as before.
    if saved.meta["label_map"] != label_map.to_dict("list"):
        raise InputError(
            f"data.label_map, data.classes: {saved.path} was trained on other classes, or in"
            " another order; use those of that run"
        )
    then = dict(_flat(parse_config(saved.config, str(saved.path)).model_dump()))
    for key, value in _flat(config.model_dump()):
        if any(key == free or key.startswith(f"{free}.") for free in FREE):
            continue
        if then.get(key) != value:
            raise InputError(
                f"{key}: {config.output} holds a run with {then.get(key)!r}, got {value!r};"
                " name another folder with output=DIR, or remove that one's checkpoints (*.pt)"
            )


def check_same_data(config: Config, samples: dict, saved: Checkpoint) -> None:
    """Refuse to go on with other people or videos: the steps would not be those of the run."""
    before = saved.meta.get("data")
    if before is not None and before["sha256"] != samples["sha256"]:
        raise InputError(
            f"data.train: {config.output} holds a run on other people ({before['people']} in"
            f" {before['clips']} clips, now {samples['people']} in {samples['clips']}, or other"
            " boxes or labels); name another folder with output=DIR, or restore the files"
        )


def _flat(settings: dict, prefix: str = "") -> list[tuple[str, object]]:
    """(key.path, value) of nested settings."""
    pairs: list[tuple[str, object]] = []
    for key, value in settings.items():
        nested = isinstance(value, dict)
        pairs += _flat(value, f"{prefix}{key}.") if nested else [(f"{prefix}{key}", value)]
    return pairs
