"""Pickles of strangers: their arrays are read whatever wrote them, their code is never run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from ava_detect.safe_pickle import read_pickle
from ava_eval.errors import InputError


class Call:
    """A pickle of it calls a function when it is loaded."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_any_protocol(tmp_path: Path, protocol: int) -> None:
    whole = np.arange(15).reshape(3, 5)
    arrays = {kind: whole.astype(kind) for kind in ("f2", "<f4", ">f8", "i8", "?")}
    arrays |= {"fortran": np.asfortranarray(whole), "part": whole[:, 1:4], "none": whole[:0]}
    content = {"v,0902": arrays, "scalar": np.float64(0.5), "list": [1, "a", None], "b": b"\xff"}
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    found = read_pickle(path, "boxes")
    for name, array in found["v,0902"].items():
        np.testing.assert_array_equal(array, arrays[name])
        assert array.dtype == arrays[name].dtype
    assert {**found, "v,0902": arrays} == content


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("inside", ["value", "key", "array", "whole", "list"])
def test_code_is_refused_and_not_run(tmp_path: Path, inside: str, protocol: int) -> None:
    proof, path = tmp_path / "ran", tmp_path / "x.pkl"
    bomb = Call(os.mkdir, str(proof))
    content = {
        "value": {"v,0902": bomb},
        "key": {bomb: 1},
        "array": {"v,0902": np.array([bomb], dtype=object)},
        "whole": bomb,
        "list": {"v,0902": [[bomb]]},
    }[inside]
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(InputError, match=r"x\.pkl: (names .*nothing in it was run|.*array of 'O)"):
        read_pickle(path, "boxes")
    assert not proof.exists()


@pytest.mark.parametrize(
    "bomb",
    [
        Call(eval, "1"),
        Call(getattr, {}, "update"),
        Call(np.load, "x.npy", None, True),
        Call(np.memmap, "made", "f4", "w+", 0, (1,)),
        Call(pickle.loads, b"N."),
        Call(Path, "x"),
    ],
    ids=lambda bomb: bomb.call[0].__name__,
)
def test_only_what_arrays_need_has_a_name(tmp_path: Path, bomb: Call) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"a": bomb}))
    with pytest.raises(InputError, match="nothing in it was run") as refused:
        read_pickle(path, "boxes")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps({"a": np.zeros(9)})[:-20],
        pickle.dumps({"a": np.zeros(9)}, 5).replace(b"C", b"K"),
        pickle.dumps({"a": np.array(["text"])}),
        pickle.dumps({"a": np.array([1j])}),
        b"\x80\x04\x8e" + b"\xff" * 8,  # the length of a text
        b"\x80\x02]q\x00h\x00a.",  # a list of itself is fine, but
        b"\x80\x02}q\x00K\x01h\x00s.",  # a dictionary of itself has no end
        b"\x80\x05\x97.",  # a buffer from elsewhere
        b"Pelsewhere\n.",  # an object from elsewhere
        b"\x82\x01.",  # a registered name
    ],
    ids=range(12),
)
def test_damage_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    if content.endswith(b"h\x00a."):
        assert isinstance(read_pickle(path, "boxes"), list)
        return
    with pytest.raises(InputError, match=r"x\.pkl: cut short, .* not a file of boxes") as wrong:
        read_pickle(path, "boxes")
    assert "\n" not in str(wrong.value)
