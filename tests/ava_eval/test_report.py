"""The page of an evaluation: its numbers are the metric's, its pictures the right frames."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest

from ava_eval import read_annotations, read_detections, read_label_map
from ava_eval.average_precision import average_precision
from ava_eval.classes import Classes
from ava_eval.cli import main
from ava_eval.frame_map import score_tables
from ava_eval.report import About, evaluation_page
from ava_eval.report.charts import Axis, Line, chart
from ava_eval.report.curves import precision_recall
from ava_eval.report.published import names_of_ava, published_for
from tests.ava_eval.report_world import VIDEOS, frame_number, make_files
from tests.painted import number_of


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_files(tmp_path)
    return tmp_path


REPORT = ["report", "-g", "gt.csv", "-d", "det.csv", "-l", "labels.pbtxt", "-o", "out.html"]


def pictures(html: str) -> list[tuple[str, float, np.ndarray]]:
    """The video, the time and the frame u8[H,W,3] of each picture on a page."""
    found = re.findall(r'<img src="data:image/jpeg;base64,(.*?)" alt="(.*?)">', html)
    answer = []
    for data, text in found:
        video, time = re.fullmatch(r"Keyframe of (\S+) at ([\d.]+) s", text).groups()
        image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        answer.append((video, float(time), image))
    return answer


def area(outline: list[tuple[float, float]]) -> float:
    x, y = np.array(outline).T
    return float(np.trapezoid(y, x))


@pytest.mark.parametrize("size", [20, 60, 5000])
def test_the_area_under_a_curve_is_the_ap(size: int) -> None:
    rng = np.random.default_rng(size)
    scores, correct = rng.permutation(size) / size, rng.random(size) < 0.4
    total = int(correct.sum()) + 5
    outline = precision_recall(scores, correct, total).outline()
    ap = average_precision(scores, correct, total)
    assert area(outline) <= ap + 1e-12
    assert area(outline) == pytest.approx(ap, abs=1e-12 if size < 100 else 0.02)
    assert outline[-1][0] == correct.sum() / total


def test_a_curve_has_steps() -> None:
    correct = np.array([True, *[False] * 18, True])
    outline = precision_recall(np.arange(20, 0, -1) / 20, correct, 2).outline()
    assert outline == [(0, 1), (0.5, 1), (0.5, 0.1), (1, 0.1)]


def test_a_threshold_keeps_what_the_curve_says() -> None:
    scores = np.array([0.9, 0.8, 0.8, 0.5, 0.1])
    correct = np.array([True, True, False, False, True])
    curve = precision_recall(scores, correct, 4)
    assert curve.score.tolist() == [0.9, 0.8, 0.1]
    assert curve.recall.tolist() == [0.25, 0.5, 0.75]
    assert curve.precision == pytest.approx([1, 2 / 3, 3 / 5])
    assert curve.best == 2
    assert precision_recall(scores, np.zeros(5, bool), 4).best is None


def test_pictures_are_of_the_keyframes(files: Path, capsys) -> None:
    assert main([*REPORT, "--videos", "videos", "--start", "900"]) == 0
    assert capsys.readouterr().out == "out.html\n"
    shown = pictures((files / "out.html").read_text())
    assert len(shown) > 5
    assert {video for video, _, _ in shown} == set(VIDEOS)
    for video, time, image in shown:
        assert number_of(image) == frame_number(video, time)


def attributes(html: str, name: str) -> dict[str, float]:
    """One attribute of each class's row."""
    found = re.findall(rf'<tbody data-name="(.*?)".*? data-{name}="(.*?)"', html)
    return {unescape(key): float(value) for key, value in found}


def text_of(html: str) -> str:
    """What a page says, on one line, with ASCII signs."""
    words = unescape(re.sub(r"<[^>]*>", " ", html)).replace("−", "-").replace("\u202f", "")
    return re.sub(r" ([.,:;])", r"\1", " ".join(words.split()))


