"""Time one clip beside PySlowFast's own model, with the same weights.

    python tools/benchmark_inference.py --pyslowfast DIR --pytorchvideo DIR [--recipe RECIPE]

PySlowFast's model runs as its ``test_net.py`` runs it: eager, float32, on pathways that its loader
has normalised, with the C library's allocator as it is; in a second row as `ava-detect` sets it.
Ours gets bytes and normalises them: in float32, and in 16 bit where the processor multiplies in it
(``--all`` tries all), each with oneDNN's fused calls (private) and without (public), and by
``torch.compile`` on a GPU or where ``--compile`` asks for it. Weights are reproducible random
numbers, read from PySlowFast's checkpoint.

Variants take turns; the table has medians of wall time, the ratio (median, smallest and largest of
the rounds' ratios), the largest difference of a score from PySlowFast's, and the share that is
reached of the rate at which torch multiplies square matrices of that type, all multiply-adds of the
model's definition counted, done or saved.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from allocators import use_ours, use_the_usual
from peers import fill, peers

from ava_detect.inference import kernels, onednn
from ava_detect.inference.fast import FastModel
from ava_detect.models.describe import describe
from ava_detect.models.precision import DTYPES, multiplies_bfloat16
from ava_detect.pretrained import load_model

PEERS = {
    "ava/slowfast_r50_8x8": "SLOWFAST_32x2_R50_SHORT",
    "ava/slowfast_r101_8x8_nl": "c2/SLOWFAST_32x2_R101_50_50",
    "ava/slowfast_r101_16x8_nl": "c2/SLOWFAST_64x2_R101_50_50",
    "ava/slow_r50_8x8": "SLOW_8x8_R50_SHORT",
}
THEIRS = "PySlowFast float32"
COMPILED = "compiled"
MATRICES = (1024, 1536, 2048)

Scores = Callable[[], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pyslowfast", type=Path, required=True, metavar="DIR", help="checkout")
    parser.add_argument("--pytorchvideo", type=Path, metavar="DIR", help="checkout")
    parser.add_argument("--recipe", choices=PEERS, default=next(iter(PEERS)))
    parser.add_argument("--size", type=int, nargs=2, default=(256, 341), metavar=("H", "W"))
    parser.add_argument("--boxes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--all", action="store_true", help="16 bit wherever it runs at all")
    parser.add_argument(
        "--compile", action="store_true", help="a row by torch.compile on the CPU, too"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    variants, gmacs = build(arguments)
    with torch.inference_mode():
        scores = {
            name: [run() for _ in range(2)][-1].float().cpu() for name, run in variants.items()
        }
        seconds = measure(variants, arguments)
    print(f"{arguments.recipe}, {gmacs:.1f} G multiply-adds, {arguments.boxes} boxes,"
          f" {torch.get_num_threads()} threads, torch {torch.__version__}")  # fmt: skip
    rows = list(table(seconds, scores, gmacs, arguments.device))
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def build(arguments: argparse.Namespace) -> tuple[dict[str, Scores], float]:
    """What is timed, and the multiply-adds of our model in units of 1e9."""
    models = dict(peers(pyslowfast=arguments.pyslowfast, pytorchvideo=arguments.pytorchvideo))
    peer = models[f"pyslowfast/{PEERS[arguments.recipe]}"]()
    fill(peer.model, 0)
    with tempfile.TemporaryDirectory() as folder:
        peer.save(Path(folder) / "peer.pyth")
        model = load_model(Path(folder) / "peer.pyth").model
    height, width = arguments.size
    clip, rois = example(peer.num_frames, height, width, arguments.boxes)
    cfg, utils = peer.code.cfg, peer.code.utils
    values = utils.tensor_normalize(clip, cfg.DATA.MEAN, cfg.DATA.STD).permute(3, 0, 1, 2)
    pathways = utils.pack_pathway_output(cfg, values.contiguous())
    device = arguments.device
    inputs = [pathway[None].to(device) for pathway in pathways]
    theirs = peer.model.to(device).eval()
    frames, rois = clip[None].to(device), rois.to(device)
    variants = {THEIRS: lambda: theirs(inputs, rois)}
    if device == "cpu":
        variants[f"{THEIRS}, our allocator"] = lambda: theirs(inputs, rois)
    for name, route in wanted(arguments):
        fast = FastModel(model, DTYPES[name], device)
        if route == COMPILED:
            fast.prepared.compile()
        variants[f"ours {name}{route and f', {route}'}"] = scorer(fast, frames, rois, route)
    gmacs = describe(model, [3, peer.num_frames, height, width])["gmacs"]["total"]
    return variants, gmacs


def wanted(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The number formats, and the routes that each can take."""
    names = ["float32"]
    if arguments.all or multiplies_bfloat16(arguments.device):
        names += ["bfloat16", "float16"]
    for name in names:
        if arguments.device == "cpu":
            yield name, "public"
            if onednn.is_available(DTYPES[name]):
                yield name, "private"
        else:
            yield name, ""
        if arguments.device != "cpu" or arguments.compile:
            yield name, COMPILED


