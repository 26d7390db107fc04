"""The folder of a training by detectron2: what it writes there, and what is left of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ava_detect.proposals.detectron.settings import PEOPLE
from ava_detect.proposals.journal import differences
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError

NOTE = "settings.json"
CHECKPOINTS, LAST = "model_*.pth", "last_checkpoint"
TRIAL = f"{PEOPLE}_trial"  # the name of the data set that is evaluated
WRITTEN = (
    *(NOTE, LAST, "metrics.json", "coco_instances_results.json", "instances_predictions.pth"),
    *(f"{TRIAL}_coco_format.json", f"{TRIAL}_coco_format.json.lock"),
)


def prepare_folder(folder: Path, asked: dict[str, Any]) -> Path:
    """Make the folder of a training that is ``asked`` for; what a finished one left there goes.

    InputError where there are checkpoints of a training that was asked for something else.
    """
    note, now = folder / NOTE, json.loads(json.dumps(asked))
    then = _read(note)
    if any(folder.glob(CHECKPOINTS)):
        if then != now:
            told = "; ".join(differences(then, now)) if then else f"{NOTE} does not tell which"
            raise InputError(
                f"{folder}: holds checkpoints of a training with other settings ({told}); remove"
                " the folder, or set another output"
            )
        return folder
    for name in WRITTEN:
        (folder / name).unlink(missing_ok=True)
    with atomic_path(note) as temporary:
        temporary.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")
    return folder


def keep_newest(folder: Path, last: str, count: int) -> list[str]:
    """Remove all checkpoints but the ``count`` newest up to ``last``; return these, oldest first.

    A later one was torn by a kill.
    """
    files = sorted(map(str, folder.glob(CHECKPOINTS)))
    kept = [file for file in files if file <= last][-count:]
    for file in set(files).difference(kept):
        Path(file).unlink()
    return kept


def remove_checkpoints(folder: Path) -> None:
    """A finished training does not go on; its weights are elsewhere."""
    for path in (*folder.glob(CHECKPOINTS), folder / LAST, folder / "instances_predictions.pth"):
        path.unlink(missing_ok=True)


def _read(note: Path) -> dict[str, Any]:
    """What a training was asked for; nothing where no note can be read."""
    try:
        then = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return then if isinstance(then, dict) else {}
