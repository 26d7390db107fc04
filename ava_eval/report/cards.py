"""The examples of errors as a page shows them: picture, boxes, caption."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ava_eval.errors import InputError
from ava_eval.report.examples import Example
from ava_eval.report.pictures import Frames, jpeg_address

_CARD, _PERSON = 700, 350  # characters: about those of a card, and those of a person on it
_NUMBERED = 9  # so many people have a number in the picture
_NO_SHAPE = (16, 9)

Shape = tuple[int, int]


def cards(
    chosen: Sequence[Example], frames: Frames | None, room: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """The first of the examples with their pictures, as many as there is ``room`` for on the page
    (characters), and why some have none."""
    pictures, reasons = _pictures(chosen, frames)
    answer = list[dict[str, Any]]()
    for example, (picture, shape) in zip(chosen, pictures, strict=True):
        room -= len(picture or "") + _CARD + _PERSON * len(example.people)
        if room < 0:
            break
        answer.append(_card(example, picture, shape))
    return answer, reasons


def _card(example: Example, picture: str | None, shape: Shape) -> dict[str, Any]:
    drawn = [(_rectangle(person.box), person.actions) for person in example.people]
    person = None if example.person is None else example.people[example.person]
    return {
        "cause": example.cause,
        "classes": example.actions,
        "said": example.said,
        "score": example.score,
        "does": None if person is None else ", ".join(person.actions),
        "overlap": example.overlap,
        "video_id": example.video_id,
        "timestamp": example.timestamp,
        "picture": picture,
        "shape": shape,
        "box": _rectangle(example.box),
        "people": [(box, actions) for box, actions in drawn if box is not None],
        "numbered": 1 < len(drawn) <= _NUMBERED,
    }


def _pictures(
    chosen: Sequence[Example], frames: Frames | None
) -> tuple[list[tuple[str | None, Shape]], list[str]]:
    """The picture of each example, or None, with the shape (width, height) to draw in; and the
    reasons, one a video, why some have none. Each video is walked once."""
    found: list[tuple[str | None, Shape]] = [(None, _NO_SHAPE)] * len(chosen)
    reasons = dict[str, str]()
    if frames is None:
        return found, []
    order = sorted(range(len(chosen)), key=lambda i: (chosen[i].video_id, chosen[i].timestamp))
    for video_id, group in itertools.groupby(order, key=lambda i: chosen[i].video_id):
        places = list(group)
        shown = frames(video_id, [chosen[i].timestamp for i in places])
        for place, frame in zip(places, shown, strict=True):
            if isinstance(frame, InputError):
                reasons.setdefault(video_id, str(frame))
            else:
                found[place] = jpeg_address(frame), (frame.shape[1], frame.shape[0])
    return found, list(reasons.values())


def _rectangle(box: Sequence[float]) -> tuple[float, ...] | None:
    """x, y, width and height in per cent of the picture; None for what cannot be drawn."""
    if not np.all(np.isfinite(box)):
        return None
    x1, y1, x2, y2 = 100 * np.clip(box, -1, 2)
    return tuple(round(float(value), 2) for value in (x1, y1, max(x2 - x1, 0), max(y2 - y1, 0)))
