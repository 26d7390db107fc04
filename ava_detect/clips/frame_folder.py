"""The frames of a video that were extracted into image files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ava_eval.errors import InputError

SAMPLED = 5
"""So many images of a folder go into its digest: a movie has 27,000."""
IMAGE_NAME = re.compile(r"(\d{1,18})\.(?:jpe?g|png|bmp|webp)$", re.IGNORECASE)


class Names(Protocol):
    """A sequence of file names."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> str: ...

    def __iter__(self) -> Iterator[str]: ...


class FrameFolder:
    """Image files as a video; see ``Video``.

    A frame's number stands in the name of its file, so that a missing file shifts no other: frame
    ``n`` is shown ``(n - first) / fps`` seconds after the first, where ``first`` is 0 if there is
    a frame 0 and else 1, the number that ffmpeg begins with. PySlowFast's ``ID_000001.jpg`` and
    mmaction2's ``img_00001.jpg`` are both the frame at AVA's second 900.

    Args:
        root: the folder of the files.
        fps: the rate at which they were extracted.
        names: the files, relative to ``root``; without them, all images in it.
        numbers: i64[N], their frame numbers, counted from 0; without them, those in the names.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        fps: float,
        names: Names | None = None,
        numbers: np.ndarray | None = None,
    ) -> None:
        self.root = Path(root)
        self.fps = fps
        self._given = None if names is None else (names, numbers)

    @cached_property
    def _frames(self) -> tuple[Names, np.ndarray]:
        """Names and numbers (from 0), in the order of showing."""
        if self._given is not None:
            names, numbers = self._given
            if numbers is not None:
                return names, numbers
        else:
            names = [path.name for path in self.root.iterdir() if is_image(path.name)]
        found = sorted((number_in(name), name) for name in names)
        if not found:
            raise InputError(f"{self.root}: expected images (such as 000001.jpg), found none")
        numbers = np.array([number for number, _ in found], np.int64)
        double = np.flatnonzero(np.diff(numbers) == 0)
        if len(double):
            first, second = (found[int(double[0]) + step][1] for step in (0, 1))
            raise InputError(f"{self.root}: {first} and {second} are two files of one frame")
        from_0 = numbers - (0 if numbers[0] == 0 else 1)
        return _Pattern.of(found) or [name for _, name in found], from_0

    @property
    def image_names(self) -> Names:
        """The files, relative to ``root``, in the order of showing."""
        return self._frames[0]

    @property
    def times(self) -> np.ndarray:
        """See ``Video.times``; the first frame is the one that was, not one that was lost."""
        return self._frames[1] / self.fps

    @cached_property
    def shape(self) -> tuple[int, int, int, int]:
        """See ``Video.shape``; all images have the size of the first."""
        height, width = self._load(0).shape[:2]
        return len(self._frames[0]), height, width, 3

    @property
    def digest(self) -> str:
        """See ``Video.digest``: of all names and numbers, and the bytes of a few files."""
        names, numbers = self._frames
        digest = hashlib.sha256(repr((list(names), numbers.tolist(), self.fps)).encode())
        for place in np.unique(np.linspace(0, len(numbers) - 1, SAMPLED).astype(int)):
            try:
                digest.update((self.root / names[int(place)]).read_bytes())
            except OSError as error:
                digest.update(repr(error.strerror).encode())
        return digest.hexdigest()

    def walk(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        """See ``Video.walk``."""
        for number in wanted:
            image = self._load(int(number))
            if image.shape != self.shape[1:]:
                raise InputError(
                    f"{self.root / self._frames[0][number]}: expected the size of the other"
                    f" frames, {self.shape[1:3]}, got {image.shape[:2]} (height, width)"
                )
            yield image

    def _load(self, number: int) -> np.ndarray:
        path = self.root / self._frames[0][number]
        try:
            content = np.fromfile(
                path, np.uint8
            )  # OpenCV prints lines of its own for missing files
        except OSError as error:
            raise InputError(
                f"{path}: expected an image ({error.strerror}); extract the frames again"
            ) from error
        try:
            image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
        except cv2.error:  # such as a header that speaks of a picture too large
            image = None
        if image is None:
            raise InputError(
                f"{path}: expected an image that can be decoded; extract the frames again"
            )
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


class _Pattern:
    """Names that differ in their numbers only: a movie has 27,000, and workers keep many movies."""

    def __init__(self, before: str, digits: int, after: str, numbers: np.ndarray) -> None:
        self.before, self.digits, self.after, self.numbers = before, digits, after, numbers

    @classmethod
    def of(cls, found: Sequence[tuple[int, str]]) -> _Pattern | None:
        """The pattern of numbers and names, if they have one."""
        name = found[0][1]
        match = IMAGE_NAME.search(name)
        assert match is not None  # its number has been read
        pattern = cls(
            name[: match.start(1)],
            len(match[1]),
            name[match.end(1) :],
            np.array([number for number, _ in found], np.int64),
        )
        return pattern if list(pattern) == [name for _, name in found] else None

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> str:
        return f"{self.before}{self.numbers[place]:0{self.digits}d}{self.after}"

    def __iter__(self) -> Iterator[str]:
        return (self[place] for place in range(len(self)))


def is_image(name: str) -> bool:
    """Whether a file of that name is a numbered frame."""
    return not name.startswith(".") and IMAGE_NAME.search(name) is not None


def number_in(name: str) -> int:
    """The frame number at the end of a file's name."""
    match = IMAGE_NAME.search(name)
    if match is None:
        raise InputError(f"{name}: expected the name of a numbered image, such as 000001.jpg")
    return int(match[1])
