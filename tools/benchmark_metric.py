"""Time ``ava-eval score`` at full scale beside bare readers and the official script.

    python tools/benchmark_metric.py [--activitynet DIR] [--rows 10000000] [--variants]

Makes a case of the size of AVA's validation set (64 videos, 50,000 keyframes, 93,000 people, 60
evaluated classes; 125,000 boxes with 80 scores each, 508 MB) and prints, all measured in this run:
the whole command and its stages, its peak memory, the bare readers on the same file, arrays to AP
beside bare argsorts, the growth with the number of rows and, given a checkout of ActivityNet, the
official script and the ratio. ``--variants`` adds shuffled rows and gzip. Times are medians of
interleaved runs, seconds of wall time; memory is the largest resident size of the process.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import originals
import pandas as pd

from ava_eval import BoxScores, evaluate, read_label_map
from ava_eval.tables import BOX

KEYFRAMES, PEOPLE_A_KEYFRAME, FALSE_BOXES_A_KEYFRAME = 50_000, 1.87, 0.76
LABEL_MAP = Path(__file__).resolve().parents[1] / "ava_detect" / "label_maps" / "ava_60.pbtxt"
COLUMNS = ["video_id", "timestamp", *BOX, "action_id", "score"]


class Case(NamedTuple):
    """Where the files are, and the detections as a model gives them."""

    truth: Path
    found: Path
    boxes: BoxScores


class Run(NamedTuple):
    """One finished process."""

    seconds: float
    megabytes: float
    output: str


def make_case(folder: Path, num_rows: int, seed: int = 0) -> Case:
    """People with one pose and some interactions each; boxes that find most of them."""
    rng = np.random.default_rng(seed)
    keyframes = max(1, round(KEYFRAMES * num_rows / 1e7))
    ids = read_label_map(LABEL_MAP)["action_id"].to_numpy()
    people = np.repeat(np.arange(keyframes), rng.poisson(PEOPLE_A_KEYFRAME, keyframes))
    true_boxes = _boxes(rng, len(people))
    prior = np.zeros(80)
    prior[ids - 1] = np.maximum(1.5 / np.arange(1, len(ids) + 1) ** 1.3 / 2.5, 4e-4)
    labels = rng.random((len(people), 80)) < prior
    names = np.array([f"{'-_ab'[i % 4]}video{i:05d}" for i in range(64)])
    video, second = np.arange(keyframes) % 64, 902 + np.arange(keyframes) // 64

    truth = folder / "truth.csv"
    order = np.argsort(video[people], kind="stable")
    with truth.open("w") as file:
        for person in order.tolist():
            frame = people[person]
            x1, y1, x2, y2 = true_boxes[person].tolist()
            start = f"{names[video[frame]]},{second[frame]:04d},{x1:.3f},{y1:.3f},{x2:.3f},{y2:.3f}"
            file.writelines(f"{start},{i + 1}\n" for i in np.flatnonzero(labels[person]).tolist())

    kept = rng.random(len(people)) < 0.93
    false = np.repeat(np.arange(keyframes), rng.poisson(FALSE_BOXES_A_KEYFRAME, keyframes))
    size = np.tile(true_boxes[kept, 2:] - true_boxes[kept, :2], 2)
    boxes = true_boxes[kept] + rng.normal(0, 0.06, (int(kept.sum()), 4)) * size
    boxes = np.concatenate([boxes, _boxes(rng, len(false))]).clip(0, 1).astype(np.float32)
    frame = np.concatenate([people[kept], false])
    right = np.concatenate([labels[kept], np.zeros((len(false), 80), dtype=bool)])
    easiness = rng.uniform(1, 4.5, 80)
    logit = np.log((prior + 1e-4) / (1 - prior)) - 1.5 + rng.normal(0, 1.6, right.shape)
    logit += right * easiness - (np.arange(len(frame)) >= kept.sum())[:, None]
    scores = (1 / (1 + np.exp(-logit))).astype(np.float32)
    order = np.lexsort((rng.random(len(frame)), second[frame], video[frame]))
    order = order[: num_rows // 80]
    boxes, frame, scores = boxes[order], frame[order], scores[order]

    found = folder / "found.csv"
    with found.open("w", buffering=1 << 22) as file:
        for row in range(len(order)):
            x1, y1, x2, y2 = boxes[row].tolist()
            start = f"{names[video[frame[row]]]},{second[frame[row]]:04d}"
            start += f",{x1:.3f},{y1:.3f},{x2:.3f},{y2:.3f},"
            of_box = enumerate(scores[row].tolist(), 1)
            file.write("".join([f"{start}{i},{score:.4f}\n" for i, score in of_box]))
    table = pd.DataFrame(boxes.astype(np.float64), columns=BOX)
    table.insert(0, "video_id", names[video[frame]])
    table.insert(1, "timestamp", second[frame].astype(np.float64))
    return Case(truth, found, BoxScores(table, scores, np.arange(1, 81)))


def _boxes(rng: np.random.Generator, number: int) -> np.ndarray:
    size = np.exp(rng.normal([-1.2, -0.6], [0.5, 0.35], (number, 2))).clip(0.03, 0.98)
    low = rng.random((number, 2)) * (1 - size)
    return np.concatenate([low, low + size], axis=1)


def run(*command: str | Path) -> Run:
    """Run a process; its time, peak memory and output."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output)
        peak = 0.0
        while process.poll() is None:  # (ru_maxrss would remember the size of this process)
            peak = max(peak, _peak_megabytes(process.pid))
            time.sleep(0.002)
        seconds = time.perf_counter() - start
        output.seek(0)
        text = output.read().decode()
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{text}")
    return Run(seconds, peak, text)


