"""Compare every protocol with its original code, run live, on random cases.

    python tools/fuzz_metric.py --activitynet DIR --pyslowfast DIR --mmaction2 DIR --cases 2000

The folders are git checkouts of activitynet/ActivityNet, facebookresearch/SlowFast and
open-mmlab/mmaction2; protocols whose folder is missing are left out. Each case has few keyframes,
boxes on a coarse grid (so that overlaps tie) and few scores (so that these tie), and by chance:
differences that float32 does not tell, crowded keyframes, invalid and NaN boxes, unknown and
excluded keyframes, unlisted actions, infinite scores, files without a row. Compared are the AP of
each class and the mAP, three times: equal to 1e-12 where ties do not decide, inside the interval of
ties where they do, and bit for bit with ``ties="official"``. Exits with 1 on a difference.

``--record FILE.jsonl.gz`` keeps cases and answers for the tests, which need no other code.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import logging
import math
import random
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import originals

from ava_eval.atomic import atomic_path
from ava_eval.evaluation_inputs import read_inputs
from ava_eval.frame_map import FrameMap, frame_map, get_ties
from ava_eval.protocol import PROTOCOLS

Row = list[object]
TOLERANCE = 1e-12


@dataclass
class Case:
    """The files of one evaluation, as text."""

    truth: str
    found: str
    labels: str
    excluded: str | None


def random_case(seed: int, protocol: str) -> Case:
    """A small case with rows that the original of the protocol accepts (but for inverted boxes)."""
    rng = random.Random(f"{protocol}-{seed}")
    ids = sorted(rng.sample(range(1, 8), rng.randint(1, 4))) + rng.choice([[], [20, 64], [80]])
    keyframes = [(video, second) for video in ("a", "-b") for second in (902, 903, 904)]
    few_scores = rng.random() < 0.6

    def box() -> list[float]:
        x, y = rng.choice([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (2, 0), (5, 5)])
        corners = [(4 + x) / 16, (4 + y) / 16, (10 + x) / 16, (12 + y) / 16]
        if rng.random() < 0.2:
            corners = [round(value + rng.uniform(-0.05, 0.05), 3) for value in corners]
        return corners

    def score() -> float:
        if rng.random() < 0.02:
            return rng.choice([math.inf, -math.inf, -10.0, -12.5])
        return rng.randint(0, 5) / 4 - 0.5 if few_scores else round(rng.random(), 6)

    def action() -> int:
        return rng.choice([*ids, rng.randint(1, 80)])

    truth: list[Row] = []
    known = [frame for frame in keyframes if rng.random() < 0.8]
    for frame in known:
        for _ in range(rng.choice([0, 1, 4, 7])):
            corners = box()
            if rng.random() < 0.05:
                corners[2] = corners[0]
            if rng.random() < 0.02:
                corners[rng.randrange(4)] = math.nan
            person = [rng.randint(0, 3)] if rng.random() < 0.8 else []
            truth.append([*frame, *corners, action(), *person])
    if protocol == "2020":
        truth += [[*frame] for frame in known if rng.random() < 0.3]
    found: list[Row] = []
    for frame in keyframes:
        for _ in range(rng.choice([0, 5, 90] if rng.random() < 0.97 else [300])):
            corners = box()
            if rng.random() < 0.05 and protocol != "mmaction2":
                corners[rng.choice([0, 2])] = corners[rng.choice([0, 2])]
            if rng.random() < 0.02 and protocol != "mmaction2":
                corners = [corners[2], *corners[1:2], corners[0], corners[3]]
            if rng.random() < 0.02:
                corners[rng.randrange(4)] = math.nan
            found.append([*frame, *corners, action(), score()])
    if protocol == "2018" and seed % 500 == 7:  # its 10,000 rows a class
        found += [["a", 902, *box(), ids[0], score()] for _ in range(11_500)]
    rng.shuffle(truth)
    if rng.random() < 0.5:
        rng.shuffle(found)
    if rng.random() < 0.02:
        found = []
    if rng.random() < 0.02 and protocol != "mmaction2":
        truth = []
    excluded = None
    if protocol == "mmaction2" and rng.random() < 0.3:
        _nudge(rng, found)
    if protocol != "2020" and rng.random() < 0.5:
        excluded = _text([[*frame] for frame in keyframes if rng.random() < 0.3])
    labels = "".join(f'item {{\n  name: "c{i}"\n  id: {i}\n}}\n' for i in ids)
    return Case(_text(truth), _text(found), labels, excluded)


def _nudge(rng: random.Random, found: list[Row]) -> None:
    """Move corners and scores so little that float32 does not tell."""
    for row in found:
        if rng.random() < 0.3:
            place = rng.choice([2, 3, 4, 5, 7])
            row[place] = float(str(row[place])) + rng.choice([-3e-8, 3e-8, 1e-9])


def _text(rows: list[Row]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def write(case: Case, folder: Path) -> dict[str, Path | None]:
    """The case as files."""
    files = {"truth": "gt.csv", "found": "det.csv", "labels": "labels.pbtxt", "excluded": "ex.csv"}
    paths: dict[str, Path | None] = {}
    for name, file in files.items():
        text = getattr(case, name)
        paths[name] = None if text is None else folder / file
        if text is not None:
            (folder / file).write_text(text)
    return paths


def ours(paths: dict, protocol: str, ties: str) -> FrameMap:
    """What ``ava-eval score`` computes."""
    inputs = read_inputs(paths["truth"], [paths["found"]], paths["labels"], paths["excluded"])
    scored = inputs.score(PROTOCOLS[protocol], get_ties(ties))
    return frame_map(scored, inputs.classes)


@dataclass
class Tally:
    """What happened to the cases of one protocol."""

    counts: Counter = field(default_factory=Counter)
    worst: float = 0.0
    wrong: list[str] = field(default_factory=list)


def compare(seed: int, protocol: str, scorer: originals.Scorer, folder: Path, tally: Tally) -> dict:
    """Run both on one case; returns what to record."""
    case = random_case(seed, protocol)
    paths = write(case, folder)
    try:
        aps, mean = _quietly(scorer, paths)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        tally.counts["refused"] += 1
        tally.wrong += [] if _may_refuse(case, protocol) else [f"{seed}: original: {error}"]
        return {}
    tally.counts["compared"] += 1
    bounded, official = (ours(paths, protocol, ties) for ties in ("fp-first", "official"))
    place = {int(number): i for i, number in enumerate(official.classes.ids)}
    pairs = [(bounded.ap_bounds[place[i]], official.ap[place[i]], ap) for i, ap in aps.items()]
    pairs.append((bounded.bounds, official.mean, mean))
    tied = any(high - low > 1e-15 for (low, high), _, _ in pairs)
    tally.counts["with ties"] += tied
    for (low, high), exact, expected in pairs:
        if math.isnan(expected):
            good = math.isnan(low) and math.isnan(exact)
        else:
            good = low - TOLERANCE <= expected <= high + TOLERANCE and exact == expected
            if high - low <= 1e-15:
                tally.worst = max(tally.worst, abs(low - expected))
        if not good:
            tally.wrong.append(f"{seed}: {expected!r}, ours {low!r}..{high!r}, official {exact!r}")
    stable_aps, stable_mean = _with_stable_sort(scorer, paths)
    return {
        "protocol": protocol,
        "truth": case.truth,
        "found": case.found,
        "labels": [int(number) for number in official.classes.ids],
        "excluded": case.excluded,
        "ap": {str(i): _null(ap) for i, ap in aps.items()},
        "mAP": _null(mean),
        "stable_ap": {str(i): _null(ap) for i, ap in stable_aps.items()},
        "stable_mAP": _null(stable_mean),
        "tied": tied,
    }


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value


def _may_refuse(case: Case, protocol: str) -> bool:
    """mmaction2 joins an empty list where nothing is listed."""
    return protocol == "mmaction2"


def _quietly(scorer: originals.Scorer, paths: dict) -> originals.Answer:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return scorer(paths["truth"], paths["found"], paths["labels"], paths["excluded"])


def _with_stable_sort(scorer: originals.Scorer, paths: dict) -> originals.Answer:
    """The answer where ``argsort`` is stable: the same on every machine, so it can be kept."""
    argsort = np.argsort
    with mock.patch("numpy.argsort", lambda a, axis=-1, kind=None: argsort(a, axis, "stable")):
        return _quietly(scorer, paths)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--activitynet", type=Path, metavar="DIR")
    parser.add_argument("--pyslowfast", type=Path, metavar="DIR")
    parser.add_argument("--mmaction2", type=Path, metavar="DIR")
    parser.add_argument("--cases", type=int, default=2000, help="cases of each protocol")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write cases and answers")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    failed, kept = False, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for protocol, scorer in _scorers(arguments, folder).items():
            tally = Tally()
            for seed in range(arguments.seed, arguments.seed + arguments.cases):
                answer = compare(seed, protocol, scorer, folder, tally)
                kept += [answer] if answer else []
            counts = ", ".join(f"{number} {what}" for what, number in tally.counts.items())
            print(
                f"{protocol:<11}{counts}; worst difference without ties {tally.worst:.1e}; "
                f"{len(tally.wrong)} wrong",
                flush=True,
            )
            for line in tally.wrong[:5]:
                print(f"  case {line}")
            failed |= bool(tally.wrong)
    if arguments.record:
        text = "".join(json.dumps(answer) + "\n" for answer in kept)
        with atomic_path(arguments.record) as temporary:
            temporary.write_bytes(gzip.compress(text.encode(), mtime=0))
    return int(failed)


def _scorers(arguments: argparse.Namespace, folder: Path) -> dict[str, originals.Scorer]:
    scorers = {}
    if arguments.activitynet:
        for year, commit in (("2020", "82304fa"), ("2019", "3fee089"), ("2018", "be7854e")):
            scorers[year] = originals.activitynet(arguments.activitynet, commit, folder)
    if arguments.pyslowfast:
        scorers["pyslowfast"] = originals.pyslowfast(arguments.pyslowfast, folder)
    if arguments.mmaction2:
        scorers["mmaction2"] = originals.mmaction2(arguments.mmaction2, folder)
    return scorers


if __name__ == "__main__":
    sys.exit(main())
