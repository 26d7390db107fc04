"""PySlowFast's ``Ava`` data set, from a checkout of its code, on the frames of a given video.

``--pyslowfast`` of ``benchmark_loading.py`` is a git checkout (or a bare repository) of
facebookresearch/SlowFast. The packages ``fvcore iopath yacs simplejson`` are needed beside torch.
Its code is not changed; ``peers.py`` says how it is entered.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
from checkouts import enter, extract, import_module
from torch.utils.data import DataLoader

from ava_eval.tables import BOX

CONFIG = "configs/AVA/SLOWFAST_32x2_R50_SHORT.yaml"
SHORT_SIDE = 256
"""Of a tested clip; the config says 224, its authors test with 256."""


@dataclass(frozen=True)
class PeerClips:
    """Its data sets of one set of keyframes; item k of both is keyframe k, sorted as ours.

    Attributes:
        test: whole frames of short side 256, as it evaluates.
        train: scaled by chance to 256-320, cropped to 224, mirrored by chance.
        collate: of its detection batches.
        mean, std: with which it normalised, per channel.
    """

    test: Any
    train: Any
    collate: Any
    mean: np.ndarray
    std: np.ndarray
    code: tempfile.TemporaryDirectory[str]

    def items(
        self, dataset: Any, order: Sequence[int], workers: int, batch_size: int
    ) -> Iterable[Any]:
        """Read the items of ``order``: in batches by ``workers``, or one by one without them."""
        if workers == 0:
            return (dataset[index] for index in order)
        return DataLoader(
            dataset, batch_size, sampler=order, num_workers=workers, collate_fn=self.collate
        )

    def pictures(self, index: int) -> np.ndarray:
        """The frames of a tested clip, not normalised: f32[T, H, W, 3], RGB, 0 to 255."""
        frames = self.test[index][0][1].permute(1, 2, 3, 0).numpy()
        return (frames * self.std + self.mean) * 255


def extract_frames(video: Path, folder: Path) -> int:
    """Write the frames as ``000001.jpg`` ... into a new folder; returns how many.

    The quality is that of ``ffmpeg -q:v 1``, whose scale ends at 2.
    """
    folder.mkdir()
    best = {"qmin": "2", "qmax": "2"}
    with (
        av.open(str(video)) as source,
        av.open(str(folder / "%06d.jpg"), "w", format="image2") as images,
    ):
        shown = source.streams.video[0]
        stream = images.add_stream("mjpeg", rate=shown.average_rate, options=best)
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuvj420p"
        for frame in source.decode(shown):
            frame.pict_type = av.video.frame.PictureType.NONE
            images.mux(stream.encode(frame))
        images.mux(stream.encode())
    return len(list(folder.iterdir()))


def peer_clips(checkout: Path, annotations: pd.DataFrame, frames: Path, folder: Path) -> PeerClips:
    """Its data sets of ``Annotations`` whose videos all have the same ``frames``.

    Times are AVA's: the first frame is second 900, and there are 30 in a second. ``folder`` is
    where its lists are put.
    """
    code, home = extract("pyslowfast", checkout, ["slowfast", "configs"])
    for name in ("slowfast", "slowfast.datasets", "slowfast.utils"):
        enter(name, home)  # their __init__ import every data set and Meta's own modules
    cfg = import_module("slowfast.config.defaults", "PySlowFast").get_cfg()
    cfg.merge_from_file(str(home / CONFIG))
    cfg.DATA.TEST_CROP_SIZE = SHORT_SIDE
    cfg.AVA.FRAME_DIR, cfg.AVA.FRAME_LIST_DIR = str(frames.parent), str(folder)
    cfg.AVA.ANNOTATION_DIR = str(folder)
    cfg.AVA.TRAIN_LISTS = cfg.AVA.TEST_LISTS = ["frames.csv"]
    cfg.AVA.TRAIN_GT_BOX_LISTS, cfg.AVA.TRAIN_PREDICT_BOX_LISTS = ["people.csv"], []
    cfg.AVA.TEST_PREDICT_BOX_LISTS = ["people.csv"]
    _write_lists(annotations, frames, folder)
    dataset = import_module("slowfast.datasets.ava_dataset", "PySlowFast").Ava
    loader = import_module("slowfast.datasets.loader", "PySlowFast")
    return PeerClips(
        test=dataset(cfg, "test"),
        train=dataset(cfg, "train"),
        collate=loader.detection_collate,
        mean=np.array(cfg.DATA.MEAN, np.float32),
        std=np.array(cfg.DATA.STD, np.float32),
        code=code,
    )


def _write_lists(annotations: pd.DataFrame, frames: Path, folder: Path) -> None:
    images = sorted(f"{frames.name}/{path.name}" for path in frames.iterdir())
    lines = ["original_vido_id video_id frame_id path labels"]
    for place, video_id in enumerate(annotations["video_id"].unique()):
        lines += [f'{video_id} {place} {k} {path} ""' for k, path in enumerate(images)]
    (folder / "frames.csv").write_text("\n".join(lines) + "\n")
    people = annotations[["video_id", "timestamp", *BOX, "action_id"]].assign(score=1.0)
    people["timestamp"] = people["timestamp"].astype(int)
    people.to_csv(folder / "people.csv", header=False, index=False)
