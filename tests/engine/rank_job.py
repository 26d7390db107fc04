"""What one of two processes does in `test_distributed.py`."""

import os
import signal
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from ava_detect.engine import distributed
from ava_detect.engine.checkpoint import latest
from ava_detect.engine.collect import Collector
from ava_detect.engine.train import Interrupted
from tests.engine.conftest import ToyRun, make_batch, part_of


def report(number: str, place: str) -> None:
    """Be the rank ``number`` of two; what it saw lies in the folder ``place`` then."""
    rank, folder = int(number), Path(place)
    torch.set_num_threads(1)
    dist.init_process_group(init_method=f"file://{folder}/meeting", rank=rank, world_size=2)

    def share(step):
        """Three of the four people for rank 0, the fourth for rank 1."""
        return part_of(make_batch(step), slice(0, 3) if rank == 0 else slice(3, 4))

    def share_then_stop_rank_1(step):
        if (rank, step) == (1, 2):
            os.kill(os.getpid(), signal.SIGINT)
        return share(step)

    def halves(step):
        """Two people each, since a norm has no statistics of one."""
        return part_of(make_batch(step), slice(rank, None, 2))

    weights = ToyRun(folder / "run", deterministic=True, batch=share).go()
    normed = ToyRun(folder / "normed", batch=halves).go()

    try:
        ToyRun(folder / "stopped", deterministic=True, batch=share_then_stop_rank_1).go()
        stopped = None
    except Interrupted as leaving:
        stopped = leaving.code

    rows = np.array([3, 1, 2])
    collector = Collector(rows, 1)
    mine = np.array([1, 3]) if rank == 0 else np.array([2])
    collector.add(mine, mine[:, None] * np.float32(0.1))

    dist.barrier()
    torch.save(
        {
            "weights": weights,
            "normed": normed,
            "stopped": (stopped, latest(folder / "stopped").step),
            "scores": collector.finish()[1].tolist(),
            "is_main": distributed.is_main(),
            "gathered": distributed.gather_objects(f"rank {distributed.rank()}"),
        },
        folder / f"rank{rank}.pt",
    )
    dist.barrier()  # leave together, as `distributed.joined` does
    dist.destroy_process_group()
