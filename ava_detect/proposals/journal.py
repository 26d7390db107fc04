"""What `propose` has found so far, kept beside its output: a run that ends early goes on."""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ava_detect.proposals.batches import Batch
from ava_detect.proposals.proposer import Found
from ava_eval.errors import InputError

LAYOUT = 1
"""Raise it when the lines change."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Journal:
    """Finished batches: a folder with a file of JSON lines by each process of each start.

    A process makes a file of its own, so that none is ever written to by two, nor after a line
    that a kill has torn. The first line has the ``facts``; each of the others is a batch::

        {"video": "a", "frames": "9f..", "times": [902.0, 903.0],
         "answers": [[[0.1, 0.2, 0.3, 0.4, 0.98]], "why the second cannot be read"]}

    Attributes:
        folder: made when a process begins to write.
        facts: JSON values; whatever shapes all results, such as the detector and its settings.
        digest_of: what tells a video from a changed one of the same id; None where it is broken.
    """

    folder: Path
    facts: Mapping[str, Any]
    digest_of: Callable[[str], str | None]

    @property
    def _header(self) -> dict[str, Any]:
        return json.loads(json.dumps({"layout": LAYOUT, **self.facts}))

    def recall(self) -> list[Found]:
        """The finished batches of videos that are as they were.

        Files that were begun with other facts are left alone, which is told in one line.
        """
        recalled, changed = list[Found](), dict[str, None]()
        for path in sorted(self.folder.glob("*.jsonl")):
            header, *lines = _whole_lines(path) or [{}]
            if header == self._header:
                recalled += [self._found(line) for line in lines if self._is_current(line)]
            elif header:
                changed |= dict.fromkeys(differences(header, self._header))
        if changed:
            _log.warning(
                "warning: %s: what an earlier run has left is not used, for it differs: %s",
                self.folder,
                "; ".join(changed),
            )
        return recalled

    @contextmanager
    def writing(self) -> Iterator[Callable[[Found], None]]:
        """Begin a file; yields what adds a batch to it, which no later kill takes away."""
        path = self.folder / f"{uuid.uuid4().hex}.jsonl"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = path.open("x", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot be made: {error.strerror}") from error

        def add(line: Mapping[str, Any]) -> None:
            try:
                file.write(json.dumps(line) + "\n")
                file.flush()
            except OSError as error:
                raise InputError(f"{path}: cannot be written: {error.strerror}") from error

        try:
            add(self._header)
            yield lambda found: add(self._line(found))
        finally:
            with suppress(OSError):  # all is flushed, or that has failed before
                file.close()

    def remove(self) -> None:
        """Forget all, of other facts, too; what cannot be removed does no harm."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_current(self, line: Mapping[str, Any]) -> bool:
        return line["frames"] == self.digest_of(line["video"])

    @staticmethod
    def _found(line: Mapping[str, Any]) -> Found:
        answers = [
            a if isinstance(a, str) else np.array(a, np.float64).reshape(-1, 5)
            for a in line["answers"]
        ]
        return Found(Batch(line["video"], tuple(line["times"])), tuple(answers))

    def _line(self, found: Found) -> dict[str, Any]:
        return {
            "video": found.batch.video_id,
            "frames": self.digest_of(found.batch.video_id),
            "times": found.batch.times,
            "answers": [a if isinstance(a, str) else a.tolist() for a in found.answers],
        }


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines up to one that was torn."""
    lines = []
    for text in path.read_bytes().splitlines(keepends=True):
        try:
            line = json.loads(text)
        except ValueError:
            break
        if not (text.endswith(b"\n") and isinstance(line, dict)):
            break
        lines.append(line)
    return lines


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Where two sets of facts differ, in words: ``min_score 0.05, now 0.1``."""
    return [
        f"{name} {_short(then.get(name))}, now {_short(now.get(name))}"
        for name in dict.fromkeys([*now, *then])
        if then.get(name) != now.get(name)
    ]


def _short(value: Any) -> str:
    """A value in few letters; a digest is known by its first ones."""
    text = value if isinstance(value, str) else json.dumps(value)
    is_digest = len(text) == 64 and " " not in text
    return f"{text[:12]}..." if is_digest else text
