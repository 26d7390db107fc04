"""The page of one evaluation: what it shows, as plain values for its template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ava_eval.classes import GROUPS, Classes
from ava_eval.comparison import Comparison, compare
from ava_eval.diagnosis import CAUSES, Diagnosis, diagnose
from ava_eval.diagnosis.causes import MEANING
from ava_eval.diagnosis.oracles import ORACLES
from ava_eval.diagnosis.slices import FREQUENCIES, SIZES
from ava_eval.frame_map import FrameMap, mean_of_defined
from ava_eval.protocol import PROTOCOLS
from ava_eval.report.cards import cards
from ava_eval.report.charts import Axis, Chart, Line, chart
from ava_eval.report.curves import Curve, precision_recall
from ava_eval.report.examples import examples
from ava_eval.report.page import render, versions
from ava_eval.report.pictures import Frames
from ava_eval.report.published import names_of_ava, published_for
from ava_eval.report.reference import Reference
from ava_eval.scoring import Scored
from ava_eval.statistics import bootstrap

_CONFUSIONS = 12
_BOUNDS = {"size": SIZES["medium"], "frequency": FREQUENCIES["common"]}
_STATED = 5e-4  # an mAP that differs by more from the mean of its APs is told of
_PAGE, _CLASS = 4_600_000, 8_000  # characters: of a page, and about those of a class


@dataclass(frozen=True)
class Beside:
    """Another run: its APs and, where it was scored on the same ground truth, its detections."""

    reference: Reference
    scored: Scored | None = None


@dataclass(frozen=True)
class About:
    """What a page says of where its numbers come from.

    ``files`` are the inputs as JSON lists them; ``settings`` short facts by name; ``config`` the
    text of a configuration; ``warnings`` lines; ``packages`` those whose versions matter too.
    """

    title: str
    files: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    warnings: Sequence[str] = ()
    packages: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """The text of an HTML file, and for each video that lacks pictures on it, why."""

    html: str
    unseen: list[str]


def evaluation_page(
    scored: Scored,
    classes: Classes,
    about: About,
    *,
    beside: Beside | None = None,
    frames: Frames | None = None,
    most_pictures: int = 60,
    resamples: int = 1000,
    seed: int = 0,
) -> Page:
    """One HTML file that needs no other: scores, curves, errors and the worst of them as pictures.

    Args:
        scored: as ``score_tables`` or ``Inputs.score`` give it, equal scores fp-first.
        classes: those of ``scored``.
        about: the title and where the numbers come from.
        beside: another run to compare with.
        frames: where the keyframes come from; without it boxes are drawn on nothing.
        most_pictures: of each kind of error.
        resamples: draws of the videos that the intervals are from.
        seed: of the draws.
    """
    diagnosis = diagnose(scored, classes)
    result = diagnosis.result
    comparison = None
    if beside is not None and beside.scored is not None:
        comparison = compare(beside.scored, scored, classes, resamples, seed)
    drawn = comparison.resamples_b if comparison else bootstrap([scored], resamples, seed)[0]
    of_mean, of_classes = drawn.intervals()
    one_video = len(scored.videos) < 2
    if one_video:  # the draws are all alike
        of_mean, of_classes, comparison = [math.nan] * 2, of_classes * math.nan, None
    chosen = examples(scored, diagnosis, classes, most_pictures)
    shown, unseen = cards(chosen, frames, max(_PAGE - _CLASS * len(classes), _PAGE // 10))
    ava = names_of_ava(classes)
    settings = {
        "protocol": f"{result.protocol} ({PROTOCOLS[result.protocol].source})",
        "equal scores": result.ties,
        "intervals": f"95 %, {resamples} draws of {len(scored.videos)} videos, seed {seed}",
        **about.settings,
    }
    html = render(
        "evaluation.html",
        about=about,
        result=result,
        mean_interval=of_mean,
        scored_truth=int(result.num_groundtruth.sum()),
        scored_found=int(result.num_detections.sum()),
        defined=int((~np.isnan(result.ap)).sum()),
        one_video=one_video,
        beside=None if beside is None else _beside(result, beside, comparison),
        rows=[
            _row(place, scored, diagnosis, of_classes, beside, comparison, ava)
            for place in np.argsort(result.ap, kind="stable").tolist()
        ],
        groups=[name.replace("_", " ") for name in GROUPS if ava and classes.group(name).any()],
        causes=_causes(diagnosis),
        slices={name: parts for name, parts in diagnosis.slices.items() if ava or name != "group"},
        oracles=diagnosis.oracles,
        oracles_told=ORACLES,
        bounds_of=_BOUNDS,
        confusions=_confusions(diagnosis, classes),
        cards=shown,
        pictured={name for card in shown for name in card["classes"]},
        num_errors=len(chosen),
        unseen=unseen,
        with_videos=frames is not None,
        published=published_for(classes, result.counts["keyframes"]),
        settings=settings,
        versions=versions(*about.packages),
    )
    return Page(html, unseen)


def _row(
    place: int,
    scored: Scored,
    diagnosis: Diagnosis,
    intervals: np.ndarray,
    beside: Beside | None,
    comparison: Comparison | None,
    ava: bool,
) -> dict[str, Any]:
    """What the table says of a class, and what opens below it."""
    result, classes = diagnosis.result, diagnosis.result.classes
    share = diagnosis.losses.share[place]
    ap = float(result.ap[place])
    other = math.nan if beside is None else float(beside.reference.ap[place])
    groups = [name for name in GROUPS if ava and classes.group(name)[place]]
    curve = precision_recall(*_detections(scored, place))
    best = curve.best
    return {
        "id": int(classes.ids[place]),
        "name": classes.names[place],
        "group": groups[0].replace("_", " ") if groups else "",
        "ap": ap,
        "interval": intervals[place].tolist(),
        "beside": other,
        "delta": ap - other,
        "delta_interval": None
        if comparison is None
        else comparison.class_intervals[place].tolist(),
        "moved": comparison is not None and bool(comparison.moved[place]),
        "truth": int(result.num_groundtruth[place]),
        "found": int(result.num_detections[place]),
        "causes": sorted(zip(CAUSES, share.tolist(), strict=True), key=lambda pair: -pair[1]),
        "best": None
        if best is None
        else {
            "f1": float(curve.f1[best]),
            "score": float(curve.score[best]),
            "precision": float(curve.precision[best]),
            "recall": float(curve.recall[best]),
        },
        "chart": _chart(classes.names[place], curve, place, beside),
    }


def _detections(scored: Scored, place: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores, which are right, and the number of true ones, of a class."""
    rows = scored.rows_of_class[place]
    return scored.scores[rows], scored.correct[rows], int(scored.num_truth[place])


