"""Label maps: AVA's lists of actions, in either dialect of its text format."""

from __future__ import annotations

import re
from os import PathLike

from ava_eval.errors import InputError
from ava_eval.open_files import Digest, read_text

# A field of a label map, or something whose inside must not be taken for one.
_TOKEN = re.compile(
    r'#[^\n]*|\bname\s*:\s*"(?P<name>[^"\n]*)"|\b(?:label_)?id\s*:\s*(?P<id>[^\s}]+)|"[^"\n]*"'
    r"|(?P<brace>[{}])"
)
Labels = list[tuple[int, str]]
COUNTED_FROM_0 = (
    "ids that count from 0 are read by ava-detect with data.first_label=0, in Python with"
    " first_label=0; for ava-eval raise them by one"
)


def read_labels(
    path: str | PathLike[str], digest: Digest | None = None, first_label: int = 1
) -> Labels:
    """Read ``label { name label_id }`` or ``item { name id }`` blocks into pairs (id, name).

    Where the smallest id of a file may be 0 (``first_label``), all are raised by one.
    """
    text = read_text(path, digest)
    labels: Labels = []
    number, name, line = None, None, 0
    for token in _TOKEN.finditer(text):
        if token["name"] is not None:
            name = token["name"]
        elif token["id"] is not None:
            line = text.count("\n", 0, token.start()) + 1
            number = _label_id(token["id"], path, line, labels, first_label)
        elif token["brace"] == "}" and number is not None:
            labels.append((number, str(number) if name is None else name))
        if token["brace"]:
            number = name = None
    if number is not None:
        raise InputError.at(path, line, None, "a closing brace '}' behind the last class")
    if not labels:
        raise InputError(
            f"{path}: expected a label map with at least one block like "
            "'item { name: \"walk\" id: 14 }'; is this the file of the actions?"
        )
    return [(number + 1 - first_label, name) for number, name in labels]


def _label_id(
    text: str, path: str | PathLike[str], line: int, labels: Labels, first_label: int
) -> int:
    number = int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else None
    if number is None or number < first_label:
        expected = f"a whole number from {first_label} on"
        raise InputError.at(path, line, "id", expected, text, COUNTED_FROM_0 if number == 0 else "")
    if any(number == other for other, _ in labels):
        raise InputError.at(path, line, "id", "each id once", text)
    return number
