"""The whole detector: normalisation, batches, gradients, precision."""

from __future__ import annotations

import pytest
import torch

from ava_detect.models.network import ActionDetector


def test_frames_are_normalised_per_channel_with_the_channels_last_in_memory() -> None:
    mean, std = (0.5, 0.25, 0.0), (0.5, 0.25, 0.125)
    model = ActionDetector(torch.nn.Identity(), torch.nn.Identity(), mean, std)
    frames = torch.randint(0, 256, (2, 3, 4, 5, 3), dtype=torch.uint8)
    out = model.normalise(frames)
    assert out.shape == (2, 3, 3, 4, 5)
    assert out.is_contiguous(memory_format=torch.channels_last_3d)
    for channel in range(3):
        expected = (frames[..., channel] / 255 - mean[channel]) / std[channel]
        torch.testing.assert_close(out[:, channel], expected)


@pytest.mark.parametrize("pathways", ["slowfast", "slow", "fast"])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_a_person_scores_the_same_alone_and_in_a_batch(
    tiny_detector, clips: torch.Tensor, rois: torch.Tensor, pathways: str, block: str
) -> None:
    model = tiny_detector(pathways=pathways, block=block).eval()
    together = model(clips, rois)
    first = model(clips[:1], rois[:2])
    second = model(clips[1:], torch.cat([torch.zeros(1, 1), rois[2:, 1:]], dim=1))
    torch.testing.assert_close(torch.cat([first, second]), together, atol=1e-5, rtol=1e-4)


def test_a_batch_without_people_gives_no_scores(tiny_detector, clips: torch.Tensor) -> None:
    assert tiny_detector()(clips, torch.empty(0, 5)).shape == (0, 5)


def test_frozen_norms_learn_nothing_while_the_rest_does(
    tiny_detector, clips: torch.Tensor, rois: torch.Tensor
) -> None:
    model = tiny_detector(pathways="slowfast", block="basic")
    model.freeze_norms()
    norms = {name for name, m in model.named_modules() if "BatchNorm" in type(m).__name__}
    assert norms
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        model.eval()
        model.train()
        model(clips, rois).square().sum().backward()
        optimizer.step()
    changed = {
        key for key, value in model.state_dict().items() if not torch.equal(before[key], value)
    }
    assert changed
    assert not {key for key in changed if key.rpartition(".")[0] in norms}


@pytest.mark.parametrize("pathways", ["slowfast", "slow", "fast"])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_every_parameter_receives_a_gradient(
    tiny_detector, clips: torch.Tensor, rois: torch.Tensor, pathways: str, block: str
) -> None:
    model = tiny_detector(pathways=pathways, block=block)
    model(clips, rois).square().sum().backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_stays_near_float32(
    tiny_detector, clips: torch.Tensor, rois: torch.Tensor, training: bool
) -> None:
    model = tiny_detector().to(memory_format=torch.channels_last_3d).train(training)
    with torch.no_grad():
        exact = model(clips, rois)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(clips, rois)
    assert not torch.equal(rough, exact)
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


def test_the_memory_layout_changes_no_score(
    tiny_detector, clips: torch.Tensor, rois: torch.Tensor
) -> None:
    model = tiny_detector().eval()
    plain = model(clips, rois)
    channels_last = model.to(memory_format=torch.channels_last_3d)(clips, rois)
    torch.testing.assert_close(channels_last, plain, atol=1e-5, rtol=1e-4)


def loss_after_learning_what_moves(model: ActionDetector, steps: int = 27) -> float:
    """Tell a pattern that travels from the same pattern at rest; the loss of the last clips."""
    torch.manual_seed(0)
    model = model.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rois = torch.tensor([[clip, 0.0, 0.0, 32.0, 32.0] for clip in range(8)])
    moves = torch.tensor([1.0, 0.0]).repeat(4)
    losses = []
    for _ in range(steps):
        still = torch.randint(0, 256, (8, 1, 32, 32, 3), dtype=torch.uint8).expand(
            -1, 8, -1, -1, -1
        )
        moving = torch.stack([still[:, t].roll(3 * t, dims=2) for t in range(8)], dim=1)
        clips = torch.where(moves.bool().view(8, 1, 1, 1, 1), moving, still)
        logits = model(clips, rois)[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, moves)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses[-5:]) / 5


def test_the_fast_pathway_learns_motion_that_two_frames_do_not_show(tiny_detector) -> None:
    both = loss_after_learning_what_moves(tiny_detector())
    slow = loss_after_learning_what_moves(tiny_detector(pathways="slow"))  # sees frames 0 and 7
    assert both < 0.15
    assert slow > 2 * both
