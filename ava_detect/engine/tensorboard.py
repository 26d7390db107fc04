"""Curves for TensorBoard."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from numbers import Real
from typing import Any

from ava_detect.engine import distributed

_log = logging.getLogger(__name__)


class ScalarWriter:
    """Writes figures of a run to ``folder``, where ``tensorboard --logdir`` finds them.

    Use as a context manager. A run that resumes after ``first_step`` does later steps again: what
    was written of them is hidden from then on. All processes may write; the main one does.
    """

    def __init__(self, folder: str | os.PathLike[str], first_step: int = 0) -> None:
        self._writer = None
        if distributed.is_main():
            # takes a second
            from torch.utils.tensorboard import SummaryWriter

            # the step itself is purged too
            self._writer = SummaryWriter(str(folder), purge_step=first_step + 1)
            self._writer.flush()

    def __enter__(self) -> ScalarWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, step: int, figures: Mapping[str, Any], prefix: str) -> None:
        """Add a point at ``step`` to the curve ``prefix/name`` of each figure that is a number.

        It is in the file on return: a run that is killed keeps its curves.
        """
        if self._writer is None:
            return
        try:
            for name, value in figures.items():
                if isinstance(value, Real):
                    self._writer.add_scalar(f"{prefix}/{name}", float(value), step)
            self._writer.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file; nothing can be written any more."""
        if self._writer is not None:
            try:
                self._writer.close()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Curves are not worth a run: on a full disk there are none from here on."""
        _log.warning("warning: curves for TensorBoard end here: %s", error)
        self._writer = None
