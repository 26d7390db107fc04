"""Where the lost AP went: causes, slices, confusions and oracles.

``diagnose(scored, classes) -> Diagnosis``; ``scored`` is what ``score_tables`` or ``Inputs.score``
give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ava_eval.classes import GROUPS, Classes
from ava_eval.diagnosis.causes import CAUSES, Causes, Losses, losses
from ava_eval.diagnosis.confusion import Confusion, confusions
from ava_eval.diagnosis.oracles import oracles
from ava_eval.diagnosis.people import People
from ava_eval.diagnosis.slices import by_frequency, by_group, by_people, by_size
from ava_eval.frame_map import FrameMap, frame_map, mean_of_defined, null_if_nan
from ava_eval.scoring import Scored

__all__ = ["CAUSES", "Diagnosis", "diagnose"]


@dataclass(frozen=True)
class Diagnosis:
    """The frame-mAP and its explanation.

    ``losses`` are by class and cause, in the order of ``CAUSES``; their ``share`` adds up, over the
    causes, to 1 - AP. ``slices`` hold the mAP of parts: ``group``, ``size``, ``people`` and
    ``frequency``. ``oracles`` are described in ``oracles.py``. ``people`` and ``errors`` are what
    single errors can be looked up in.
    """

    result: FrameMap
    losses: Losses
    slices: dict[str, list[dict[str, Any]]]
    confusions: list[Confusion]
    oracles: dict[str, float]
    people: People
    errors: Causes

    def share(self, some: np.ndarray | None = None) -> dict[str, float]:
        """What each cause costs the mAP, over all classes or those of a mask."""
        return self._mean(self.losses.share, some)

    def alone(self) -> dict[str, float]:
        """What mending only this cause would add to the mAP."""
        return self._mean(self.losses.alone)

    def causes(self) -> list[dict[str, Any]]:
        """What each cause costs, in the order of ``CAUSES``: its name, ``share`` and ``alone`` of
        the mAP, and how many ``false_positives`` and ``missed`` rows it made."""
        share, alone = self.share(), self.alone()
        return [
            {
                "name": cause,
                "share": share[cause],
                "alone": alone[cause],
                "false_positives": int(self.losses.false_positives[:, place].sum()),
                "missed": int(self.losses.missed[:, place].sum()),
            }
            for place, cause in enumerate(CAUSES)
        ]

    def _mean(self, values: np.ndarray, some: np.ndarray | None = None) -> dict[str, float]:
        rows = values if some is None else values[some]
        return {cause: mean_of_defined(rows[:, i]) for i, cause in enumerate(CAUSES)}

    def to_json(self) -> dict[str, Any]:
        """A dict for ``json.dump``."""
        losses, result = self.losses, self.result

        def by_cause(values: Any) -> dict[str, Any]:
            return {cause: _plain(value) for cause, value in zip(CAUSES, values, strict=True)}

        return {
            "protocol": result.protocol,
            "mAP": null_if_nan(result.mean),
            "causes": [
                {key: _plain(value) for key, value in cause.items()} for cause in self.causes()
            ],
            "groups": {
                name: by_cause(self.share(result.classes.group(name)).values()) for name in GROUPS
            },
            "oracles": {name: null_if_nan(value) for name, value in self.oracles.items()},
            "slices": {
                name: [{key: _plain(value) for key, value in part.items()} for part in parts]
                for name, parts in self.slices.items()
            },
            "classes": [
                {
                    "id": int(result.classes.ids[i]),
                    "name": result.classes.names[i],
                    "ap": null_if_nan(result.ap[i]),
                    "share": by_cause(losses.share[i]),
                    "alone": by_cause(losses.alone[i]),
                    "false_positives": by_cause(losses.false_positives[i]),
                    "missed": by_cause(losses.missed[i]),
                }
                for i in result.classes.listing
            ],
            "confusions": [pair._asdict() for pair in self.confusions],
        }


def _plain(value: Any) -> Any:
    """A number for JSON; other values as they are."""
    if isinstance(value, np.integer):
        return int(value)
    return null_if_nan(float(value)) if isinstance(value, float | np.floating) else value


def diagnose(scored: Scored, classes: Classes) -> Diagnosis:
    """Explain the frame-mAP of scored detections."""
    result = frame_map(scored, classes)
    people = People.of(scored)
    causes = Causes.of(scored, people)
    return Diagnosis(
        result,
        losses(scored, causes, ~np.isnan(result.ap)),
        {
            "group": by_group(result.ap, classes),
            "size": by_size(scored, people),
            "people": by_people(scored, people),
            "frequency": by_frequency(result.ap, scored.num_truth),
        },
        confusions(scored, people, causes, classes),
        oracles(scored, people, classes),
        people,
        causes,
    )
