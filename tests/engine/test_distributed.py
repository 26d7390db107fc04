"""One process needs no set-up; two do what one does."""

import pytest
import torch

from ava_detect.engine import distributed


def test_alone_without_any_set_up(toy_model):
    tensor = torch.tensor([1.0, 2.0])
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    assert distributed.all_reduce_sum(tensor).tolist() == [1.0, 2.0]
    assert distributed.gather_objects("all") == ["all"]
    assert [distributed.any_rank(flag) for flag in (True, False)] == [True, False]
    distributed.sum_gradients(toy_model.parameters())
    assert toy_model.hidden.weight.grad is None


@pytest.fixture
def two_ranks(forks, tmp_path):
    """What `rank_job.py` reports from both of its processes."""
    log = tmp_path / "log"
    ranks = [forks.start(log, "tests.engine.rank_job:report", n, tmp_path) for n in range(2)]
    assert forks.join(ranks) == [0, 0], log.read_text()
    return [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_ranks_train_and_collect_as_one(two_ranks, toy_run):
    """Three people on one rank and one on the other weigh as four people on one."""
    alone = toy_run("alone", deterministic=True).go()
    for report in two_ranks:
        for key, value in alone.items():
            torch.testing.assert_close(report["weights"][key], value, msg=key)
        assert [score for (score,) in report["scores"]] == pytest.approx([0.3, 0.1, 0.2])
        assert report["gathered"] == ["rank 0", "rank 1"]
    first, second = (report["normed"] for report in two_ranks)
    for key, value in first.items():  # the running statistics too
        assert torch.equal(second[key], value), key
    assert [report["is_main"] for report in two_ranks] == [True, False]
    # Only rank 1 got SIGINT in its third step; both finished that step, and it was saved.
    assert [report["stopped"] for report in two_ranks] == [(143, 3), (130, 3)]
