"""The page of one evaluation: what it shows, as plain values for its template."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ava_eval.classes import GROUPS, Classes
from ava_eval.diagnosis import CAUSES, Diagnosis, diagnose
from ava_eval.diagnosis.causes import MEANING
from ava_eval.errors import InputError
from ava_eval.protocol import PROTOCOLS
from ava_eval.report.charts import Axis, Chart, Line, chart
from ava_eval.report.curves import precision_recall
from ava_eval.report.examples import Example, examples
from ava_eval.report.page import render, versions
from ava_eval.report.pictures import Frames, jpeg_address
from ava_eval.report.published import published_for
from ava_eval.report.reference import Reference
from ava_eval.scoring import Scored
from ava_eval.statistics import Bootstrap, bootstrap, interval

_PICTURE_BYTES = 3_500_000
_CONFUSIONS = 12

_log = logging.getLogger(__name__)


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
    cards, unseen = _cards(examples(scored, diagnosis, classes, most_pictures), frames)
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
        beside=None if beside is None else _beside(result.mean, beside, drawn),
        rows=[
            _row(place, scored, diagnosis, of_classes, beside) for place in classes.listing.tolist()
        ],
        groups=[name.replace("_", " ") for name in GROUPS if classes.group(name).any()],
        causes=_causes(diagnosis),
        slices=diagnosis.slices,
        oracles=diagnosis.oracles,
        confusions=_confusions(diagnosis, classes),
        cards=cards,
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
) -> dict[str, Any]:
    """What the table says of a class, and what opens below it."""
    result, classes = diagnosis.result, diagnosis.result.classes
    share = diagnosis.losses.share[place]
    ap = float(result.ap[place])
    other = math.nan if beside is None else float(beside.reference.ap[place])
    groups = [name for name, members in GROUPS.items() if classes.ids[place] in members]
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
        "chart": _chart(place, scored, diagnosis, beside),
    }


def _detections(scored: Scored, place: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores, which are right, and the number of true ones, of a class."""
    rows = scored.rows_of_class[place]
    return scored.scores[rows], scored.correct[rows], int(scored.num_truth[place])


def _chart(place: int, scored: Scored, diagnosis: Diagnosis, beside: Beside | None) -> Chart | None:
    lines = [Line("this run", precision_recall(*_detections(scored, place)).outline())]
    if beside is not None and beside.scored is not None:
        other = precision_recall(*_detections(beside.scored, place)).outline()
        lines.append(Line("beside", other, style=2, dashed=True))
    if not any(line.points for line in lines):
        return None
    name = diagnosis.result.classes.names[place]
    axes = Axis("recall", 0, 1), Axis("precision", 0, 1)
    return chart(f"Precision over recall of {name}", *axes, lines)


def _beside(mean: float, beside: Beside, drawn: Sequence[Bootstrap]) -> dict[str, Any]:
    reference = beside.reference
    answer: dict[str, Any] = {
        "name": reference.name,
        "mean": reference.mean,
        "delta": mean - reference.mean,
        "classes": int((~np.isnan(reference.ap)).sum()),
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
    chosen: Sequence[Example], frames: Frames | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """The examples with their pictures, in all no larger than a page may be, and why some have
    none."""
    cards, unseen = list[dict[str, Any]](), dict[str, str]()
    left = _PICTURE_BYTES
    for example, frame in _with_frames(chosen, frames, unseen):
        picture = None if frame is None else jpeg_address(frame)
        if left <= 0:
            _log.info("the page is full: %d of %d errors are shown", len(cards), len(chosen))
            break
        left -= len(picture or "")
        card = asdict(example) | {"picture": picture, "told": MEANING[example.cause]}
        card["shape"] = None if frame is None else [frame.shape[1], frame.shape[0]]
        cards.append(card)
    return cards, list(unseen.values())


def _with_frames(
    chosen: Sequence[Example], frames: Frames | None, unseen: dict[str, str]
) -> Iterator[tuple[Example, np.ndarray | None]]:
    """Each example with its keyframe; None where there is none, and ``unseen`` says why."""
    for example in chosen:
        frame = None
        if frames is not None and example.video_id not in unseen:
            try:
                frame = frames(example.video_id, example.timestamp)
            except InputError as error:
                unseen[example.video_id] = str(error)
        yield example, frame
