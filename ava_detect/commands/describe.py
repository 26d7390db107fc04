"""`ava-detect describe`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ava_detect.assemble import build_label_map, build_model
from ava_detect.config import Config
from ava_detect.models.describe import describe as describe_model
from ava_detect.models.paper import PaperModel, find_paper_model
from ava_eval.atomic import atomic_path

PAPER_SIZE = 256


def describe(config: Config, size: int, json_path: Path | None = None) -> str:
    """Text on parameters and multiply-adds of the config's model; written as JSON if asked for."""
    facts = facts_of(config, size)
    if json_path is not None:
        with atomic_path(json_path) as temporary:
            temporary.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    paper = find_paper(config) if size == PAPER_SIZE else None
    gmacs = facts["gmacs"]
    lines = [
        f"input            {' x '.join(str(n) for n in facts['input'])}",
        f"classes          {len(build_label_map(config))}",
        f"parameters       {facts['params'] / 1e6:10.3f} M"
        + (f"   paper: {paper.params} M" if paper and paper.params else ""),
        f"multiply-adds    {gmacs['total']:10.2f} G"
        + (f"   paper: {paper.gmacs} G (table {paper.table}, {paper.name})" if paper else ""),
    ]
    lines += [f"  {name:<14} {gmacs[name]:10.2f} G" for name in ("slow", "fast", "lateral")]
    return "\n".join(lines)


def facts_of(config: Config, size: int) -> dict[str, Any]:
    """What ``models.describe`` counts of a recipe's model on one clip of ``size`` pixels."""
    with torch.device("meta"):  # shapes are enough
        model = build_model(config, len(build_label_map(config)))
    return describe_model(model, (3, config.data.num_frames, size, size))


def find_paper(config: Config) -> PaperModel | None:
    """The paper's row for a recipe; it has only classifiers of Kinetics-400."""
    if config.data.kind != "kinetics" or len(build_label_map(config)) != 400:
        return None
    return find_paper_model(config.model.model_dump(), config.data.num_frames)
