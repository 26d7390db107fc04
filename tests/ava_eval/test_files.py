"""Readers and writers: what they accept, what they refuse and how, and exact round trips."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ava_eval
from ava_eval import (
    InputError,
    read_annotations,
    read_detections,
    read_keyframes,
    read_label_map,
    read_person_boxes,
)
from ava_eval.files import (
    read_excluded,
    read_labelled_boxes,
    write_annotations,
    write_detections,
    write_person_boxes,
)
from ava_eval.tables import check_labels

ROW = "v,0902,0.1,0.2,0.3,0.4,5,7\n"
PACKAGE = Path(ava_eval.__file__).parents[1]


def file(folder: Path, text: str, name: str = "x.csv") -> Path:
    (folder / name).write_bytes(text.encode())
    return folder / name


# Each text is one odd way to write ROW that the official reader takes as well.
SAME_ROW = {
    "plain": ROW,
    "no line end": ROW.rstrip(),
    "crlf": ROW.replace("\n", "\r\n"),
    "quotes": '"v","0902",0.1,0.2,"0.3",0.4,5,"7"\n',
    "bare time": ROW.replace("0902", "902"),
    "decimal time": ROW.replace("0902", "902.000000"),
    "seventh decimal": ROW.replace("0902", "902.0000004"),
    "exponent": ROW.replace("0902", "9.02e2"),
    "blanks": "v, 0902 , 0.1,0.2 ,0.3,0.4, 5 ,7 \n",
    "signs": "v,+902,+0.1,0.2,0.3,0.4,+5,+7\n",
    "underscore": ROW.replace("0902", "9_02"),
    "beside a keyframe": ROW + "v,0902\n",
    "byte-order mark": "\ufeff" + ROW,
    "tabs": ROW.replace(",", "\t"),
    "tabs and quotes": '"v"\t"0902"\t0.1\t0.2\t0.3\t0.4\t5\t7\n',
    "tabs and crlf": ROW.replace(",", "\t").replace("\n", "\r\n"),
    "tabs and cr": ROW.replace(",", "\t").replace("\n", "\r"),
    "tabs beside a keyframe": "v\t0902\n" + ROW.replace(",", "\t"),
    "tabs behind a byte-order mark": "\ufeff" + ROW.replace(",", "\t"),
}


@pytest.mark.parametrize("text", SAME_ROW.values(), ids=SAME_ROW.keys())
def test_ways_to_write_a_row(tmp_path, text) -> None:
    (row,) = read_annotations(file(tmp_path, text)).itertuples(index=False)
    assert row == ("v", 902.0, 0.1, 0.2, 0.3, 0.4, 5, 7)


@pytest.mark.parametrize(
    "name", ["007", "1e3", "true", "NA", "", " v ", "-v", "-1", "_v", "a/b.mp4"]
)
def test_video_ids_are_verbatim(tmp_path, name) -> None:
    for more in ("", "w,0902\n"):  # with equal and with different widths of the rows
        path = file(tmp_path, ROW.replace("v,", f"{name},") * 2 + more)
        assert read_detections(path)["video_id"].tolist() == [name, name]


def test_gzip(tmp_path) -> None:
    path = tmp_path / "x.csv.gz"
    for text in (ROW, ROW + "v,0903\n"):
        path.write_bytes(gzip.compress(text.encode()))
        assert len(read_annotations(path)) == 1


def test_widths_of_a_row(tmp_path) -> None:
    path = file(tmp_path, "v,0902,0.1,0.2,0.3,0.4,5\nw,0903\nv,904.5,0.1,0.2,0.3,0.4,5,8\nw,903\n")
    annotations = read_annotations(path)
    assert annotations["person_id"].tolist() == [-1, 8]
    assert annotations["timestamp"].tolist() == [902.0, 904.5]
    assert list(annotations.index) == [0, 1]
    assert read_detections(path)["score"].tolist() == [1.0, 8.0]
    keyframes = read_keyframes(path)
    assert keyframes.values.tolist() == [["v", 902.0], ["w", 903.0], ["v", 904.5]]
    pd.testing.assert_frame_equal(read_excluded(path), keyframes)


def test_every_reader_takes_tabs(tmp_path) -> None:
    """AVA-Kinetics' form too: float seconds, no person ids, keyframes of two columns."""
    text = '"-a",12.345678,0.1,0.2,0.3,0.4,5\n-a,0013\n"b,c",14.5,0.1,0.2,0.3,0.4,6,9\n'
    boxes = "-a,0013,0.1,0.2,0.3,0.4,{},0.5\n"
    for read, content in (
        (read_annotations, text),
        (read_detections, text),
        (read_keyframes, text),
        (read_excluded, "-a,0013\nb,0014\n"),
        (read_person_boxes, boxes.format("")),
        (read_labelled_boxes, boxes.format(-1)),
    ):
        comma = file(tmp_path, content, "comma.csv")
        tab = content.replace("b,c", "b;c").replace(",", "\t").replace("b;c", "b,c")
        expected = read(comma)
        assert len(expected)
        pd.testing.assert_frame_equal(read(file(tmp_path, tab, "tab.csv")), expected)
        packed = tmp_path / "tab.csv.gz"
        packed.write_bytes(gzip.compress(tab.encode()))
        pd.testing.assert_frame_equal(read(packed), expected)
    assert read_annotations(comma_file := file(tmp_path, text))["timestamp"].tolist() == [
        12.345678,
        14.5,
    ]
    assert read_keyframes(comma_file)["video_id"].tolist() == ["-a", "-a", "b,c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v\t0902\n\nv\t0903\n", ":2: expected 2, 7 or 8 columns .*, got 'a blank line'"),
        ("\nv\t0902\n", ":1: expected 2, 7 or 8 columns .*, got 'a blank line'"),
        ("v\t0902\nv,0903\n", ":2: expected 2, 7 or 8 columns .*, got '1 columns'"),
        ("v,0902\nv\t0903\n", ":2: expected 2, 7 or 8 columns .*, got '1 columns'"),
        ("v\t0902\nv\tnow\n", ":2: column timestamp: expected a number, got 'now'"),
        ("v\t1\nv\t1\t0,1\t0.2\t0.3\t0.4\t5\n", ":2: column x1: expected a number, got '0,1'"),
        ("v 0902\n", ":1: expected 2, 7 or 8 columns .*, got '1 columns'"),
    ],
)
def test_errors_between_tabs_name_the_cell(tmp_path, text, message) -> None:
    with pytest.raises(InputError, match=f"x.csv{message}"):
        read_annotations(file(tmp_path, text))


