"""Line charts as SVG: text a page can hold, colours from the page's own style."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

# Units of about a pixel on a narrow page, so that text stays legible there.
WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 38
_TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One curve; ``style`` is the number of a colour of the style sheet, 1 to 4."""

    name: str
    points: Sequence[Point]
    style: int = 1
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Axis:
    """What is shown along it; without bounds, those of the points.

    It ends at a round number, or, if ``tight``, with the points.
    """

    label: str
    low: float | None = None
    high: float | None = None
    tight: bool = False


@dataclass(frozen=True)
class Chart:
    """Everything that the template draws, in units of the picture."""

    title: str
    x: Axis
    y: Axis
    lines: list[Line]
    paths: list[str]
    dots: list[list[Point]]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The area of the curves: left, top, right, bottom."""
        return LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture."""
        return WIDTH, HEIGHT


def chart(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> Chart:
    """Lay out curves; ``title`` is for those who cannot see them. Points that are NaN are gaps."""
    points = np.array([point for line in lines for point in line.points], float).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    x_ends, x_ticks = _marked(x, points[:, 0])
    y_ends, y_ticks = _marked(y, points[:, 1])
    across = _scale(x_ends, LEFT, WIDTH - RIGHT)
    up = _scale(y_ends, HEIGHT - BOTTOM, TOP)
    placed = [[(across(a), up(b)) for a, b in line.points] for line in lines]
    return Chart(
        title,
        x,
        y,
        list(lines),
        [_path(points) for points in placed],
        [
            [p for p in points if math.isfinite(p[1])] if line.dots else []
            for points, line in zip(placed, lines, strict=True)
        ],
        [(across(tick), _text(tick, x_ticks)) for tick in x_ticks],
        [(up(tick), _text(tick, y_ticks)) for tick in y_ticks],
    )


def _marked(axis: Axis, values: np.ndarray) -> tuple[tuple[float, float], list[float]]:
    """The ends of an axis, and its ticks."""
    low, high = _bounds(axis, values)
    ticks = _ticks(low, high)
    if axis.tight:
        return (low, high), [tick for tick in ticks if low <= tick <= high]
    return (ticks[0], ticks[-1]), ticks


def _bounds(axis: Axis, values: np.ndarray) -> tuple[float, float]:
    low = axis.low if axis.low is not None else float(values.min(initial=math.inf))
    high = axis.high if axis.high is not None else float(values.max(initial=-math.inf))
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    largest = max(abs(low), abs(high))
    return (low, high) if high - low > 1e-9 * largest else (low, low + (largest or 1.0))


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _scale(ends: tuple[float, float], start: float, end: float) -> Callable[[float], float]:
    low, high = ends

    def place(value: float) -> float:
        return round(start + (value - low) / (high - low) * (end - start), 1)

    return place


def _text(tick: float, ticks: list[float]) -> str:
    largest = max(abs(tick) for tick in ticks)
    if tick and (largest >= 1e5 or largest < 1e-3):
        return f"{tick:.3g}".replace("e-0", "e-").replace("e+0", "e")
    return f"{tick:g}"


def _path(points: list[Point]) -> str:
    """The ``d`` of an SVG path; a new start after each gap."""
    parts, pen = [], "M"
    for x, y in points:
        if math.isfinite(y):
            parts.append(f"{pen}{x:g} {y:g}")
        pen = "L" if math.isfinite(y) else "M"
    return "".join(parts)