def _peak_megabytes(process: int) -> float:
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{process}/status").read_text()
        if found := re.search(r"VmHWM:\s*(\d+) kB", status):
            return int(found[1]) / 1024
    return 0.0


def score_command(truth: Path, found: Path, *more: str) -> tuple[str | Path, ...]:
    """``ava-eval score``."""
    start = (sys.executable, "-m", "ava_eval", "score")
    return (*start, "-g", truth, "-d", found, "-l", LABEL_MAP, *more)


STAGES = """
import sys, time
start = time.perf_counter()
from ava_eval.frame_map import frame_map
from ava_eval.evaluation_inputs import read_inputs
from ava_eval.protocol import PROTOCOLS
imported = time.perf_counter()
inputs = read_inputs(sys.argv[1], [sys.argv[2]], sys.argv[3])
read = time.perf_counter()
scored = inputs.score(PROTOCOLS["2020"])
matched = time.perf_counter()
frame_map(scored, inputs.classes)
done = time.perf_counter()
print(imported - start, read - imported, matched - read, done - matched)
"""

# A process that times one call of a reader, imports aside; the file comes as its argument.
READERS = {
    "pyarrow": f"""
import sys, time, pyarrow, pyarrow.csv as csv
kinds = [pyarrow.dictionary(pyarrow.int32(), pyarrow.string())] + [pyarrow.float64()] * 5
kinds += [pyarrow.int64(), pyarrow.float64()]
options = csv.ConvertOptions(column_types=dict(zip({COLUMNS}, kinds)))
start = time.perf_counter()
csv.read_csv(sys.argv[1], csv.ReadOptions(column_names={COLUMNS}), convert_options=options)
print(time.perf_counter() - start)
""",
    "polars": f"""
import sys, time, polars
kinds = [polars.String] + [polars.Float64] * 5 + [polars.Int64, polars.Float64]
start = time.perf_counter()
polars.read_csv(sys.argv[1], has_header=False, schema=dict(zip({COLUMNS}, kinds)))
print(time.perf_counter() - start)
""",
    "pandas": f"""
import sys, time, pandas
kinds = dict(zip({COLUMNS}, [str] + ["f8"] * 5 + ["i8", "f8"]))
start = time.perf_counter()
pandas.read_csv(sys.argv[1], header=None, names={COLUMNS}, dtype=kinds, na_filter=False)
print(time.perf_counter() - start)
""",
}


def bare_readers(found: Path, repeats: int) -> dict[str, float]:
    """Seconds of each installed reader."""
    installed = {name: code for name, code in READERS.items() if _importable(name)}
    times: dict[str, list[float]] = {name: [] for name in installed}
    for _ in range(repeats):
        for name, code in installed.items():
            times[name].append(float(run(sys.executable, "-c", code, found).output))
    return {name: statistics.median(values) for name, values in times.items()}


