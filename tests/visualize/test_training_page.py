"""The page of a training run shows what its folder tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ava_detect.cli import main
from ava_detect.commands.training_report import report_training
from ava_detect.visualize.training_page import MOST_POINTS, thinned
from ava_eval.errors import InputError
from tests.browser import faults, opened


def line(step: int, **more: float | None) -> dict:
    figures = {
        "loss": 5 / step, "lr": 0.1 / step, "clips_per_s": 3.5, "people_per_s": 9.0,
        "skipped_clips": 0, "step_s": 2.0, "data_s": 0.5, "data_time_share": 0.25,
        "memory_gb": 4.25, "eta_s": 10.0,
    }  # fmt: skip
    return {"step": step, **figures, **more}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What a run leaves, with two evaluations."""
    folder = tmp_path / "a run"
    folder.mkdir()
    lines = [line(step) for step in range(10, 60, 10)]
    lines[2]["loss"] = None  # crops have shown nobody
    lines.insert(2, {"step": 20, "val_mAP": 0.25, "val_person_movement": 0.5})
    lines.append({"step": 50, "val_mAP": 0.125, "val_person_movement": None})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    (folder / "config.yaml").write_text("output: a run\nnote: <script>alert(1)</script>\n")
    data = {"videos": 3, "clips": 40, "people": 90, "sha256": "a1", "files": {"t.csv": "b2c3"}}
    (folder / "data.json").write_text(json.dumps(data))
    start = {"step": 0, "time": "2026-01-02T03:04:05+00:00", "commit": None, "device": "",
             "processes": 2, "packages": {"torch": "2.14"}}  # fmt: skip
    (folder / "starts.json").write_text(json.dumps([start]))
    return folder


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1400, "light")])
def test_anybody_can_read_it(run: Path, width: int, scheme: str) -> None:
    page_file = report_training(run)
    assert page_file == run / "training.html"
    with opened(page_file, width, scheme) as page:
        headline = " ".join(page.locator(".headline").inner_text().split())
        assert headline == "0.2500 best mAP, after step 20"
        for name in ("Loss over steps", "Figures of the evaluations", "Seconds of a step"):
            assert page.get_by_role("img", name=name).is_visible()
        rows = page.get_by_role("region", name="Evaluations").locator("tbody tr")
        assert rows.all_inner_texts() == ["20\t0.2500\t0.5000", "50\t0.1250\t–"]
        assert page.get_by_text("4.2 GB").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.get_by_text("The whole configuration").click()
        assert "<script>alert(1)</script>" in page.locator("pre").inner_text()
        assert faults(page) == []


def test_a_run_at_work(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 60, "lo')  # being written
    for name in ("config.yaml", "data.json", "starts.json"):
        (run / name).unlink()
    assert main(["report-training", str(run), "-o", str(run / "other.html")]) == 0
    assert "after step 20" in (run / "other.html").read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "metrics.jsonl: expected the folder of a training"),
        ("", "expected the lines of a training"),
        ('{"step": 3}\nnonsense\n', "metrics.jsonl:2: expected a JSON object of numbers"),
        ('{"loss": 3}\n', "metrics.jsonl:1: expected a JSON object of numbers"),
    ],
)
def test_what_is_no_run(text: str | None, told: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(InputError, match=told):
        report_training(tmp_path)
    assert not (tmp_path / "training.html").exists()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("metrics.jsonl", b'{"step": 3, "loss": "x"}\n', "metrics.jsonl:1: expected"),
        ("metrics.jsonl", b"\xff\n", "metrics.jsonl: expected text in UTF-8"),
        ("data.json", b"[]", "data.json: expected a JSON object"),
        ("starts.json", b"{", "starts.json: expected JSON"),
        ("starts.json", b'[{"step": 0}, 5]', None),
        ("metrics.jsonl", b'{"step": 3}\n', None),
        ("data.json", b'{"videos": "x", "files": 5}', None),
    ],
)
def test_files_of_others(run: Path, name: str, text: bytes, told: str | None) -> None:
    (run / name).write_bytes(text)
    if told is None:
        assert "Where these numbers come from" in report_training(run).read_text()
        return
    with pytest.raises(InputError, match=told):
        report_training(run)


def test_many_points_are_thinned_to_means() -> None:
    points = [(float(step), float(step % 2)) for step in range(1, 3001)]
    few = thinned(points)
    assert len(few) <= MOST_POINTS
    assert few[-1][0] == 3000
    assert {value for _, value in few} == {0.5}
    assert thinned(points[:10]) == points[:10]