def test_numbers_are_those_of_score(files: Path) -> None:
    draws = ["--resamples", "40", "--seed", "3"]
    assert main([*REPORT, "--title", "M <y>", *draws]) == 0
    assert main(["score", *REPORT[1:7], "--json", "score.json", *draws]) == 0
    html = (files / "out.html").read_text()
    answer = json.loads((files / "score.json").read_text())
    low, high = answer["mAP_interval"]
    told = f"{answer['mAP']:.4f} frame-mAP 95 % interval {low:.3f} to {high:.3f}, protocol 2020"
    assert f"M <y> {told}" in text_of(html)
    assert "<y>" not in html
    rows = {row["name"]: row for row in answer["classes"]}
    for name, key in (("ap", "ap"), ("truth", "num_groundtruth"), ("found", "num_detections")):
        expected = {name: np.nan if row[key] is None else row[key] for name, row in rows.items()}
        assert attributes(html, name) == pytest.approx(expected, nan_ok=True)
    row = rows["walk"]
    low, high = row["ap_interval"]
    assert (
        f"AP {row['ap']:.3f}, 95 % interval {low:.3f} to {high:.3f}. Annotated:"
        f" {row['num_groundtruth']}. Detections scored: {row['num_detections']}."
    ) in text_of(html)
    for file in answer["inputs"]:
        assert file["sha256"] in html


def test_losses_are_those_of_diagnose(files: Path) -> None:
    assert main(REPORT) == 0
    assert main(["diagnose", *REPORT[1:7], "--json", "diagnosis.json"]) == 0
    told = text_of((files / "out.html").read_text())
    answer = json.loads((files / "diagnosis.json").read_text())
    for cause in answer["causes"]:
        numbers = f"{cause['share']:.3f} {cause['alone']:.3f}"
        assert f"{numbers} {cause['false_positives']} {cause['missed']}" in told
    names = {row["id"]: row["name"] for row in answer["classes"]}
    assert len({pair["actual"] for pair in answer["confusions"]}) > 1
    for pair in answer["confusions"][:12]:
        said, does = names[pair["predicted"]], names[pair["actual"]]
        assert f"{said} {does} {pair['rows']} {pair['considered']}" in told
    for name, value in answer["oracles"].items():
        assert f"{value:.3f}" in told, name
    for part in answer["slices"]["people"]:
        assert f"{part['name']} {part['mAP']:.3f}".replace("nan", "–") in told if part["mAP"] else 1


def test_beside_another_run(files: Path) -> None:
    draws = ["--resamples", "40", "--seed", "3"]
    assert main([*REPORT, "--beside", "worse.csv", *draws]) == 0
    words = ["-g", "gt.csv", "-l", "labels.pbtxt", "-d", "worse.csv", "-d", "det.csv"]
    assert main(["compare", *words, *draws, "--json", "compare.json"]) == 0
    html = (files / "out.html").read_text()
    answer = json.loads((files / "compare.json").read_text())
    (low, high), (other, _) = answer["delta_interval"], answer["mAP"]
    assert answer["delta"] > 0.05
    assert (
        f"{answer['delta']:.4f} above {other:.4f} of worse.csv (difference {answer['delta']:+.4f},"
        f" 95 % interval {low:+.4f} to {high:+.4f}, the same draws of videos)."
    ) in text_of(html)
    rows = {row["name"]: row for row in answer["classes"]}
    deltas = {name: np.nan if row["delta"] is None else row["delta"] for name, row in rows.items()}
    assert attributes(html, "delta") == pytest.approx(deltas, nan_ok=True)
    moved = sum(row["moved"] for row in answer["classes"])
    assert 0 < moved == len(re.findall(r"<td class=.number.><strong>", html))
    low, high = rows["walk"]["delta_interval"]
    told = f"Against the other run {rows['walk']['delta']:+.3f}, 95 % interval {low:+.3f} to"
    assert f"{told} {high:+.3f}." in text_of(html)


def test_beside_numbers_alone(files: Path) -> None:
    main(["score", *REPORT[1:7], "--json", "score.json", "--protocol", "2019"])
    answer = json.loads((files / "score.json").read_text())
    assert main([*REPORT, "--beside", "score.json"]) == 0
    html = (files / "out.html").read_text()
    assert f"{answer['mAP']:.4f} of score.json. That is by protocol 2019" in text_of(html)
    assert hashlib.sha256((files / "score.json").read_bytes()).hexdigest() in html
    aps = {row["name"]: row["ap"] for row in answer["classes"]}
    (files / "log").write_text(f"AP@0.5IOU/walk: {aps['walk'] + 0.1}\nmAP@0.5IOU: 0.9\n")
    assert main([*REPORT, "--beside", "log"]) == 0
    told = text_of((files / "out.html").read_text())
    other = f"{aps['walk'] + 0.1:.4f} of log, over the 1 of 6 classes that it tells of"
    assert f"0.1000 below {other} ({aps['walk']:.4f} here)." in told
    lines = [f"AP@0.5IOU/{name}: {ap}" for name, ap in aps.items()]
    (files / "log").write_text("\n".join([*lines, "mAP@0.5IOU: 0.9"]))
    assert main([*REPORT, "--beside", "log"]) == 0
    told = text_of((files / "out.html").read_text())
    assert "It states an mAP of 0.9000, which is not the mean of its APs." in told


