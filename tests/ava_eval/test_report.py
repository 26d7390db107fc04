"""The page of an evaluation: its numbers are the metric's, its pictures the right frames."""

from __future__ import annotations

import base64
import json
import re
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from ava_eval import read_annotations, read_detections, read_label_map
from ava_eval.average_precision import average_precision
from ava_eval.classes import Classes
from ava_eval.cli import main
from ava_eval.diagnosis import diagnose
from ava_eval.errors import InputError
from ava_eval.frame_map import score_tables
from ava_eval.report import About, evaluation_page
from ava_eval.report.charts import Axis, Line, chart
from ava_eval.report.curves import precision_recall
from ava_eval.report.examples import examples
from ava_eval.report.pictures import VideoFolder, read_frame_at
from ava_eval.report.reference import read_reference
from tests.ava_eval.report_world import make_files
from tests.painted import number_of, write_painted


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


def test_the_area_under_a_curve_is_the_ap() -> None:
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 40, 60) / 40  # with ties
    correct = rng.random(60) < 0.4
    curve = precision_recall(scores, correct, 40)
    steps = np.diff(np.concatenate([[0], np.unique(curve.recall)]))
    first = np.searchsorted(curve.recall, np.unique(curve.recall))
    loose = float((steps * curve.envelope[first]).sum())
    # The AP takes the hits of equal scores one by one, the curve all of them together.
    assert loose >= average_precision(scores, correct, 40) - 1e-12
    distinct = rng.permutation(60) / 60
    curve = precision_recall(distinct, correct, 40)
    area = float((curve.envelope / 40).sum())
    assert area == pytest.approx(average_precision(distinct, correct, 40), abs=1e-12)
    assert curve.outline()[0][0] == 0
    assert curve.outline()[-1] == (curve.recall[-1], curve.envelope[-1])


def test_a_threshold_keeps_what_the_curve_says() -> None:
    scores = np.array([0.9, 0.8, 0.8, 0.5, 0.1])
    correct = np.array([True, True, False, False, True])
    curve = precision_recall(scores, correct, 4)
    assert curve.score.tolist() == [0.9, 0.8, 0.1]
    assert curve.recall.tolist() == [0.25, 0.5, 0.75]
    assert curve.precision == pytest.approx([1, 2 / 3, 3 / 5])
    assert curve.best == 2
    assert precision_recall(scores, np.zeros(5, bool), 4).best is None


def test_the_worst_errors_are_named(label_map, annotations, detections) -> None:
    truth = annotations(
        [
            ("v", 1.0, 0.0, 0.0, 0.4, 0.8, 1, 0),
            ("v", 2.0, 0.0, 0.0, 0.4, 0.8, 1, 0),
            ("v", 3.0, 0.0, 0.0, 0.4, 0.8, 1, 0),
            ("v", 3.0, 0.0, 0.0, 0.4, 0.8, 80, 0),
            ("v", 4.0, 0.0, 0.0, 0.4, 0.8, 80, 0),
        ]
    )
    found = detections(
        [
            ("v", 1.0, 0.0, 0.0, 0.4, 0.8, 1, 0.5),
            ("v", 2.0, 0.6, 0.0, 0.9, 0.8, 1, 0.9),  # nobody there, and the person is missed
            ("v", 4.0, 0.0, 0.0, 0.4, 0.8, 1, 0.8),  # does something else
        ]
    )
    scored, classes = score_tables(truth, found, label_map)
    chosen = examples(scored, diagnose(scored, classes), classes)
    told = [(e.kind, e.timestamp, e.actions, e.cause, e.score) for e in chosen]
    assert told == [
        ("false positive", 2.0, ["walk"], "background", 0.9),
        ("confusion", 4.0, ["walk", "talk"], "class", 0.8),
        ("missed person", 3.0, ["walk", "talk"], "missed", None),
    ]
    assert chosen[0].people[0].box == [0.0, 0.0, 0.4, 0.8]
    assert chosen[0].box == [0.6, 0.0, 0.9, 0.8]
    assert len(examples(scored, diagnose(scored, classes), classes, most=0)) == 0


def test_pictures_are_of_the_keyframes(files: Path, capsys) -> None:
    assert main([*REPORT, "--videos", "videos", "--start", "900"]) == 0
    assert capsys.readouterr().out == "out.html\n"
    shown = pictures((files / "out.html").read_text())
    assert len(shown) > 5
    for _, time, image in shown:
        assert number_of(image) == round((time - 900) * 10)


def test_numbers_are_those_of_score(files: Path, capsys) -> None:
    assert main([*REPORT, "--title", "M <y>"]) == 0
    assert main(["score", *REPORT[1:7], "--json", "score.json"]) == 0
    html = (files / "out.html").read_text()
    answer = json.loads((files / "score.json").read_text())
    assert f"<strong>{answer['mAP']:.4f}</strong>" in html
    assert "M &lt;y&gt;" in html
    assert "<y>" not in html
    for row in answer["classes"]:
        (ap,) = re.findall(rf'data-name="{re.escape(row["name"])}".*?data-ap="(.*?)"', html)
        assert float(ap) == pytest.approx(row["ap"], nan_ok=True) if row["ap"] else ap == "nan"
    for file in answer["inputs"]:
        assert file["sha256"] in html


