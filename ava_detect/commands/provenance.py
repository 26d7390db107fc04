"""What boxes are kept with: the detector, its weights and settings; and whether they are of now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ava_detect.commands.proposers import proposer_weights
from ava_detect.config import Config
from ava_detect.proposals.files import file_digest
from ava_detect.proposals.journal import differences
from ava_detect.proposals.proposer import Proposer
from ava_eval.errors import InputError


def provenance(config: Config, proposer: Proposer) -> dict[str, Any]:
    """The detector's name, what it tells of itself, and the settings that decide on its boxes."""
    return _settings(config) | proposer.facts


def outdated(config: Config, facts: Mapping[str, Any], keyframes: pd.DataFrame) -> list[str]:
    """What has changed since boxes were proposed with some ``facts``, in words.

    Only what the facts tell, and what is known without the detector, is compared. Weights are not
    where no file is named or was trained here: the boxes may have been brought along from another
    folder, whose detector they are of.
    """
    now = _settings(config) | _weights(config)
    told = differences(
        *({name: values[name] for name in now if name in facts} for values in (facts, now))
    )
    if isinstance(known := facts.get("keyframes"), dict):
        counts = keyframes["video_id"].value_counts(sort=False).to_dict()
        missing = [video_id for video_id, count in counts.items() if count > known.get(video_id, 0)]
        if missing:
            some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            told.append(f"keyframes of {len(missing)} videos ({some}) are missing")
    return told


def _settings(config: Config) -> dict[str, Any]:
    """What the config alone tells."""
    settings = config.proposer
    own = settings.variant if settings.kind == "torchvision" else settings.config
    return {
        "detector": f"{settings.kind} {own}",
        "min_score": settings.min_score,
        "max_boxes": settings.max_boxes,
        "candidates": settings.candidates,
        "short_side": settings.short_side,
    }


def _weights(config: Config) -> dict[str, Any]:
    """The digest of the weights' file; nothing where there is none, for it is not needed here."""
    try:
        weights = proposer_weights(config)
    except InputError:
        return {}
    return {} if weights is None else {"weights": file_digest(weights)}
