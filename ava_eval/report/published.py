"""What papers report on AVA's validation set, to know where a number stands."""

from __future__ import annotations

from typing import NamedTuple

from ava_eval.classes import Classes


class Published(NamedTuple):
    """A model's mAP in per cent, and on which version of the annotations."""

    model: str
    pretrained: str
    version: str
    mean: float
    source: str


# Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019 (arXiv 1812.03982v3).
PUBLISHED = (
    Published("Slow-only R50 4x16", "Kinetics-400", "v2.1", 19.0, "SlowFast, table 9"),
    Published("SlowFast R50 4x16", "Kinetics-400", "v2.1", 24.2, "SlowFast, table 9"),
    Published("SlowFast R101 8x8 + NL", "Kinetics-600", "v2.2", 29.0, "SlowFast, table 8"),
    Published("SlowFast R101 16x8 + NL", "Kinetics-600", "v2.2", 29.8, "SlowFast, table 8"),
    Published("the same, 3 scales x flip", "Kinetics-600", "v2.2", 30.7, "SlowFast, table 8"),
)
_KEYFRAMES = 40_000  # the validation set has some 50,000


def published_for(classes: Classes, num_keyframes: int) -> tuple[Published, ...]:
    """``PUBLISHED`` where this is AVA's evaluation: its 60 classes, thousands of keyframes."""
    last = dict(zip(classes.ids.tolist(), classes.names, strict=True)).get(80)
    ava = len(classes) == 60 and last == "watch (a person)"
    return PUBLISHED if ava and num_keyframes >= _KEYFRAMES else ()