def test_boxes_are_drawn_where_they_are(label_map, annotations, detections) -> None:
    truth = annotations(
        [("v", 7.0, 0.1, 0.2, 0.4, 0.8, 1, 0), ("w", 1.0, 0.1, 0.2, 0.3, 0.4, 1, 0)]
    )
    found = detections([("v", 7.0, 0.5, 0.25, 0.75, 0.35, 1, 0.875)])

    def red(video_id: str, timestamps: list[float]):
        for _ in timestamps:
            yield np.full((40, 80, 3), (200, 50, 10), np.uint8)

    scored, classes = score_tables(truth, found, label_map)
    html = evaluation_page(scored, classes, About("one"), frames=red, resamples=5).html
    wrong = re.findall(r'<rect class="wrong" ([^>]*)/>', html)
    assert 'x="50.0" y="25.0" width="25.0" height="10.0"' in wrong
    people = re.findall(r'<rect class="truth" ([^>]*)><title>(.*?)</title>', html)
    assert ('x="10.0" y="20.0" width="30.0" height="60.0"', "walk") in people
    (_, _, image), *_ = pictures(html)
    assert np.abs(image[..., ::-1].reshape(-1, 3).mean(axis=0) - [200, 50, 10]).max() < 6
    assert "walk 0.875 near nobody" in text_of(html)