def _importable(name: str) -> bool:
    command = [sys.executable, "-c", f"import {name}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def official_script(checkout: Path, folder: Path, case: Case) -> Run:
    """The official script of today as its authors advise to run it, with ``python -O``."""
    scorer = folder / "official.py"
    originals.activitynet(checkout, "82304fa", folder)
    scorer.write_text(
        "import sys, pprint\n"
        "import activitynet_82304fa_script as script\n"
        "files = [open(path) for path in sys.argv[1:]]\n"
        "print(repr(float(script.run_evaluation(*files)['PascalBoxes_Precision/mAP@0.5IOU'])))\n"
    )
    return run(sys.executable, "-O", scorer, LABEL_MAP, case.truth, case.found)


def arrays_to_ap(case: Case, repeats: int) -> tuple[float, float]:
    """Seconds of ``evaluate`` on arrays, and of a bare argsort of each evaluated class."""
    label_map = read_label_map(LABEL_MAP)
    truth = pd.read_csv(case.truth, header=None, names=[*COLUMNS[:7]])
    truth["person_id"] = -1
    columns = label_map["action_id"].to_numpy() - 1
    scores = [np.ascontiguousarray(case.boxes.scores[:, i], dtype=np.float64) for i in columns]
    ours, bare = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        evaluate(truth, case.boxes, label_map)
        middle = time.perf_counter()
        for column in scores:
            np.argsort(column)
        ours.append(middle - start)
        bare.append(time.perf_counter() - middle)
    return statistics.median(ours), statistics.median(bare)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--activitynet", type=Path, metavar="DIR", help="checkout of ActivityNet")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--variants", action="store_true", help="also shuffled rows and gzip")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        case = make_case(folder, arguments.rows)
        size = case.found.stat().st_size / 1e6
        print(f"{len(case.boxes.boxes) * 80:,} rows, {size:.0f} MB")
        _benchmark(arguments, folder, case)


def _benchmark(arguments: argparse.Namespace, folder: Path, case: Case) -> None:
    repeats = arguments.repeats
    command = score_command(case.truth, case.found)
    run(*command)  # the file is in the page cache from here on
    runs, stages, bare = [], [], []
    for _ in range(repeats):
        runs.append(run(*command))
        stage = run(sys.executable, "-c", STAGES, case.truth, case.found, LABEL_MAP)
        stages.append([float(word) for word in stage.output.split()])
        bare.append(bare_readers(case.found, 1))
    seconds = statistics.median(r.seconds for r in runs)
    print(f"\nava-eval score       {seconds:.2f} s, {max(r.megabytes for r in runs):.0f} MB")
    names = ("imports", "read", "match", "AP")
    for name, values in zip(names, zip(*stages, strict=True), strict=True):
        print(f"  {name:<19}{statistics.median(values):.2f} s")
    readers = {name: statistics.median(times[name] for times in bare) for name in bare[0]}
    for name, value in readers.items():
        print(f"bare {name:<16}{value:.2f} s")
    print(f"score / fastest reader: {seconds / min(readers.values()):.2f}")

    ours, argsorts = arrays_to_ap(case, repeats)
    print(f"\narrays to AP {ours:.3f} s, 60 argsorts {argsorts:.3f} s: {ours / argsorts:.2f}")

    print("\nrows         seconds   seconds per million")
    for part in (1, 2, 4, 10):
        rows, found = arguments.rows * part // 10, folder / "part.csv"
        with case.found.open("rb") as file, found.open("wb") as copy:
            copy.writelines(itertools.islice(file, rows))
        value = _median(score_command(case.truth, found), repeats)
        print(f"{rows:<13,}{value:<10.2f}{value / rows * 1e6:.3f}")

    if arguments.variants:
        shuffled, packed = folder / "shuffled.csv", folder / "found.csv.gz"
        lines = case.found.read_bytes().splitlines(keepends=True)
        random.Random(0).shuffle(lines)
        shuffled.write_bytes(b"".join(lines))
        del lines
        with case.found.open("rb") as file, gzip.open(packed, "wb", compresslevel=1) as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        for found in (shuffled, packed):
            again = [run(*score_command(case.truth, found)) for _ in range(repeats)]
            readers = bare_readers(found, repeats)
            value = statistics.median(r.seconds for r in again)
            print(
                f"{found.name:<15}{value:.2f} s, {max(r.megabytes for r in again):.0f} MB, "
                f"{value / min(readers.values()):.2f} of the fastest reader"
            )

    if arguments.activitynet:
        official = official_script(arguments.activitynet, folder, case)
        answer = folder / "answer.json"
        run(*score_command(case.truth, case.found, "--ties", "official", "--json", str(answer)))
        ours_mean = json.loads(answer.read_text())["mAP"]
        theirs = float(official.output.split()[-1])
        print(f"\nofficial script      {official.seconds:.1f} s, {official.megabytes:.0f} MB")
        print(f"official / score     {official.seconds / seconds:.0f}")
        print(f"mAP {theirs!r}, ours with --ties official {ours_mean!r}: {theirs == ours_mean}")


def _median(command: tuple[str | Path, ...], repeats: int) -> float:
    return statistics.median(run(*command).seconds for _ in range(repeats))


if __name__ == "__main__":
    main()