def test_no_rows(tmp_path) -> None:
    path = file(tmp_path, "")
    for read in (read_annotations, read_detections, read_keyframes, read_person_boxes):
        assert len(read(path)) == 0
    assert read_annotations(path).dtypes["action_id"] == np.int64


def test_keys_of_tables(tmp_path) -> None:
    path = file(tmp_path, ROW)
    kinds = read_annotations(path).dtypes
    assert kinds["timestamp"] == kinds["x1"] == np.float64
    assert kinds["action_id"] == kinds["person_id"] == np.int64
    assert isinstance(read_detections(path)["video_id"].iloc[0], str)


REFUSED = {
    # name: (second row, what the error says behind the file's name)
    "6 columns": ("v,0902,0.1,0.2,0.3,0.4", ":2: expected 2, 7 or 8 columns .*, got '6 columns'"),
    "9 columns": (ROW.strip() + ",1", ":2: expected 2, 7 or 8 columns .*, got '9 columns'"),
    "blank line": ("", ":2: expected 2, 7 or 8 columns .*, got 'a blank line'"),
    "time": ("v,now,0.1,0.2,0.3,0.4,5,7", ":2: column timestamp: expected a number, got 'now'"),
    "corner": ("v,902,0.1,,0.3,0.4,5,7", ":2: column y1: expected a number, got ''"),
    "action": ("v,902,0.1,0.2,0.3,0.4,5.0,7", ":2: column action_id: .* whole number, got '5.0'"),
    "huge": (f"v,902,0.1,0.2,0.3,0.4,{2**64},7", ":2: column action_id: .* 64 bits, got 1844674"),
    "score": ("v,902,0.1,0.2,0.3,0.4,5,3_", r":2: column score \(or person_id\): .*, got '3_'"),
    "text is cut": ("v,902,0.1,0.2,0.3,0.4,5," + "x" * 999, r":2: .*x\.\.\.$"),
}


