"""The page of a training run, from what it left in its folder."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ava_eval.errors import InputError
from ava_eval.open_files import read_text
from ava_eval.report import About
from ava_eval.report.charts import Axis, Chart, Line, Point, chart
from ava_eval.report.page import render, versions

METRICS, VAL = "metrics.jsonl", "val_"
FIGURES = ("loss", "clips_per_s", "data_time_share", "memory_gb")
MOST_POINTS = 300

Figures = Mapping[str, Any]


def training_page(folder: Path) -> str:
    """One HTML file that needs no other: the curves of a run, its starts, data and settings.

    Raises ``InputError`` where the folder has no ``metrics.jsonl`` of a training.
    """
    lines = read_metrics(folder / METRICS)
    train = [line for line in lines if not any(name.startswith(VAL) for name in line)]
    val = [line for line in lines if any(name.startswith(VAL) for name in line)]
    if not train:
        raise InputError(f"{folder / METRICS}: expected the lines of a training, there are none")
    config = _read(folder / "config.yaml")
    starts = _read_json(folder / "starts.json", list)
    data = _read_json(folder / "data.json", dict)
    files = data.get("files")
    about = About(
        f"Training of {folder}",
        [
            {"role": "annotations", "path": path, "sha256": str(digest)}
            for path, digest in (files.items() if isinstance(files, dict) else ())
        ],
        config=config,
    )
    return render(
        "training.html",
        "ava_detect.visualize",
        about=about,
        last_step=train[-1]["step"],
        figures={name: _late(name, train) for name in FIGURES},
        best=_best(val),
        data={name: data[name] for name in ("videos", "clips", "people") if _is_count(data, name)},
        charts=_charts(train, val),
        evaluations=[(line["step"], _own(line)) for line in val],
        names=list(dict.fromkeys(name for line in val for name in _own(line))),
        starts=[start for start in starts if isinstance(start, dict)],
        settings={"metrics": f"{len(train)} lines"},
        versions=versions("torch", "torchvision"),
    )


def read_metrics(path: Path) -> list[Figures]:
    """The lines of a ``metrics.jsonl``; a last one that is being written is left out.

    Raises ``InputError`` where a line is no JSON object of numbers with a step.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected the folder of a training, which has a {METRICS}")
    lines = []
    for number, text in enumerate(_read(path).split("\n")[:-1], start=1):
        try:
            line = json.loads(text)
            good = isinstance(line, dict) and isinstance(line.get("step"), int)
        except ValueError:
            good = False
        if not good or not all(v is None or isinstance(v, int | float) for v in line.values()):
            raise InputError(f"{path}:{number}: expected a JSON object of numbers with a step")
        lines.append(line)
    return lines


def _read(path: Path) -> str:
    """The text of a file, nothing where there is none."""
    return read_text(path) if path.is_file() else ""


def _read_json(path: Path, kind: type) -> Any:
    """What a JSON file holds, empty where there is none."""
    text = _read(path)
    try:
        value = json.loads(text) if text else kind()
    except ValueError as error:
        raise InputError(f"{path}: expected JSON: {error}") from error
    if not isinstance(value, kind):
        raise InputError(f"{path}: expected a JSON {'object' if kind is dict else 'list'}")
    return value


def _late(name: str, train: Sequence[Figures]) -> float:
    """The median of a figure over the last tenth of the run, which one step does not sway."""
    some = train[-max(1, len(train) // 10) :]
    values = [line[name] for line in some if line.get(name) is not None]
    return statistics.median(values) if values else math.nan


def _is_count(data: Figures, name: str) -> bool:
    return isinstance(data.get(name), int)


def _own(line: Figures) -> dict[str, Any]:
    """The figures of an evaluation, by their names there."""
    return {name.removeprefix(VAL): line[name] for name in line if name.startswith(VAL)}


def _best(val: Sequence[Figures]) -> tuple[str, float, int] | None:
    """The first figure of the evaluations, where it was best, and after which step."""
    known = [
        (name, value, line["step"])
        for line in val
        for name, value in list(_own(line).items())[:1]
        if value is not None
    ]
    return max(known, key=lambda one: one[1], default=None)


def _charts(train: Sequence[Figures], val: Sequence[Figures]) -> list[Chart]:
    steps = Axis("step", 0, tight=True)
    charts = [
        chart("Loss over steps", steps, Axis("loss"), [_line("loss", "loss", train)]),
        chart("Learning rate over steps", steps, Axis("learning rate", 0),
              [_line("learning rate", "lr", train)]),
        chart("Seconds of a step", steps, Axis("seconds", 0), [
            _line("a step", "step_s", train),
            _line("of these, waiting for data", "data_s", train, style=2, dashed=True),
        ]),
        chart("Clips per second", steps, Axis("clips per second", 0),
              [_line("clips per second", "clips_per_s", train)]),
        chart("Memory at most", steps, Axis("memory, GB", 0),
              [_line("memory", "memory_gb", train)]),
    ]  # fmt: skip
    if val:
        names = list(dict.fromkeys(name for line in val for name in line if name.startswith(VAL)))
        lines = [
            Line(name.removeprefix(VAL), list(_points(name, val)), 1 + place % 4, place > 0, True)
            for place, name in enumerate(names)
        ]
        charts.insert(1, chart("Figures of the evaluations", steps, Axis("evaluations", 0), lines))
    if train[-1].get("skipped_clips"):
        skipped = _line("skipped", "skipped_clips", train)
        charts.append(chart("Clips that could not be read", steps, Axis("skipped", 0), [skipped]))
    return charts


def _line(
    label: str, name: str, lines: Sequence[Figures], style: int = 1, dashed: bool = False
) -> Line:
    return Line(label, thinned(list(_points(name, lines))), style, dashed)


def _points(name: str, lines: Iterable[Figures]) -> Iterable[Point]:
    """Steps and figures; what is not known is a gap."""
    for line in lines:
        if name in line:
            value = line[name]
            yield float(line["step"]), math.nan if value is None else float(value)


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most ``MOST_POINTS``: means of as many neighbours as that takes, but for the last few."""
    size = -(-len(points) // MOST_POINTS)
    if size <= 1:
        return list(points)
    answer = []
    for first in range(0, len(points), size):
        some = points[first : first + size]
        known = [value for _, value in some if math.isfinite(value)]
        answer.append((some[-1][0], sum(known) / len(known) if known else math.nan))
    return answer