def test_published_numbers_stand_beside_ava_alone() -> None:
    ava = Classes.of([(i, "") for i in range(1, 61)])
    assert published_for(ava, 50_000) == ()
    names = {11: "sit", 12: "stand", 14: "walk", 17: "carry/hold (an object)"}
    listed = [(i, names.get(i, "x")) for i in range(1, 60)] + [(80, "watch (a person)")]
    assert published_for(Classes.of(listed), 50_000)[1].mean == 24.2
    assert published_for(Classes.of(listed), 700) == ()
    assert published_for(Classes.of(listed[1:]), 50_000) == ()
    assert names_of_ava(Classes.of([(12, "stand"), (300, "fly")]))
    assert not names_of_ava(Classes.of([(12, "jump"), (14, "walk")]))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--videos", "nowhere"], "--videos: expected a folder"),
        (["--videos", "empty"], "--videos: expected videos"),
        (["--resamples", "0"], "--resamples: expected"),
        (["--pictures", "-1"], "--pictures: expected"),
        (["--beside", "nothing.json"], "nothing.json"),
        (["-o", "det.csv"], "det.csv: expected a file for the result"),
        (["-d", "worse.csv"], "-d: expected 1 file, got 2"),
        (["--beside", "det.json", "-o", "det.json"], "det.json: expected a file for the result"),
        (["--videos", "videos", "-o", "videos/d.mp4"], "videos/d.mp4: expected a file for the"),
    ],
)
def test_mistakes(words: list[str], told: str, files: Path, capsys) -> None:
    (files / "empty").mkdir()
    (files / "det.json").write_text("{}")
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    assert main([*REPORT, *words]) == 2
    assert before == {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("start", ["nan", "inf", "soon"])
def test_a_start_that_is_no_time(start: str, files: Path, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        main([*REPORT, "--videos", "videos", "--start", start])
    assert left.value.code == 2
    assert "--start: expected" in capsys.readouterr().err


def test_all_missed_people_are_shown(label_map, annotations, detections) -> None:
    """Even where the other errors are on the same keyframes, and few classes have them."""
    truth = annotations([("v", float(t), 0, 0, 0.4, 0.8, 1, 0) for t in range(40)])
    found = detections([("v", float(t), 0.6, 0, 1, 0.8, 1, 0.5) for t in range(40)])
    scored, classes = score_tables(truth, found, label_map)
    html = evaluation_page(scored, classes, About("lost"), resamples=5).html
    kinds = Counter(re.findall(r'data-cause="(\w+)" data-classes', html))
    assert kinds == {"background": 40, "missed": 40}
    shown = re.findall(r'class="show-errors" data-class="(.*?)"', html)
    assert shown == ["walk"]  # the others would lead to nothing
    assert "no interval, as all is of one video" in html


def test_odd_boxes_are_not_drawn(label_map, annotations, detections) -> None:
    nan, inf = float("nan"), float("inf")
    truth = annotations([("v", 1.0, nan, 0, 0.4, 0.8, 1, 0), ("v", 1.0, 0, 0, 0.4, 0.8, 1, 1)])
    found = detections([("v", 1.0, -inf, 0, inf, 0.8, 1, inf)])
    scored, classes = score_tables(truth, found, label_map)
    html = evaluation_page(scored, classes, About("odd"), resamples=5).html
    rects = re.findall(r'<rect class="(?:wrong|truth)" x=([^>]*)>', html)
    assert rects
    assert not [rect for rect in rects if "nan" in rect or "inf" in rect]


def test_a_page_stays_small(files: Path) -> None:
    tables = read_annotations("gt.csv"), read_detections("det.csv"), read_label_map("labels.pbtxt")
    rng = np.random.default_rng(0)

    def noise(video_id: str, timestamps: list[float]):  # compresses worst of all
        for _ in timestamps:
            yield rng.integers(0, 256, (2000, 720, 3), np.uint8)

    scored, classes = score_tables(*tables)
    page = evaluation_page(scored, classes, About("noise"), frames=noise, resamples=10)
    assert 3e6 < len(page.html) < 5e6
    kinds = set(re.findall(r'data-cause="(\w+)" data-classes', page.html))
    assert {"localisation", "class"} <= kinds
    shown, chosen = re.search(r"(\d+) of (\d+) pictures have room", page.html).groups()
    assert int(shown) == page.html.count('class="card"') < int(chosen)


def test_a_wrong_start_is_told(files: Path, capsys) -> None:
    assert main([*REPORT, "--videos", "videos"]) == 0  # as if they were whole films
    told = capsys.readouterr().err
    assert told.count("errors without a picture: ") == 1
    assert "--start" in told
    assert not pictures((files / "out.html").read_text())


def test_nothing_found_and_nobody_there(files: Path) -> None:
    (files / "det.csv").write_text("")
    assert main(REPORT) == 0
    (files / "gt.csv").write_text("v,0902\n")
    assert main(REPORT) == 0
    assert "No AP" in (files / "out.html").read_text()


def test_ticks_are_round_and_hold_the_points() -> None:
    drawn = chart("c", Axis("x"), Axis("y"), [Line("a", [(3, 0.011), (977, 0.052)])])
    assert [text for _, text in drawn.x_ticks] == ["0", "200", "400", "600", "800", "1000"]
    assert [text for _, text in drawn.y_ticks] == ["0.01", "0.02", "0.03", "0.04", "0.05", "0.06"]
    left, top, right, bottom = drawn.box
    assert re.fullmatch(r"M[\d.]+ [\d.]+L[\d.]+ [\d.]+", drawn.paths[0])
    x, y = map(float, drawn.paths[0][1:].split("L")[0].split())
    assert left < x < right
    assert top < y < bottom
    tight = chart("c", Axis("x", 0, tight=True), Axis("y"), [Line("a", [(0, 1), (130, 2)])])
    assert [text for _, text in tight.x_ticks] == ["0", "50", "100"]
    assert tight.paths[0].split("L")[1].split()[0] == str(right)
    gap = chart("c", Axis("x"), Axis("y"), [Line("a", [(0, 1), (1, float("nan")), (2, 2)])])
    assert gap.paths[0].count("M") == 2
    assert chart("c", Axis("x"), Axis("y"), []).paths == []
    for values in ((0.0,), (-3.0,), (1e-9,), (1e9,), (0.3, 0.30000000000000004), (1e-14, 3e-14)):
        drawn = chart("c", Axis("x"), Axis("y"), [Line("a", list(enumerate(values)))])
        assert len({text for _, text in drawn.y_ticks}) > 1