@pytest.mark.parametrize(("row", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_every_reader_refuses(tmp_path, row, message) -> None:
    path = file(tmp_path, ROW + row + "\n" + ROW)
    for read in (read_annotations, read_detections, read_keyframes):
        with pytest.raises(InputError, match=f"x.csv{message}"):
            read(path)


REFUSED_IN_TRAINING = {
    "outside": ("v,902,0.1,0.2,1.3,0.4,5,7", ":3: column x1,y1,x2,y2: .*within .0, 1."),
    "empty": ("v,902,0.1,0.2,0.1,0.4,5,7", ":3: column x1,y1,x2,y2: expected a box within"),
    "nan": ("v,902,0.1,0.2,nan,0.4,5,7", ":3: column x1,y1,x2,y2: expected a box within"),
    "endless": ("v,inf,0.1,0.2,0.3,0.4,5,7", ":3: column timestamp: expected a finite time"),
    "action 0": ("v,902,0.1,0.2,0.3,0.4,0,7", ":3: column action_id: expected an action id from 1"),
    "score": ("v,902,0.1,0.2,0.3,0.4,5,0.7", ":3: column person_id: .*, got 0.7; the eighth"),
}


@pytest.mark.parametrize(
    ("row", "message"), REFUSED_IN_TRAINING.values(), ids=REFUSED_IN_TRAINING.keys()
)
def test_what_training_refuses_and_scoring_takes(tmp_path, row, message) -> None:
    path = file(tmp_path, "v,0901\n" + ROW + row + "\n")
    with pytest.raises(InputError, match=f"x.csv{message}"):
        read_annotations(path)
    assert len(read_annotations(path, strict=False)) == 2


def test_what_scoring_refuses(tmp_path) -> None:
    path = file(tmp_path, "v,0901\n" + ROW + "v,902,0.5,0.2,0.3,0.4,5,nan\n")
    with pytest.raises(InputError, match=r"x.csv:3: column x1,y1,x2,y2: .* x1 <= x2"):
        read_annotations(path, strict=False)
    with pytest.raises(InputError, match=r"x.csv:3: column score: expected a number, not NaN"):
        read_detections(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.csv", None, "missing.csv: cannot be read: No such file"),
        ("latin.csv", b"v,901\n\xe9,902\n", "latin.csv:2: column video_id: expected text in UTF-8"),
        ("broken.csv.gz", b"not gzip", "broken.csv.gz: cannot be read: Not a gzipped file"),
        (
            "cut.csv.gz",
            gzip.compress(ROW.encode() * 9, mtime=0)[:-9],
            "cut.csv.gz: cannot be read: ",
        ),
    ],
)
def test_unreadable_files(tmp_path, name, content, message) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_detections(tmp_path / name)


def test_person_boxes(tmp_path) -> None:
    path = file(
        tmp_path,
        "v,0902,0.1,0.2,0.3,0.4,,0.9\nv,0902,0.1,0.2,0.3,0.4,-1,0.9\nv,903,0.1,0.2,0.3,0.4,80,0.8\n",
    )
    boxes = read_person_boxes(path)
    assert boxes["score"].tolist() == [0.9, 0.8]
    assert list(boxes.columns) == ["video_id", "timestamp", "x1", "y1", "x2", "y2", "score"]
    write_person_boxes(boxes, tmp_path / "y.csv")
    assert (tmp_path / "y.csv").read_text().splitlines()[0] == (
        "v,0902,0.100000,0.200000,0.300000,0.400000,,0.900000"
    )
    pd.testing.assert_frame_equal(read_person_boxes(tmp_path / "y.csv"), boxes)
    with pytest.raises(InputError, match=r"x.csv:1: column columns: expected 8 columns .*, got 7"):
        read_person_boxes(file(tmp_path, "v,0902,0.1,0.2,0.3,0.4,3\n"))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("ava_val_predicted_boxes.csv", ""),
        ("ava_detection_val_boxes_and_labels.csv", "80"),
        ("ava_detection_train_boxes_and_labels_include_negative_v2.2.csv", "-1"),
    ],
)
def test_published_lists_are_person_boxes(tmp_path, name, label) -> None:
    """Rows as LFB and PySlowFast publish them; a box is repeated for each of its labels."""
    row = "-5KQ66BBWC4,0902,0.326,0.185,0.470,0.887,{},0.996382\n"
    boxes = read_person_boxes(file(tmp_path, row.format(label) * 2 + row.format(12), name))
    assert boxes.to_numpy().tolist() == [
        ["-5KQ66BBWC4", 902.0, 0.326, 0.185, 0.470, 0.887, 0.996382]
    ]


