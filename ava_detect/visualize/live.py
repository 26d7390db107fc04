"""Frames of a camera or a stream as they come; the oldest are dropped where nobody keeps up."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Event, Thread
from typing import Generic, TypeVar

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from ava_eval.errors import InputError

WAITING = 60
"""So many frames wait at most, two seconds of most cameras: 190 MB at 1920 x 1080."""
Item = TypeVar("Item")


class LatestQueue(Generic[Item]):
    """A queue between two threads that never grows beyond ``size``: the oldest items go."""

    def __init__(self, size: int) -> None:
        self.dropped = 0
        self._items: deque[Item] = deque(maxlen=size)
        self._changed = Condition()
        self._closed = False

    def put(self, item: Item) -> None:
        """Add the newest item, in place of the oldest one if the queue is full."""
        with self._changed:
            self.dropped += len(self._items) == self._items.maxlen
            self._items.append(item)
            self._changed.notify()

    def close(self) -> None:
        """Nothing more comes."""
        # Without the lock, for a signal's handler runs inside of whatever holds it.
        self._closed = True

    def take(self) -> list[Item]:
        """All items, the oldest first; waits for one. Empty when the queue is closed."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait(0.1)
            items = list(self._items)
            self._items.clear()
            return items


@dataclass(frozen=True, eq=False)
class LiveShot:
    """A captured frame, kept in YUV: half of what RGB takes.

    Attributes:
        time: seconds after the first frame.
        captured: ``time.perf_counter`` when it came.
    """

    time: float
    captured: float
    frame: av.VideoFrame

    def pixels(self) -> np.ndarray:
        """The picture u8[H, W, 3], RGB."""
        return self.frame.to_ndarray(format="rgb24")


class LiveCapture:
    """Captures a camera or a stream in a thread of its own; use it in a ``with`` statement.

    A stream that is a film is shown at its own pace. Raises InputError where nothing can be opened.

    Args:
        source: the number of a device, or a URL.
        seconds: stop after so many; None goes on until ``stop``.
        waiting: frames that wait at most.
    """

    def __init__(
        self, source: int | str, seconds: float | None = None, waiting: int = WAITING
    ) -> None:
        self.source = source
        self.seconds = seconds
        self.captured = 0
        self.queue: LatestQueue[LiveShot] = LatestQueue(waiting)
        self._stopping = Event()
        cv2.utils.logging.setLogLevel(0)  # it writes lines of its own where a device is missing
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            what = f"no camera {source}" if isinstance(source, int) else f"{source}: no stream"
            raise InputError(f"{what} that can be opened")
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> LiveCapture:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(timeout=2)  # a stream that hangs is left to the end of the process

    def stop(self) -> None:
        """Capture nothing more; what waits can still be taken. May be called by a signal."""
        self._stopping.set()
        self.queue.close()

    def batches(self) -> Iterator[list[LiveShot]]:
        """All frames that wait, again and again, until there are no more."""
        while shots := self.queue.take():
            yield shots

    def _run(self) -> None:
        try:
            pace = self._pace()
            start = None
            while not self._stopping.is_set():
                there, picture = self._capture.read()
                if not there:
                    return
                now = time.perf_counter()
                start = now if start is None else start
                now = start + pace(now - start)
                if self.seconds is not None and now - start >= self.seconds:
                    return
                self.captured += 1
                self.queue.put(LiveShot(now - start, now, _packed(picture)))
        finally:
            self.queue.close()
            self._capture.release()

    def _pace(self) -> Callable[[float], float]:
        """Waits until a frame is due; takes and gives seconds after the first one."""
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        if not (self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0 and 0 < rate < 1000):
            return lambda elapsed: elapsed
        number = iter(range(1 << 62))

        def pace(elapsed: float) -> float:
            due = next(number) / rate
            self._stopping.wait(max(0.0, due - elapsed))
            return max(due, elapsed)

        return pace


@contextmanager
def ended_by_interrupt(capture: LiveCapture) -> Iterator[None]:
    """The first Ctrl-C ends the capture, and what was captured is completed; the next one kills."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        capture.stop()

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _packed(picture: np.ndarray) -> av.VideoFrame:
    """A picture u8[H, W, 3], BGR, in YUV; odd sides lose a row or column."""
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    whole = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), "bgr24")
    return VideoReformatter().reformat(whole, format="yuv420p")
