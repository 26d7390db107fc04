"""Device and model of a config."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch

from ava_detect.config import Config
from ava_detect.config.schema import ModelSection
from ava_detect.models.heads import ClipHead, RoIHead
from ava_detect.models.network import ActionDetector
from ava_detect.models.slowfast import SlowFast
from ava_eval.errors import InputError


def build_device(config: Config) -> torch.device:
    """The device that runs the models."""
    if config.device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("cpu")
    try:
        return torch.empty(0, device=config.device).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device: cannot use {config.device!r}; {str(error).split(chr(10))[0]}"
        ) from None


def build_backbone(model: ModelSection) -> SlowFast:
    """The SlowFast backbone of the settings."""
    names = inspect.signature(SlowFast).parameters
    try:
        return SlowFast(**{name: getattr(model, name) for name in names})
    except ValueError as error:
        raise InputError(f"model.{error}") from None


def build_model(config: Config, num_classes: int, exclusive: Sequence[int] = ()) -> ActionDetector:
    """An untrained model; channels-last, which today's convolutions run fastest on.

    ``exclusive``: columns of its scores of which a person has exactly one.
    """
    model = config.model
    backbone = build_backbone(model)
    head: RoIHead | ClipHead
    if config.data.kind == "kinetics":
        head = ClipHead(backbone.out_channels, num_classes, model.dropout)
    else:
        head = RoIHead(
            backbone.out_channels,
            num_classes,
            backbone.strides,
            resolution=model.roi_resolution,
            dropout=model.dropout,
            aligned=model.roi_aligned,
            prior=model.prior_probability,
            over_time=model.roi_over_time,
            over_space=model.roi_over_space,
            context=model.context,
            hidden=model.hidden,
        )
    return ActionDetector(backbone, head, model.mean, model.std, exclusive).to(
        memory_format=torch.channels_last_3d
    )
