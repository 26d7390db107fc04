"""Files with anything wrong: one line that says where, or the answer of the official rules."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ava_eval.cli import main
from tests.ava_eval import official

IDS = [1, 5, 80]
LABELS = "".join(f'item {{\n  name: "c{i}"\n  id: {i}\n}}\n' for i in IDS)
TRUTH = (
    b"v,0902,0.1,0.1,0.5,0.5,1,0\nv,0902,0.1,0.1,0.5,0.5,80,0\nv,0902,0.5,0.5,0.9,0.9,5,1\n"
    b"-w,0903,0.2,0.2,0.6,0.8,1,2\nv,0904\nv,0905,0.1,0.1,0.5,0.5,5,0\n"
)
FOUND = (
    b"v,0902,0.1,0.1,0.5,0.5,1,0.9\nv,0902,0.1,0.12,0.5,0.5,80,0.35\nv,0902,0.5,0.5,0.9,0.9,5,0.7\n"
    b"v,0902,0.5,0.5,0.9,0.9,2,0.9\n-w,903,0.2,0.21,0.6,0.8,1,0.8\nv,0904,0.1,0.1,0.5,0.5,5,0.95\n"
    b"v,0905,0.1,0.1,0.5,0.5,5,0.6\nv,0906,0.1,0.1,0.5,0.5,5,0.5\n"
)
ODD = [
    *(bytes([byte]) for byte in b",\"\n\r\0 \t.-+eE_0159x;#\\'\x0b\x1c\x7f\xff\xc3"),
    *(b"nan", b"inf", b"-inf", b"1e999", b"-0", b"0x1A", b"1_0", b"9" * 25, b"9" * 4500),
    *(b"\r\n", b"\xef\xbb\xbf", "５".encode(), "\u2028".encode(), b'""', b'"a,b"', b'"a\nb"'),
    *(b"nan(1)", b"sNaN", b"infinity", b"1e-400", b"v,0902\n", b"v,902,0,0,1,1,1\n", b",,,,,,"),
]


@st.composite
def mangled(draw: st.DrawFn, sound: bytes) -> bytes:
    """A file with a few bytes replaced, inserted, cut out or repeated."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 1, 2, 5, 30])))
        kind = draw(st.sampled_from(["odd", "odd", "odd", "cut", "repeat"]))
        if kind == "odd":
            data[start:end] = draw(st.sampled_from(ODD))
        elif kind == "cut":
            del data[start:end]
        else:
            data[start:start] = data[start:end]
    return bytes(data)


def score(folder: Path, truth: bytes, found: bytes, capsys: pytest.CaptureFixture) -> dict | str:
    """The JSON of ``ava-eval score``, or its error."""
    (folder / "gt.csv").write_bytes(truth)
    (folder / "det.csv").write_bytes(found)
    (folder / "labels.pbtxt").write_text(LABELS)
    files = [f"-g={folder}/gt.csv", f"-d={folder}/det.csv", f"-l={folder}/labels.pbtxt"]
    code = main(["score", *files, f"--json={folder}/out.json"])
    output, errors = capsys.readouterr()
    if code == 0:
        return json.loads((folder / "out.json").read_text())
    assert code == 2
    assert output == ""
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    return errors


def expected_ap(truth: bytes, found: bytes) -> dict[int, float] | None:
    """What the official rules answer; None where the script stops."""
    try:
        rows = [official.read(data) for data in (truth, found)]
    except (ValueError, ArithmeticError):
        return None
    return official.average_precisions(*rows, IDS)


def is_refused_by_us(truth: bytes, found: bytes) -> bool:
    """What we refuse though the script goes on: NaN scores, inverted ground truth."""
    boxes, found_boxes = (
        [row for row in official.read(data) if len(row) > 2 and row[6] in IDS]
        for data in (truth, found)
    )
    scores = [row[7] for row in (*boxes, *found_boxes)]
    inverted = any(x1 > x2 or y1 > y2 for _, _, x1, y1, x2, y2, *_ in boxes)
    return inverted or any(math.isnan(value) for value in scores)


