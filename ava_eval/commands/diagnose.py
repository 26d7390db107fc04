"""``ava-eval diagnose``."""

from __future__ import annotations

import argparse

import numpy as np

from ava_eval.commands.arguments import load
from ava_eval.commands.output import warn, write_json
from ava_eval.diagnosis import CAUSES, Diagnosis
from ava_eval.diagnosis import diagnose as explain
from ava_eval.diagnosis.causes import MEANING
from ava_eval.diagnosis.oracles import ORACLES
from ava_eval.diagnosis.slices import FREQUENCIES, SIZES
from ava_eval.notices import notices
from ava_eval.text import number

_LINES = 10


def diagnose(arguments: argparse.Namespace) -> int:
    """Print where the lost AP went; the exit code."""
    inputs, protocol = load(arguments)
    diagnosis = explain(inputs.score(protocol), inputs.classes)
    if arguments.json is not None:
        write_json(arguments.json, diagnosis.to_json() | {"inputs": inputs.files})
    warn(notices(diagnosis.result, inputs, protocol))
    print("\n\n".join(_parts(diagnosis)))
    return 0


def _parts(diagnosis: Diagnosis) -> list[str]:
    result = diagnosis.result
    head = f"mAP {number(result.mean)}, protocol {result.protocol}"
    return [
        head,
        _causes(diagnosis),
        *(_slice(name, parts) for name, parts in diagnosis.slices.items()),
        _oracles(diagnosis),
        _classes(diagnosis),
        _confusions(diagnosis),
    ]


def _causes(diagnosis: Diagnosis) -> str:
    """The parts of the lost AP, the largest first, and their sum."""
    causes = diagnosis.causes()
    lines = [f"{'lost to':<14}{'share':>8}{'alone':>8}{'false pos.':>12}{'missed':>9}"]
    lines += [
        f"{cause['name']:<14}{number(cause['share']):>8}{number(cause['alone']):>8}"
        f"{cause['false_positives']:>12}{cause['missed']:>9}  {MEANING[cause['name']]}"
        for cause in sorted(causes, key=lambda cause: -np.nan_to_num(cause["share"]))
    ]
    total, wrong, missed = (
        sum(cause[key] for cause in causes) for key in ("share", "false_positives", "missed")
    )
    lines.append(
        f"{'sum':<14}{number(total):>8}{'':>8}{wrong:>12}{missed:>9}"
        "  1 - mAP; 'alone' is the gain of mending one cause only"
    )
    return "\n".join(lines)


def _slice(name: str, parts: list[dict]) -> str:
    lines = [f"by {name:<18}{'mAP':>7}{'classes':>9}{'truth':>9}{'detections':>12}{_limits(name)}"]
    for part in parts:
        truth, found = (part.get(key, "") for key in ("groundtruth", "detections"))
        label = part["name"].replace("_", " ")
        lines.append(
            f"  {label:<19}{number(part['mAP']):>7}{part['classes']:>9}{truth:>9}{found:>12}"
        )
    return "\n".join(lines)


def _limits(name: str) -> str:
    """What the names of the parts mean."""
    if name == "size":
        low, high = SIZES["medium"]
        return f"  medium: {low:.0%} to {high:.0%} of the frame"
    if name == "frequency":
        low, high = FREQUENCIES["common"]
        return f"  common: {low} to {high - 1} rows in the ground truth"
    return ""


def _oracles(diagnosis: Diagnosis) -> str:
    lines = [f"{'if perfect':<21}{'mAP':>7}"]
    for name, value in diagnosis.oracles.items():
        lines.append(f"  {name.replace('_', ' '):<19}{number(value):>7}  {ORACLES[name]}")
    return "\n".join(lines)


def _classes(diagnosis: Diagnosis) -> str:
    """The classes that lose most, and to what."""
    result, share = diagnosis.result, diagnosis.losses.share
    lines = [f"{'lowest AP':<40}{'AP':>7}  most lost to"]
    defined = np.flatnonzero(~np.isnan(result.ap))
    for place in defined[np.argsort(result.ap[defined], kind="stable")][:_LINES]:
        if result.ap[place] >= 1:
            break
        worst = CAUSES[int(np.argmax(share[place]))]
        lines.append(
            f"  {result.classes.names[place][:37]:<38}{number(result.ap[place]):>7}  "
            f"{worst} {number(share[place].max())}"
        )
    return "\n".join(lines)


def _confusions(diagnosis: Diagnosis) -> str:
    if not diagnosis.confusions:
        return "no action of one kind is taken for another"
    classes = diagnosis.result.classes
    name_of = dict(zip(classes.ids.tolist(), classes.names, strict=True))
    lines = ["most confused, among the best detections of an action, as many as people do it"]
    for pair in diagnosis.confusions[:_LINES]:
        lines.append(
            f"  {pair.rows:>6} of {pair.considered:<6} '{name_of[pair.predicted]}' "
            f"on a person who does '{name_of[pair.actual]}'"
        )
    return "\n".join(lines)
