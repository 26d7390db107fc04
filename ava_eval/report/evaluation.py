"""The page of one evaluation: what it shows, as plain values for its template."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ava_eval.classes import GROUPS, Classes
from ava_eval.diagnosis import CAUSES, Diagnosis, diagnose
from ava_eval.diagnosis.causes import MEANING
from ava_eval.errors import InputError
from ava_eval.frame_map import FrameMap
from ava_eval.protocol import PROTOCOLS
from ava_eval.report.charts import Axis, Chart, Line, chart
from ava_eval.report.curves import Curve, precision_recall
from ava_eval.report.examples import Example, examples
from ava_eval.report.page import render, versions
from ava_eval.report.pictures import Frames, jpeg_address
from ava_eval.report.published import names_of_ava, published_for
from ava_eval.report.reference import Reference
from ava_eval.scoring import Scored
from ava_eval.statistics import Bootstrap, bootstrap, interval

_CONFUSIONS = 12
# Characters: of a page, and about those of a class, a picture's caption and a person on it.
_PAGE, _CLASS, _CARD, _PERSON = 4_600_000, 8_000, 700, 250
_NO_SHAPE = (16, 9)


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
    both = [scored] if beside is None or beside.scored is None else [scored, beside.scored]
    drawn = bootstrap(both, resamples, seed)
    of_mean, of_classes = drawn[0].intervals()
    one_video = len(scored.videos) < 2
    if one_video:  # the draws are all alike
        of_mean, of_classes = [math.nan] * 2, np.full_like(of_classes, math.nan)
    chosen = examples(scored, diagnosis, classes, most_pictures)
    cards, unseen = _cards(chosen, frames, max(_PAGE - _CLASS * len(classes), _PAGE // 10))
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
        bounds=result.bounds,
        mean_interval=of_mean,
        counts=result.counts,
        scored_truth=int(result.num_groundtruth.sum()),
        scored_found=int(result.num_detections.sum()),
        defined=int((~np.isnan(result.ap)).sum()),
        one_video=one_video,
        beside=None if beside is None else _beside(result, beside, drawn),
        rows=[
            _row(place, scored, diagnosis, of_classes, beside, ava)
            for place in classes.listing.tolist()
        ],
        groups=[name.replace("_", " ") for name in GROUPS if ava and classes.group(name).any()],
        causes=_causes(diagnosis),
        slices={name: parts for name, parts in diagnosis.slices.items() if ava or name != "group"},
        oracles=diagnosis.oracles,
        confusions=_confusions(diagnosis, classes),
        cards=cards,
        pictured={name for card in cards for name in card["actions"]},
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


def _beside(result: FrameMap, beside: Beside, drawn: Sequence[Bootstrap]) -> dict[str, Any]:
    """The other run's mAP, and of how many of the classes with an AP it tells."""
    reference = beside.reference
    known = ~np.isnan(reference.ap) & ~np.isnan(result.ap)
    answer: dict[str, Any] = {
        "name": reference.name,
        "mean": reference.mean,
        "delta": result.mean - reference.mean,
        "classes": int(known.sum()),
        "interval": None,
    }
    if len(drawn) == 2:
        answer["interval"] = interval(drawn[0].mean - drawn[1].mean).tolist()
    return answer


def _causes(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    """The causes of lost AP, the largest first."""
    share, alone, losses = diagnosis.share(), diagnosis.alone(), diagnosis.losses
    rows = [
        {
            "name": cause,
            "told": MEANING[cause],
            "share": share[cause],
            "alone": alone[cause],
            "false_positives": int(losses.false_positives[:, place].sum()),
            "missed": int(losses.missed[:, place].sum()),
        }
        for place, cause in enumerate(CAUSES)
    ]
    return sorted(rows, key=lambda row: -np.nan_to_num(row["share"]))


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


def _cards(
    chosen: Sequence[Example], frames: Frames | None, room: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """The first of the examples with their pictures, as many as there is ``room`` for on the page
    (characters), and why some have none."""
    pictures, reasons = _pictures(chosen, frames)
    cards = list[dict[str, Any]]()
    for example, (picture, shape) in zip(chosen, pictures, strict=True):
        room -= len(picture or "") + _CARD + _PERSON * len(example.people)
        if room < 0:
            break
        cards.append(
            {
                "kind": example.kind,
                "actions": example.actions,
                "score": example.score,
                "told": MEANING[example.cause],
                "video_id": example.video_id,
                "timestamp": example.timestamp,
                "picture": picture,
                "shape": shape,
                "box": _rectangle(example.box),
                "people": [
                    (box, person.actions)
                    for person in example.people
                    if (box := _rectangle(person.box)) is not None
                ],
            }
        )
    return cards, reasons


def _pictures(
    chosen: Sequence[Example], frames: Frames | None
) -> tuple[list[tuple[str | None, tuple[int, int]]], list[str]]:
    """The picture of each example, or None, with the shape (width, height) to draw in; and the
    reasons, one a video, why some have none. Each video is walked once."""
    found: list[tuple[str | None, tuple[int, int]]] = [(None, _NO_SHAPE)] * len(chosen)
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
    """x, y, width and height as fractions of the picture; None for what cannot be drawn."""
    if not np.all(np.isfinite(box)):
        return None
    x1, y1, x2, y2 = np.clip(box, -1, 2)
    return tuple(round(float(value), 4) for value in (x1, y1, max(x2 - x1, 0), max(y2 - y1, 0)))
