"""From a Config to the objects that the commands share."""

from ava_detect.assemble.data import (
    Split,
    build_originals,
    build_sampling,
    build_timebase,
    build_video_sampling,
    build_videos,
    decoder_threads,
    load_kinetics,
    load_split,
    split_section,
)
from ava_detect.assemble.labels import (
    LABEL_MAPS,
    build_eval_label_map,
    build_full_label_map,
    build_label_map,
    exclusive_columns,
    numbered_classes,
)
from ava_detect.assemble.model import build_backbone, build_device, build_model
from ava_detect.assemble.training import (
    build_batches,
    build_loss,
    build_norms,
    build_run_optimizer,
    build_schedule,
)

__all__ = [
    "LABEL_MAPS",
    "Split",
    "build_backbone",
    "build_batches",
    "build_device",
    "build_eval_label_map",
    "build_full_label_map",
    "build_label_map",
    "build_loss",
    "build_model",
    "build_norms",
    "build_originals",
    "build_run_optimizer",
    "build_sampling",
    "build_schedule",
    "build_timebase",
    "build_video_sampling",
    "build_videos",
    "decoder_threads",
    "exclusive_columns",
    "load_kinetics",
    "load_split",
    "numbered_classes",
    "split_section",
]
