"""From a model and its boxes to the table of detections that the metric reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import numpy as np
import pandas as pd
import torch
from torch import nn

from ava_detect.data.batch import ClipBatch
from ava_detect.engine.collect import Collector
from ava_detect.engine.logs import StatusLine, track
from ava_detect.engine.stages import Stages
from ava_detect.models.precision import autocast
from ava_eval.errors import InputError
from ava_eval.tables import BOX


def score_boxes(
    model: nn.Module,
    batches: Iterable[ClipBatch],
    rows: np.ndarray,
    num_classes: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    to_scores: Callable[[torch.Tensor], torch.Tensor] = torch.sigmoid,
    log: StatusLine | None = None,
    unread: Callable[[], np.ndarray] = lambda: np.empty(0, np.int64),
) -> tuple[np.ndarray, np.ndarray]:
    """Scores f32[M, C] in [0, 1] of boxes, and which these are, i64[M]: ``rows`` i64[N].

    They come in the order of ``rows``, without those that ``unread()``, asked at the end, says
    could not be read.

    Where the time went is noted on ``log``.
    ``model(frames, rois)`` returns logits f[M, C]; it is evaluated under autocast to ``dtype``, and
    ``to_scores`` is taken of them in float32. The mode of the model and the state of the random
    generators are the same afterwards, so evaluating in the middle of a training run does not
    change the run.
    Raises RuntimeError unless ``batches`` (of all processes) bring each row exactly once.
    """
    device = torch.device(device)
    collector = Collector(rows, num_classes)
    was_training = model.training
    model.eval()
    stages, num_clips = Stages(), 0
    # A DataLoader draws from the global generator whenever it is iterated over.
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        for batch in stages.waiting("reading", track(batches, "evaluate", log)):
            with stages.during("network"), autocast(dtype, device):
                batch = batch.to(device)
                logits = model(batch.frames, batch.rois)
                scores_of_batch = to_scores(logits.float()).cpu().numpy()
            collector.add(batch.rows.cpu().numpy(), scores_of_batch)
            num_clips += len(batch.frames)
    model.train(was_training)
    with stages.during("gathering"):
        collected = collector.finish(unread())
    if log is not None and num_clips:
        log.note(f"evaluate: {num_clips} clips, {stages.text(num_clips, 'clip')}")
    return collected


def join_detections(
    person_boxes: pd.DataFrame,
    rows: np.ndarray,
    scores: np.ndarray,
    label_map: pd.DataFrame,
    *,
    action_ids: Collection[int] | None = None,
    use_person_score: bool = False,
) -> pd.DataFrame:
    """Detections: a row per box of ``rows`` and class, the boxes untouched.

    ``scores`` f32[N, C] belong to the rows i64[N] of ``person_boxes`` (its index) and to the
    classes of ``label_map``, in its order. ``action_ids`` keeps only those classes, as when a model
    of 80 classes meets a label map of 60. ``use_person_score`` multiplies by the score of the box.
    """
    if scores.shape != (len(rows), len(label_map)):
        raise ValueError(f"expected scores {(len(rows), len(label_map))}, got {scores.shape}")
    ids = label_map["action_id"].to_numpy()
    columns = np.arange(len(ids)) if action_ids is None else np.isin(ids, list(action_ids))
    ids, scores = ids[columns], scores[:, columns].astype(np.float64)
    boxes = person_boxes.loc[rows]
    if use_person_score:
        scores = scores * boxes["score"].to_numpy()[:, None]
    each_class = np.repeat(np.arange(len(boxes)), len(ids))
    detections = boxes[["video_id", "timestamp", *BOX]].iloc[each_class].reset_index(drop=True)
    return detections.assign(action_id=np.tile(ids, len(boxes)), score=scores.ravel())


def class_prior_scores(annotations: pd.DataFrame, label_map: pd.DataFrame) -> np.ndarray:
    """Share of the annotated people that do each action of ``label_map``: f32[C].

    The score of a guess that never looks at a clip. A person is a distinct video, time, box and
    person id; people without an action (-1) count in the denominator.
    """
    person = ["video_id", "timestamp", *BOX, "person_id"]
    num_people = len(annotations[person].drop_duplicates())
    if num_people == 0:
        raise InputError("annotations: expected at least one person to count actions of, got none")
    actions = annotations[[*person, "action_id"]].drop_duplicates()["action_id"].value_counts()
    counts = actions.reindex(label_map["action_id"], fill_value=0).to_numpy()
    return (counts / num_people).astype(np.float32)
