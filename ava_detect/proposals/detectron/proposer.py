"""A detectron2 model as a proposer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ava_detect.models.precision import autocast
from ava_detect.proposals.detectron.adapt import Limits
from ava_detect.proposals.detectron.settings import (
    build_untrained,
    choose_precision_of,
    inference_resize,
    load_settings,
    person_class,
    require_detectron2,
    settings_digest,
)
from ava_detect.proposals.detectron.weights import is_published, load_weights, require_weights
from ava_detect.proposals.fast import run_faster
from ava_detect.proposals.files import file_digest
from ava_detect.proposals.proposer import published


class DetectronProposer:
    """People that a detectron2 model finds.

    ``config`` is ``small`` (ours), a name of the model zoo, or a YAML or Python config file.
    ``weights`` is a file or a URL; without it the zoo's published weights, or what the config file
    names. ``candidates`` and ``short_side`` are those of `Limits`; ``overrides`` are detectron2's
    ``KEY VALUE`` pairs (``key=value`` for Python configs). People are the class that the config's
    data set calls person, or class 0 where nothing is known of it. Models with deformable
    convolutions, which know no other format, compute in float32 whatever the ``precision``.
    """

    def __init__(
        self,
        config: str,
        weights: str | os.PathLike[str] | None = None,
        *,
        device: str | torch.device = "cpu",
        precision: str = "auto",
        min_score: float = 0.05,
        max_boxes: int = 50,
        candidates: int | None = None,
        short_side: int | None = None,
        overrides: Sequence[str] = (),
    ) -> None:
        require_detectron2()
        import detectron2
        from detectron2.config import instantiate

        self.name = f"detectron2 {config}"
        self.device = torch.device(device)
        self.min_score, self.max_boxes = min_score, max_boxes
        settings = load_settings(config, overrides, Limits(min_score, candidates, short_side))
        self.person = person_class(config, settings)
        self.facts = {"config": settings_digest(settings), "detectron2": detectron2.__version__}
        source = require_weights(config, settings, weights)
        self.model = build_untrained(settings, self.device).eval()
        self.dtype = choose_precision_of(self.model, precision, self.device)
        file = load_weights(self.model, source, strict=True)
        self.facts |= (
            published(source) if is_published(config, weights) else {"weights": file_digest(file)}
        )
        run_faster(self.model, self.dtype, self.device)
        self._resize, self._rgb = instantiate(inference_resize(settings)), is_rgb(self.model)

    @torch.inference_mode()
    def propose(self, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return boxes f32[N,4] (xyxy, pixels) and scores f32[N] of each u8[H,W,3] RGB image."""
        with autocast(self.dtype, self.device):
            answers = self.model([image_input(image, self._resize, self._rgb) for image in images])
        return [self._people(answer["instances"]) for answer in answers]

    def _people(self, instances: Any) -> tuple[np.ndarray, np.ndarray]:
        """Keep the best people of an answer."""
        wanted = (instances.pred_classes == self.person) & (instances.scores >= self.min_score)
        people = instances[wanted]
        best = people.scores.argsort(descending=True, stable=True)[: self.max_boxes]
        boxes, scores = people.pred_boxes.tensor[best], people.scores[best]
        return boxes.float().cpu().numpy(), scores.float().cpu().numpy()


def is_rgb(model: nn.Module) -> bool:
    """Whether a model wants RGB; detectron2's habit is BGR."""
    return getattr(model, "input_format", "BGR") == "RGB"


def image_input(image: np.ndarray, resize: Any, rgb: bool) -> dict[str, Any]:
    """Resize an image u8[H,W,3] RGB and order its channels as a model expects; keep its size."""
    image = np.ascontiguousarray(ordered(image, rgb))
    resized = resize.get_transform(image).apply_image(image)
    height, width = image.shape[:2]
    return {"image": to_tensor(resized), "height": height, "width": width}


def ordered(image: np.ndarray, rgb: bool) -> np.ndarray:
    """Turn RGB into RGB or BGR."""
    return image if rgb else image[:, :, ::-1]


def to_tensor(image: np.ndarray) -> Tensor:
    """u8[H,W,3] -> tensor [3,H,W]."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