def scorer(fast: FastModel, frames: torch.Tensor, rois: torch.Tensor, route: str) -> Scores:
    def run() -> torch.Tensor:
        with only(route):
            return fast.scores(fast(frames, rois))

    return run


@contextmanager
def only(route: str) -> Iterator[None]:
    """Compute by the public route for a while, or by whichever there is."""
    usual = kernels.is_available
    if route == "public":
        vars(kernels)["is_available"] = lambda _dtype: False
    try:
        yield
    finally:
        vars(kernels)["is_available"] = usual


def example(
    num_frames: int, height: int, width: int, num_boxes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A clip u8[T,H,W,3] of smooth noise that moves, and boxes f32[N,5]."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, num_frames, height // 16, width // 16)))
    smooth = torch.nn.functional.interpolate(
        coarse, size=(num_frames, height, width), mode="trilinear"
    )
    low = rng.uniform(0, 0.5, (num_boxes, 2))
    corners = np.concatenate([low, low + rng.uniform(0.2, 0.5, (num_boxes, 2))], axis=1)
    rois = np.column_stack([np.zeros(num_boxes), corners * [width, height, width, height]])
    return smooth[0].permute(1, 2, 3, 0).byte(), torch.from_numpy(rois.astype(np.float32))


def measure(variants: dict[str, Scores], arguments: argparse.Namespace) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(arguments.rounds):
        for name, run in variants.items():
            use_the_usual() if name == THEIRS else use_ours()
            run()
            seconds[name].append(timed(run, arguments.device))
    return seconds


def timed(run: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def table(
    seconds: dict[str, list[float]], scores: dict[str, torch.Tensor], gmacs: float, device: str
) -> Iterator[dict[str, str]]:
    peaks: dict[str, float] = {}
    for name, some in seconds.items():
        dtype = next(dtype for dtype in DTYPES if dtype in name)
        if dtype not in peaks:
            peaks[dtype] = peak(DTYPES[dtype], device)
        ratios = [theirs / ours for theirs, ours in zip(seconds[THEIRS], some, strict=True)]
        median = statistics.median(some)
        yield {
            "variant": name,
            "seconds": f"{median:.3f}",
            "ratio": f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            "difference": f"{(scores[name] - scores[THEIRS]).abs().max():.1e}",
            "peak": f"{2 * gmacs / median / peaks[dtype]:.0%} of {peaks[dtype]:.0f} GFLOP/s",
        }


def peak(dtype: torch.dtype, device: str) -> float:
    """The best rate of square matrix products, in 1e9 operations a second."""
    rates = []
    for size in MATRICES:
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        rates.append(2 * size**3 / min(timed(lambda: a @ b, device) for _ in range(5)) / 1e9)  # noqa: B023
    return max(rates)


if __name__ == "__main__":
    main()
