"""What boxes are kept with: the detector, its weights and settings; and whether they are of now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ava_detect.commands.proposers import proposer_weights
from ava_detect.config import Config
from ava_detect.proposals.files import file_digest
from ava_detect.proposals.journal import differences
from ava_eval.errors import InputError

PUBLISHED = "published"


def provenance(config: Config) -> dict[str, Any]:
    """The detector's name, the digest of its weights, and the settings that decide on its boxes."""
    settings = config.proposer
    own = settings.variant if settings.kind == "torchvision" else settings.config
    weights = proposer_weights(config)
    return {
        "detector": f"{settings.kind} {own}",
        "weights": PUBLISHED if weights is None else file_digest(weights),
        "min_score": settings.min_score,
        "max_boxes": settings.max_boxes,
        "candidates": settings.candidates,
        "short_side": settings.short_side,
    }


def outdated(config: Config, facts: Mapping[str, Any], keyframes: pd.DataFrame) -> list[str]:
    """What has changed since boxes were proposed with some ``facts``, in words.

    Only what the facts tell is compared. Weights are not where no file is named or was trained
    here: the boxes may have been brought along from another folder, whose detector they are of.
    """
    try:
        now = provenance(config)
    except InputError:  # the detector is not needed here
        return []
    told = differences(
        *(
            {
                name: values[name]
                for name in now
                if name in facts and not (name == "weights" and now[name] == PUBLISHED)
            }
            for values in (facts, now)
        )
    )
    if isinstance(known := facts.get("keyframes"), dict):
        counts = keyframes["video_id"].value_counts(sort=False).to_dict()
        missing = [video_id for video_id, count in counts.items() if count > known.get(video_id, 0)]
        if missing:
            some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            told.append(f"keyframes of {len(missing)} videos ({some}) are missing")
    return told
