"""A trained model behind one call: clip and boxes in, action scores out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from ava_detect.inference.fast import FastModel
from ava_detect.models.network import ActionDetector
from ava_detect.models.precision import choose_precision
from ava_eval.errors import InputError


class Detector:
    """Scores the actions of given people in a clip.

    ``label_map`` is the table ``action_id name`` (``LabelMap``); column c of the scores belongs to
    its row c. ``precision`` is ``auto``, ``float32``, ``bfloat16`` or ``float16``. The detector
    computes with a copy of ``model`` that is prepared for inference, ``self.model``. Raises
    ``InputError`` where the label map and the model disagree about the number of classes.
    """

    def __init__(
        self,
        model: ActionDetector,
        label_map: pd.DataFrame,
        precision: str = "auto",
        device: str | torch.device = "cpu",
    ) -> None:
        num_classes = model.head.num_classes
        if len(label_map) != num_classes:
            raise InputError(
                f"label map: expected the {num_classes} actions of the model, got {len(label_map)}"
            )
        self.label_map = label_map
        self.device = torch.device(device)
        self.model = FastModel(model, choose_precision(precision, self.device), self.device)

    def predict(self, clip: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """clip u8[T,H,W,3] RGB, boxes f32[N,4] xyxy pixels of the clip -> f32[N,C] in [0,1].

        Any T and size; the clip is never resized. Raises ``InputError`` for other shapes or types
        and for coordinates that are not finite.
        """
        frames = np.array(clip)  # a copy, since torch wants to own writable memory
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not frames.size:
            raise InputError(
                f"clip: expected uint8 [T,H,W,3], got {frames.dtype} {list(frames.shape)}"
            )
        corners = np.array(boxes, dtype=np.float32)
        if corners.ndim != 2 or corners.shape[1] != 4:
            raise InputError(f"boxes: expected [N,4], got {list(corners.shape)}")
        if not np.isfinite(corners).all():
            raise InputError("boxes: expected finite coordinates, got nan or inf")
        rois = F.pad(torch.from_numpy(corners), (1, 0))  # in front, batch index 0
        with torch.inference_mode():
            batch = torch.from_numpy(frames)[None].to(self.device)
            logits = self.model(batch, rois.to(self.device))
            scores = self.model.scores(logits)
        return scores.cpu().numpy()