LABELLED = "-5KQ66BBWC4,0902,0.326,0.185,0.470,0.887,{},0.996382\n"


def test_labelled_boxes(tmp_path) -> None:
    path = file(tmp_path, "".join(LABELLED.format(label) for label in (80, 12, -1)) + "w,0903\n")
    table = read_labelled_boxes(path)
    columns = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "person_id", "score"]
    assert list(table.columns) == columns
    assert table["action_id"].tolist() == [80, 12, -1]
    assert (table["person_id"] == -1).all()
    assert (table["score"] == 0.996382).all()
    assert table["action_id"].dtype == table["person_id"].dtype == np.int64
    path = file(tmp_path, LABELLED.format(0) + LABELLED.format(-1) + LABELLED.format(65))
    assert read_labelled_boxes(path, first_label=0)["action_id"].tolist() == [1, -1, 66]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (LABELLED.format(0), ":2: column action_id: .* from 1 on, or -1.*data.first_label=0"),
        (LABELLED.format(-2), ":2: column action_id: .* from 1 on, or -1 for none, got -2$"),
        (LABELLED.replace("0.470", "1.470").format(1), ":2: column x1,y1,x2,y2: expected a box"),
        (LABELLED.replace("0.996382", "inf").format(1), ":2: column score: .*finite"),
        (LABELLED.replace(",{},", ",").format(1), ":2: column action_id: expected a whole number"),
        ("v,0902,0.1,0.2,0.3,0.4,5\n", r":2: column columns: expected 8 columns \(.*,label,score"),
    ],
)
def test_labelled_boxes_are_strict(tmp_path, row, message) -> None:
    with pytest.raises(InputError, match=f"x.csv{message}"):
        read_labelled_boxes(file(tmp_path, LABELLED.format(5) + row))


def test_round_trips_are_exact(tmp_path) -> None:
    rng = np.random.default_rng(3)
    low = rng.random((500, 2)) / 2
    boxes = np.concatenate([low, low + 1e-9 + rng.random((500, 2)) / 3], axis=1)
    table = pd.DataFrame(boxes, columns=["x1", "y1", "x2", "y2"])
    table.insert(0, "video_id", rng.choice(["-a,b", '"', "NA", "007"], 500))
    table.insert(1, "timestamp", rng.integers(0, 3000, 500) / 4)
    table["action_id"] = rng.integers(1, 81, 500)
    detections = table.assign(score=rng.normal(size=500) * 10.0 ** rng.integers(-9, 9, 500))
    write_detections(detections, tmp_path / "d.csv")
    pd.testing.assert_frame_equal(
        read_detections(tmp_path / "d.csv"), detections, check_exact=True, check_dtype=False
    )
    for person in (-1, 3):
        annotations = table.assign(person_id=person)
        write_annotations(annotations, tmp_path / "a.csv")
        pd.testing.assert_frame_equal(
            read_annotations(tmp_path / "a.csv"), annotations, check_exact=True, check_dtype=False
        )


def test_what_is_written_as_gz_is_packed(tmp_path, detections) -> None:
    table = detections([("v", 902.0, 0.1, 0.1, 0.2, 0.2, 1, 0.25)])
    write_detections(table, tmp_path / "d.csv.gz")
    assert (
        gzip.decompress((tmp_path / "d.csv.gz").read_bytes()) == b"v,0902,0.1,0.1,0.2,0.2,1,0.25\n"
    )
    write_person_boxes(table, tmp_path / "p.csv.gz")
    assert len(read_person_boxes(tmp_path / "p.csv.gz")) == 1