def check(folder: Path, truth: bytes, found: bytes, capsys: pytest.CaptureFixture) -> None:
    answer, expected = score(folder, truth, found, capsys), expected_ap(truth, found)
    if isinstance(answer, str):
        assert expected is None or is_refused_by_us(truth, found), answer
        assert "gt.csv:" in answer or "det.csv:" in answer
        return
    assert expected is not None, "the official script stops here"
    found_ap = {
        row["id"]: math.nan if row["ap"] is None else row["ap"] for row in answer["classes"]
    }
    assert found_ap == pytest.approx(expected, abs=1e-12, nan_ok=True)


fuzz = settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@fuzz
@given(mangled(FOUND), st.sampled_from([16, 100, 1 << 22]))
@example(FOUND.replace(b"0.35", b"1e999"), 100)
@example(FOUND.replace(b"v,0904", b'"v",0904'), 16)
@example(FOUND.replace(b"\n", b"\r"), 16)
@example(b"", 16)
def test_detections(tmp_path, capsys, found: bytes, block: int) -> None:
    with mock.patch("ava_eval.csv_blocks.BLOCK_BYTES", block):
        check(tmp_path, TRUTH, found, capsys)


@fuzz
@given(mangled(TRUTH), st.sampled_from([16, 1 << 22]))
@example(b"\xef\xbb\xbf" + TRUTH, 16)
@example(TRUTH.replace(b"0.5,0.5,1", b"0.5,0.1e9995,1"), 16)
@example(TRUTH + b"v,0902,0.5,0.1,0.1,0.5,2,nan\n", 16)
@example(TRUTH.replace(b"0.1,0.1,0.5,0.5,1", b"nan,0.1,0.5,0.5,1"), 16)
def test_groundtruth(tmp_path, capsys, truth: bytes, block: int) -> None:
    with mock.patch("ava_eval.csv_blocks.BLOCK_BYTES", block):
        check(tmp_path, truth, FOUND, capsys)


@fuzz
@given(st.integers(0, 400), st.binary(max_size=3))
def test_cut_gzip(tmp_path, capsys, size: int, tail: bytes) -> None:
    """A file in gzip that ends early or goes on with something else is never taken for whole."""
    packed = gzip.compress(FOUND * 3)
    data = packed[: min(size, len(packed) - 1)] + tail
    (tmp_path / "det.csv.gz").write_bytes(data)
    (tmp_path / "gt.csv").write_bytes(TRUTH)
    (tmp_path / "labels.pbtxt").write_text(LABELS)
    files = [f"-g={tmp_path}/gt.csv", f"-d={tmp_path}/det.csv.gz", f"-l={tmp_path}/labels.pbtxt"]
    code = main(["score", *files])
    errors = capsys.readouterr().err
    assert code == (0 if data in (b"", packed) else 2)
    if code == 2:
        assert errors.startswith(f"error: {tmp_path}/det.csv.gz")
        assert errors.count("\n") == 1


@fuzz
@given(mangled(LABELS.encode()))
def test_label_map(tmp_path, capsys, labels: bytes) -> None:
    (tmp_path / "labels.pbtxt").write_bytes(labels)
    (tmp_path / "gt.csv").write_bytes(TRUTH)
    (tmp_path / "det.csv").write_bytes(FOUND)
    files = [f"-g={tmp_path}/gt.csv", f"-d={tmp_path}/det.csv", f"-l={tmp_path}/labels.pbtxt"]
    code = main(["score", *files])
    errors = capsys.readouterr().err
    assert code in (0, 2)
    if code == 2:
        assert errors.startswith(f"error: {tmp_path}/labels.pbtxt")
        assert errors.count("\n") == 1


@fuzz
@given(mangled(FOUND), st.sampled_from([16, 1 << 22]))
def test_validate_never_stops(tmp_path, capsys, found: bytes, block: int) -> None:
    (tmp_path / "det.csv").write_bytes(found)
    (tmp_path / "labels.pbtxt").write_text(LABELS)
    command = ["validate", f"-d={tmp_path}/det.csv", f"-l={tmp_path}/labels.pbtxt"]
    with mock.patch("ava_eval.csv_blocks.BLOCK_BYTES", block):
        code = main([*command, f"--json={tmp_path}/out.json"])
    answer = json.loads((tmp_path / "out.json").read_text())
    assert code == (0 if answer["valid"] else 1)
    if expected_ap(TRUTH, found) is None:
        assert not answer["valid"]
    capsys.readouterr()