def _chart(name: str, curve: Curve, place: int, beside: Beside | None) -> Chart | None:
    lines = [Line("this run", curve.outline())]
    if beside is not None and beside.scored is not None:
        other = precision_recall(*_detections(beside.scored, place)).outline()
        lines.append(Line("beside", other, style=2, dashed=True))
    if not any(line.points for line in lines):
        return None
    axes = Axis("recall", 0, 1), Axis("precision", 0, 1)
    return chart(f"Precision over recall of {name}", *axes, lines)


def _beside(result: FrameMap, beside: Beside, comparison: Comparison | None) -> dict[str, Any]:
    """Both mAPs over the classes of which both tell, and what stands in the way of comparing."""
    reference = beside.reference
    known = ~np.isnan(reference.ap) & ~np.isnan(result.ap)
    mean, other = (mean_of_defined(ap[known]) for ap in (result.ap, reference.ap))
    differs = abs(other - reference.mean) > _STATED and known.sum() == (~np.isnan(result.ap)).sum()
    return {
        "name": reference.name,
        "mean": mean,
        "other": other,
        "delta": mean - other,
        "classes": int(known.sum()),
        "stated": reference.mean if differs else None,
        "protocol": reference.protocol if reference.protocol != result.protocol else None,
        "interval": None if comparison is None else comparison.delta_interval.tolist(),
    }


def _causes(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """The causes of lost AP, the largest first."""
    causes = [cause | {"told": MEANING[cause["name"]]} for cause in diagnosis.causes()]
    return sorted(causes, key=lambda cause: -np.nan_to_num(cause["share"]))


def _confusions(diagnosis: Diagnosis, classes: Classes) -> list[dict[str, Any]]:
    name_of = dict(zip(classes.ids.tolist(), classes.names, strict=True))
    return [
        {
            "said": name_of[pair.predicted],
            "does": name_of[pair.actual],
            "rows": pair.rows,
            "considered": pair.considered,
        }
        for pair in diagnosis.confusions[:_CONFUSIONS]
    ]