def test_beside_another_run(files: Path) -> None:
    main(["score", *REPORT[1:7], "--json", "score.json"])
    mean = json.loads((files / "score.json").read_text())["mAP"]
    for other in ("worse.csv", "score.json"):
        assert main([*REPORT, "--beside", other]) == 0
        html = (files / "out.html").read_text()
        assert f'of <span class="path">{other}</span>' in html
    assert f"+0.0000 against {mean:.4f}" in html
    assert "the same draws" not in html


@pytest.mark.parametrize(
    "text",
    [
        "{ 'PascalBoxes_PerformanceByCategory/AP@0.5IOU/walk': 0.25,\n"
        "  'PascalBoxes_PerformanceByCategory/AP@0.5IOU/wave, twice': nan,\n"
        "  'PascalBoxes_Precision/mAP@0.5IOU': 0.5}",
        "mAP@0.5IOU=\t0.5\nPerformanceByCategory/AP@0.5IOU/walk=\t0.25\n",
        '{"PascalBoxes_PerformanceByCategory/AP@0.5IOU/walk": 0.25, "mAP@0.5IOU": 5e-1}',
    ],
    ids=["official script", "mmaction2", "one line"],
)
def test_logs_of_the_peers(text: str, tmp_path: Path, label_map) -> None:
    (tmp_path / "log.txt").write_text(text)
    reference = read_reference(tmp_path / "log.txt", Classes.of_table(label_map))
    assert reference.mean == 0.5
    assert reference.ap[0] == 0.25
    assert np.isnan(reference.ap[1:]).all()


@pytest.mark.parametrize("text", ["nothing", '{"classes": [{"id": 1}]}', '{"classes": 5}', ""])
def test_what_has_no_aps_is_refused(text: str, tmp_path: Path, label_map) -> None:
    (tmp_path / "other").write_text(text)
    with pytest.raises(InputError, match="expected"):
        read_reference(tmp_path / "other", Classes.of_table(label_map))


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
    ],
)
def test_mistakes(words: list[str], told: str, files: Path, capsys) -> None:
    (files / "empty").mkdir()
    assert main([*REPORT, *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert told in error
    assert error.count("\n") == 1
    assert not (files / "out.html").exists()


def test_a_page_stays_small(files: Path) -> None:
    tables = read_annotations("gt.csv"), read_detections("det.csv"), read_label_map("labels.pbtxt")
    rng = np.random.default_rng(0)

    def noise(video_id: str, timestamp: float) -> np.ndarray:  # compresses worst of all
        return rng.integers(0, 256, (2000, 720, 3), np.uint8)

    scored, classes = score_tables(*tables)
    page = evaluation_page(scored, classes, About("noise"), frames=noise, resamples=10)
    assert 3e6 < len(page.html) < 5e6
    kinds = set(re.findall(r'data-kind="(.*?)"', page.html))
    assert kinds == {"false positive", "confusion", "missed person"}


def test_a_wrong_start_is_told(files: Path, capsys) -> None:
    assert main([*REPORT, "--videos", "videos"]) == 0  # as if they were whole films
    told = capsys.readouterr().err
    assert "no picture: " in told
    assert "--start" in told
    assert not pictures((files / "out.html").read_text())


def test_nothing_found_and_nobody_there(files: Path) -> None:
    (files / "det.csv").write_text("")
    assert main(REPORT) == 0
    (files / "gt.csv").write_text("v,0902\n")
    assert main(REPORT) == 0
    assert "No AP" in (files / "out.html").read_text()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("begins", [0, 7])
def test_frames_by_time(tmp_path: Path, suffix: str, begins: int) -> None:
    numbers = np.arange(60)
    times = (numbers + (numbers > 30) * 20 + begins) / 10  # a long frame in the middle
    write_painted(tmp_path / f"v{suffix}", times, Fraction(1, 10))
    folder = VideoFolder(tmp_path, start=100.0)
    for wanted, number in ((100.0, 0), (100.1, 1), (102.96, 30), (104.0, 30), (105.2, 32)):
        assert number_of(folder("v", wanted)) == number
    assert number_of(read_frame_at(tmp_path / f"v{suffix}", 7.9)) == 59
    for name, moment in (("v", 99.0), ("v", 200.0), ("w", 100.0), ("../v", 100.0)):
        with pytest.raises(InputError):
            folder(name, moment)


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
    for value in (0.0, -3.0, 1e-9, 1e9):
        chart("c", Axis("x"), Axis("y"), [Line("a", [(0, value)])])