def test_writers_refuse_and_leave_the_old_file(tmp_path, detections) -> None:
    path = file(tmp_path, "old")
    with pytest.raises(InputError, match="detections: row 0: column score"):
        write_detections(detections([("v", 902.0, 0.1, 0.1, 0.2, 0.2, 1, np.nan)]), path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.csv"]


def test_label_map_dialects(tmp_path) -> None:
    item = 'item {\n  name: "walk {slowly}"\n  id: 14\n}\nitem {\n  name: "id: 3"\n  id: 2\n}\n'
    label = item.replace("item", "label").replace("  id: ", "  label_id: ")
    label = label.replace("\n}", "\n  label_type: PERSON_MOVEMENT\n}").replace("\n", "\r\n")
    other = '# id: 9\nitem { id:14 name: "walk {slowly}" }\nitem {\n\tid: 2\n\tname: "id: 3"\n}'
    for text in (item, label, other):
        labels = read_label_map(file(tmp_path, text))
        assert labels["action_id"].tolist() == [14, 2]
        assert labels["name"].tolist() == ["walk {slowly}", "id: 3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": expected a label map with at least one block"),
        (ROW, ": expected a label map with at least one block"),
        ('item {\n  name: "a"\n  id: x\n}', ":3: column id: expected a whole number from 1 on"),
        ('item {\n  name: "a"\n  id: 0\n}', ":3: column id: expected a whole number from 1 on"),
        ("item {\n  id: 1\n}\nitem {\n  id: 1\n}", ":5: column id: expected each id once"),
        ("item {\n  id: 1\n", ":2: expected a closing brace"),
    ],
)
def test_label_map_errors(tmp_path, text, message) -> None:
    with pytest.raises(InputError, match=f"x.pbtxt{message}"):
        read_label_map(file(tmp_path, text, "x.pbtxt"))


@pytest.mark.parametrize(("name", "classes"), [("ava_80", 80), ("ava_60", 60)])
def test_label_maps_of_ava(name, classes) -> None:
    labels = read_label_map(PACKAGE / "ava_detect" / "label_maps" / f"{name}.pbtxt")
    assert len(labels) == classes
    names = dict(zip(labels["action_id"], labels["name"], strict=True))
    assert names[1] == "bend/bow (at the waist)"
    assert names[80] == "watch (a person)"


def test_unknown_action_names_its_line(tmp_path, label_map) -> None:
    path = file(tmp_path, "v,0901\n" + ROW.replace(",5,", ",15,") + ROW)
    annotations = read_annotations(path)
    with pytest.raises(InputError, match=r"x.csv:3: column action_id: expected one of the 3 ids"):
        check_labels(annotations, label_map, path)
    check_labels(annotations[:1].assign(action_id=-1), label_map, path)


def test_labels_that_count_from_0_are_raised(tmp_path) -> None:
    path = file(tmp_path, ROW.replace(",5,", ",0,") + ROW)
    with pytest.raises(InputError, match=r"x.csv:1: .* from 1 on, got 0; .*data.first_label=0"):
        read_annotations(path)
    assert read_annotations(path, first_label=0)["action_id"].tolist() == [1, 6]
    lenient = read_annotations(path, strict=False, first_label=0)
    assert lenient["action_id"].tolist() == [1, 6]
    negative = file(tmp_path, ROW.replace(",5,", ",-1,"))
    with pytest.raises(InputError, match=r"x.csv:1: .* an action id from 0 on, got -1$"):
        read_annotations(negative, first_label=0)
    assert read_annotations(negative, False, 0)["action_id"].tolist() == [-1]


def test_label_maps_that_count_from_0_are_raised(tmp_path) -> None:
    text = 'item {\n  name: "serve"\n  id: 0\n}\nitem {\n  id: 2\n}\n'
    path = file(tmp_path, text, "x.pbtxt")
    with pytest.raises(InputError, match=r"x.pbtxt:3: .* from 1 on, got '0'; .*first_label=0"):
        read_label_map(path)
    labels = read_label_map(path, first_label=0)
    assert labels["action_id"].tolist() == [1, 3]
    assert labels["name"].tolist() == ["serve", "2"]
    with pytest.raises(InputError, match=r"x.pbtxt:6: column id: expected each id once, got '0'"):
        read_label_map(file(tmp_path, text.replace("2", "0"), "x.pbtxt"), first_label=0)


def test_unknown_action_is_named_as_the_file_has_it(tmp_path, label_map) -> None:
    known = label_map["action_id"].iloc[0]
    rows = [ROW.replace(",5,", f",{known - 1},"), ROW.replace(",5,", ",15,")]
    path = file(tmp_path, "v,0901\n" + "".join(rows))
    annotations = read_annotations(path, first_label=0)
    check_labels(annotations[:1], label_map, path, 0)
    with pytest.raises(InputError, match=r"x.csv:3: column action_id: .* ids .*, got 15;"):
        check_labels(annotations, label_map, path, 0)
