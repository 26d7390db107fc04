"""The APs of another run, to stand beside: from its JSON or from the log of any peer."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from ava_eval.classes import Classes
from ava_eval.errors import InputError
from ava_eval.open_files import open_input

# As the official script, PySlowFast, AlphAction ('.../AP@0.5IOU/stand': 0.8) and mmaction2
# (AP@0.5IOU/stand= 0.8) print the AP of a class; the name may hold quotes, colons and commas.
# (NumPy 2 prints np.float64(0.8).)
_NUMBER = r"['\"]?\s*[=:]\s*(?:np\.float64\()?(nan|\d*\.?\d+(?:e-?\d+)?)"
_CLASS = re.compile(r"AP@0\.5IOU/(.+?)" + _NUMBER, re.IGNORECASE)
_MEAN = re.compile(r"mAP@0\.5IOU" + _NUMBER, re.IGNORECASE)


@dataclass(frozen=True)
class Reference:
    """``ap`` f64[C] by class and their ``mean``; NaN where the other run does not say.

    ``protocol`` is its name where the file tells, ``digest`` the file's SHA-256.
    """

    name: str
    mean: float
    ap: np.ndarray
    protocol: str | None = None
    digest: str | None = None


def read_reference(path: str | PathLike[str], classes: Classes) -> Reference:
    """Read the JSON of ``ava-eval score`` or ``ava-detect evaluate``, or a log with APs by name.

    Raises ``InputError`` where the file has no AP of any of the classes.
    """
    digest, protocol = hashlib.sha256(), None
    with open_input(path, digest) as file:
        text = file.read().decode("utf-8", errors="replace")
    if text.lstrip().startswith("{") and '"classes"' in text:
        mean, by_class, protocol = _of_json(path, text)
        places: dict[Any, int] = {int(number): i for i, number in enumerate(classes.ids)}
    else:
        mean, by_class = _of_log(text)
        places = {name.lower(): i for i, name in enumerate(classes.names)}
    ap = np.full(len(classes), np.nan)
    for key, value in by_class.items():
        if key in places:
            ap[places[key]] = value
    if np.isnan(ap).all():
        raise InputError(
            f"{path}: expected APs of classes of the label map: the JSON of 'ava-eval score', or a"
            " log with lines like 'AP@0.5IOU/stand: 0.81'; got none (detections are a .csv or"
            " .csv.gz)"
        )
    return Reference(str(path), mean, ap, protocol, digest.hexdigest())


def _of_json(path: str | PathLike[str], text: str) -> tuple[float, dict[Any, float], str | None]:
    try:
        answer = json.loads(text)
        by_id = {int(row["id"]): _value(row["ap"]) for row in answer["classes"]}
        return _value(answer["mAP"]), by_id, answer.get("protocol")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{path}: expected the JSON that 'ava-eval score --json' writes: {error!r}"
        ) from error


def _value(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _of_log(text: str) -> tuple[float, dict[Any, float]]:
    """The last evaluation that the log tells of."""
    means = _MEAN.findall(text)
    by_name = {name.strip().lower(): float(value) for name, value in _CLASS.findall(text)}
    return float(means[-1]) if means else math.nan, by_name
