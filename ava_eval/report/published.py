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


# Some of AVA's ids; another data set has other names there.
_NAMES = {11: "sit", 12: "stand", 14: "walk", 17: "carry/hold (an object)", 80: "watch (a person)"}


def names_of_ava(classes: Classes) -> bool:
    """Whether the ids are AVA's, so that they tell the kind of an action."""
    names = dict(zip(classes.ids.tolist(), classes.names, strict=True))
    known = [names[number] == name for number, name in _NAMES.items() if number in names]
    return bool(known) and all(known)


def published_for(classes: Classes, num_keyframes: int) -> tuple[Published, ...]:
    """``PUBLISHED`` where this is AVA's evaluation: its 60 classes, thousands of keyframes."""
    ava = len(classes) == 60 and names_of_ava(classes)
    return PUBLISHED if ava and num_keyframes >= _KEYFRAMES else ()
