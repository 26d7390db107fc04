"""Tracks of people as JSON, written one by one so that a long video needs no memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ava_detect.visualize.actions import Actions

WRITTEN = 5
"""So many actions of a person are written, however likely they are."""


class Seen(Protocol):
    """A person on a keyframe: seconds, box f[4] normalised xyxy, its score, scores f[C]."""

    @property
    def time(self) -> float: ...

    @property
    def box(self) -> np.ndarray: ...

    @property
    def person(self) -> float: ...

    @property
    def scores(self) -> np.ndarray: ...


class TrackFile:
    """``{"tracks": [...], <facts>}`` with a line per track; use it in a ``with`` statement."""

    def __init__(self, path: Path, actions: Actions) -> None:
        self.num_tracks = 0
        self.actions = actions
        self._file = path.open("w", encoding="utf-8")
        self._file.write('{"tracks": [')

    def __enter__(self) -> TrackFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, track: int, sightings: Iterable[Seen]) -> None:
        """Write the next track: its id, and where it was seen, in the order of time."""
        facts = {"id": track, "boxes": [self._facts(seen) for seen in sightings]}
        self._file.write(f"{',' if self.num_tracks else ''}\n{json.dumps(facts)}")
        self.num_tracks += 1

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write what is known at the end, and complete the file."""
        rest = json.dumps(facts, indent=2)[1:].lstrip("\n")
        self._file.write(f"\n],\n{rest}\n")

    def _facts(self, seen: Seen) -> dict[str, Any]:
        return {
            "time": round(seen.time, 6),
            "box": [round(value, 5) for value in seen.box.tolist()],
            "person": round(seen.person, 4),
            "actions": self.actions.best(seen.scores, WRITTEN),
        }
