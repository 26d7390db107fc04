"""Draw the evaluations of several training runs into one picture, and print them as a table.

    python tools/draw_curves.py runs/scratch runs/pretrained -o curves.png \
        --names "from scratch" "from Kinetics"

The runs were made with `evaluate_every`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

FIGURE = "val_mAP"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a PNG or SVG file")
    parser.add_argument("--names", nargs="+", help="what the runs are called")
    parser.add_argument("--figure", default=FIGURE, help="a key of metrics.jsonl")
    arguments = parser.parse_args()
    names = arguments.names or [str(run) for run in arguments.runs]
    curves = {
        name: read_curve(run / "metrics.jsonl", arguments.figure)
        for name, run in zip(names, arguments.runs, strict=True)
    }
    steps = sorted({step for curve in curves.values() for step in curve})
    print("| steps | " + " | ".join(map(str, steps)) + " |")
    print("|---" * (len(steps) + 1) + "|")
    for name, curve in curves.items():
        cells = [f"{curve[step]:.3f}" if step in curve else "" for step in steps]
        print(f"| {name} | " + " | ".join(cells) + " |")
    draw(curves, arguments.figure.removeprefix("val_"), arguments.output)


def read_curve(path: Path, figure: str) -> dict[int, float]:
    """The figure by step."""
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {line["step"]: line[figure] for line in lines if figure in line}


def draw(curves: dict[str, dict[int, float]], label: str, path: Path) -> None:
    from matplotlib.figure import Figure

    picture = Figure(figsize=(6, 3.6), layout="constrained")
    axes = picture.subplots()
    for name, curve in curves.items():
        axes.plot(list(curve), list(curve.values()), marker="o", markersize=4, label=name)
    axes.set_xlabel("steps")
    axes.set_ylabel(label)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    picture.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
