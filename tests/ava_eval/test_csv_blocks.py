"""Reading by blocks: the fast parser gives what the plain one gives, wherever the blocks end."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ava_eval import csv_blocks, csv_parsing
from ava_eval.csv_blocks import read_blocks
from ava_eval.csv_parsing import Block, Problem
from ava_eval.errors import InputError

ROW = b"v,0902,0.1,0.2,0.3,0.4,5,0.5\n"


def rows_of(block: Block) -> list[tuple]:
    words = [
        [w.categories[code] for code in w.codes] for w in (block.video, block.time, block.action)
    ]
    numbers = [column.tolist() for column in (*block.corners, block.eighth, block.width)]
    return list(zip(*words, *numbers, block.lines.tolist(), strict=True))


def read(path: Path, block_bytes: int = 1 << 22, **options) -> list[tuple]:
    with mock.patch.object(csv_blocks, "BLOCK_BYTES", block_bytes):
        return [row for block in read_blocks(path, **options) for row in rows_of(block)]


number = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    st.sampled_from(["0", "-0", "1e-400", "1E5", ".5", "5.", " 0.5", "inf", "0.1" + "0" * 40]),
)
row = st.tuples(
    st.sampled_from(["v", "-w", "é", " x ", "0x1", ""]),
    st.one_of(
        st.integers(0, 9999).map(lambda t: f"{t:04d}"), st.sampled_from(["1e2", " 7", "9_0"])
    ),
    *[number] * 4,
    st.sampled_from(["1", " 2 ", "+3", "-1", "007", str(2**70)]),
    number,
).map(",".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(row, min_size=1, max_size=6))
def test_fast_parser_reads_what_the_plain_one_reads(rows: list[str]) -> None:
    piece = ("\n".join(rows) + "\n").encode()
    fast = csv_parsing.parse_fast(piece, labels=True)
    (plain,) = csv_parsing.parse_slowly([piece], labels=True)
    assert not plain.problems
    if fast is not None:
        assert [repr(row) for row in rows_of(fast)] == [repr(row) for row in rows_of(plain.block)]


@settings(max_examples=100, deadline=None)
@given(st.lists(row, min_size=1, max_size=6), st.booleans())
def test_tabs_are_read_as_commas_are(rows: list[str], quoted: bool) -> None:
    piece = ("\n".join(rows) + "\n").encode()
    tabs = piece.replace(b",", b"\t")
    if quoted:
        tabs = b'"v,w"' + tabs[tabs.index(b"\t") :]
        piece = b'"v,w"' + piece[piece.index(b",") :]
    (expected,) = csv_parsing.parse_slowly([piece], labels=True)
    (plain,) = csv_parsing.parse_slowly([tabs], True, "\t")
    assert repr(rows_of(plain.block)) == repr(rows_of(expected.block))
    (parsed,) = csv_parsing.parse(tabs, True, "\t")
    assert repr(rows_of(parsed.block)) == repr(rows_of(expected.block))


def test_the_fast_parser_is_used() -> None:
    assert csv_parsing.parse_fast(ROW * 3, labels=True) is not None
    assert csv_parsing.parse_fast(ROW + b"\n", labels=True) is None
    assert csv_parsing.parse_fast(ROW + ROW.replace(b"0.2", b"nan") + ROW, labels=True) is not None
    assert csv_parsing.parse_fast(ROW + ROW.replace(b"0.2", b"nan(1)"), labels=True) is None
    tabs = ROW.replace(b",", b"\t")
    assert csv_parsing.parse_fast(tabs * 3, True, "\t") is not None
    assert csv_parsing.parse_fast(tabs + tabs.replace(b"v", b"v,w"), True, "\t") is None


@pytest.mark.parametrize(
    ("piece", "delimiter"),
    [
        (ROW, ","),
        (ROW.replace(b",", b"\t"), "\t"),
        (b"\n\r\n" + ROW.replace(b",", b"\t"), "\t"),
        (b"v\t902\rw,903\r", "\t"),
        (b"v,\t902\nv\t902\n", ","),
        (b"v\n", ","),
        (b"\n\r\n\n", None),
        (b"", None),
    ],
)
def test_what_stands_between_the_cells(piece: bytes, delimiter: str | None) -> None:
    assert csv_parsing.delimiter_of(piece) == delimiter


MIXED = (
    ROW * 2
    + b"v,0903\n"
    + b"v,0904,0,0,1,1,5\n"
    + ROW
    + b'"a,\nb",902,0.1,0.2,0.3,0.4,5,0.5\n'
    + ROW
)


@pytest.mark.parametrize("block_bytes", [1, 7, 30, 64, 100, 1 << 22])
@pytest.mark.parametrize(
    "text", [ROW * 9, ROW * 9 + ROW[:-1], MIXED, MIXED.replace(b"\n", b"\r\n")]
)
@pytest.mark.parametrize("delimiter", [b",", b"\t"])
def test_block_ends_change_nothing(
    tmp_path: Path, text: bytes, delimiter: bytes, block_bytes: int
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.replace(b",", delimiter).replace(b'"a' + delimiter, b'"a,'))
    (plain,) = csv_parsing.parse_slowly([text], labels=True)
    expected = [(*row[:-1], row[-1] + 1) for row in rows_of(plain.block)]
    assert repr(read(path, block_bytes)) == repr(expected)


@pytest.mark.parametrize("block_bytes", [10, 1 << 22])
@pytest.mark.parametrize("quoted", [b"", b'"q",1\n'])
def test_errors_name_the_line_wherever_blocks_end(
    tmp_path: Path, block_bytes: int, quoted: bytes
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(quoted + ROW * 5 + ROW.replace(b"0.3", b"x") + ROW)
    line = 6 + quoted.count(b"\n")
    with pytest.raises(InputError, match=rf"x.csv:{line}: column x2: expected a number, got 'x'"):
        read(path, block_bytes)


@pytest.mark.parametrize("block_bytes", [10, 1 << 22])
def test_problems_are_told_one_by_one(tmp_path: Path, block_bytes: int) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(ROW + b"v,x,0.1,0.2,0.3,y,5,0.5\n\n" + ROW + b"v\xff,1\n1,2,3\n" + ROW)
    problems: list[Problem] = []
    rows = read(path, block_bytes, on_problem=problems.append)
    assert [row[-1] for row in rows] == [1, 4, 7]
    assert [(p.line, p.column) for p in problems] == [
        (2, "timestamp"),
        (2, "y2"),
        (3, None),
        (5, "video_id"),
        (6, None),
    ]


def test_a_file_held_to_the_official_form_has_no_tabs(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(ROW.replace(b",", b"\t") * 2)
    problems: list[Problem] = []
    assert len(read(path, on_problem=problems.append)) == len(read(path)) == 2
    assert problems == []
    assert read(path, on_problem=problems.append, official=True) == []
    assert [(p.line, p.got) for p in problems] == [(1, "1 columns"), (2, "1 columns")]
    with pytest.raises(InputError, match=r"x.csv:1: expected 2, 7 or 8 columns"):
        read(path, official=True)


def test_a_file_held_to_the_official_form_has_no_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbf" + ROW)
    problems: list[Problem] = []
    assert len(read(path, on_problem=problems.append)) == len(read(path)) == 1
    assert problems == []
    assert len(read(path, on_problem=problems.append, official=True)) == 1
    assert [(p.line, p.expected) for p in problems] == [(1, "no byte-order mark in front")]
    with pytest.raises(InputError, match="expected no byte-order mark in front"):
        read(path, official=True)


def test_many_rows_behind_a_quote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_parsing, "_BLOCK_ROWS", 3)
    path = tmp_path / "x.csv"
    path.write_bytes(b'"v",1\n' + ROW * 10)
    assert [row[-1] for row in read(path)] == list(range(1, 12))


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_digest_is_that_of_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(ROW * 99) if name.endswith("gz") else ROW * 99)
    digest = hashlib.sha256()
    assert len(read(path, 50, digest=digest)) == 99
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_equal_files_in_any_packing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text = "".join(
        f"v{i % 3},{900 + i % 7},{a:.3f},{b:.5f},0.9,0.9,{i % 80},{c!r}\n"
        for i, (a, b, c) in enumerate(rng.random((500, 3)).tolist())
    ).encode()
    variants = {
        "a.csv": text,
        "b.csv": text.replace(b"\n", b"\r\n"),
        "c.csv": text.replace(b"\n", b"\r"),
        "d.csv": b"\xef\xbb\xbf" + text,
        "e.csv.gz": gzip.compress(text[:999]) + gzip.compress(text[999:]),
        "t.csv": text.replace(b",", b"\t"),
        "f.csv": b"".join(b'"' + line.replace(b",", b'",', 1) for line in text.splitlines(True)),
    }
    expected = None
    for name, data in variants.items():
        (tmp_path / name).write_bytes(data)
        found = read(tmp_path / name, 1000)
        expected = expected or found
        assert found == expected
