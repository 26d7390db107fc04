"""`ava-detect describe`."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ava_detect.assemble import build_label_map, build_model
from ava_detect.config import Config
from ava_detect.models.describe import describe as describe_model
from ava_eval.atomic import atomic_path


def describe(config: Config, size: int, json_path: Path | None = None) -> str:
    """Text on parameters and multiply-adds of the config's model; written as JSON if asked for."""
    num_classes = len(build_label_map(config))
    with torch.device("meta"):  # shapes are enough
        model = build_model(config, num_classes)
    facts = describe_model(model, (3, config.data.num_frames, size, size))
    if json_path is not None:
        with atomic_path(json_path) as temporary:
            temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    gmacs = facts["gmacs"]
    lines = [
        f"input            {' x '.join(str(n) for n in facts['input'])}",
        f"classes          {num_classes}",
        f"parameters       {facts['params'] / 1e6:10.3f} M",
        f"multiply-adds    {gmacs['total']:10.2f} G",
    ]
    lines += [f"  {name:<14} {gmacs[name]:10.2f} G" for name in ("slow", "fast", "lateral")]
    return "\n".join(lines)
