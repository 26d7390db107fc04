"""`ava-detect convert`: weights of any family -> ours, or -> PySlowFast's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ava_detect.config import Config, dump_config
from ava_detect.engine.checkpoint import save_checkpoint
from ava_detect.models.weights import pyslowfast
from ava_detect.pretrained import Pretrained, load_model
from ava_eval.atomic import atomic_path, require_writable
from ava_eval.errors import InputError


def convert(checkpoint: Path, out: Path, config: Config | None = None, layout: str = "ours") -> str:
    """Write the weights of ``checkpoint`` to ``out``; a report of what they are.

    ``config`` decides what the file leaves open. Every tensor of the file must find its place.
    """
    if out.exists() and out.samefile(checkpoint):
        raise InputError(f"{out}: would be written over; name another file")
    require_writable(out)
    loaded = load_model(checkpoint, config)
    if layout == "ours":
        save_checkpoint(
            out,
            model=loaded.model,
            step=0,
            config=dump_config(loaded.config),
            meta={"label_map": loaded.label_map.to_dict("list"), "family": loaded.family},
        )
    else:
        content = _pyslowfast(loaded)
        with atomic_path(out) as temporary:
            torch.save(content, temporary)
    return "\n".join(_report(loaded, out))


def _pyslowfast(loaded: Pretrained) -> dict[str, Any]:
    data = loaded.config.data
    return pyslowfast.to_checkpoint(
        loaded.model.state_dict(),
        loaded.config.model.model_dump(),
        kind=data.kind,
        num_classes=len(loaded.label_map),
        num_frames=data.num_frames,
        sampling_rate=data.sampling_rate,
    )


def _report(loaded: Pretrained, out: Path) -> list[str]:
    model, data = loaded.config.model, loaded.config.data
    head = "classifier of clips" if data.kind == "kinetics" else "detector"
    lines = [
        f"family       {loaded.family}",
        f"model        {head}, {len(loaded.label_map)} classes, pathways {model.pathways},"
        f" depths {'-'.join(str(d) for d in model.depths)}",
        f"tensors      {len(loaded.model.state_dict())}, each matched",
        f"clip         {data.num_frames} frames at steps of {data.sampling_rate}",
        f"settings     alpha {model.alpha}, roi_aligned {model.roi_aligned},"
        f" roi_resolution {model.roi_resolution}, res5_dilation {model.res5_dilation},"
        f" slow_sampling {model.slow_sampling}",
    ]
    lines += [f"assumed      {key} = {value}" for key, value in loaded.assumed.items()]
    return [*lines, f"written      {out}"]
