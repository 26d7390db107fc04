"""The loss as a sum over people."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from ava_detect.engine.losses import action_loss, balanced_weights

LOGITS = torch.tensor([[0.0, 2.0], [-1.0, 0.5], [3.0, -3.0]])
LABELS = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
BY_HAND = -(LABELS * LOGITS.sigmoid().log() + (1 - LABELS) * (1 - LOGITS.sigmoid()).log())


@pytest.mark.parametrize(
    ("reduction", "expected"), [("mean", BY_HAND.mean(1).sum()), ("sum_classes", BY_HAND.sum())]
)
def test_sum_over_people(reduction, expected):
    total = action_loss(LOGITS, LABELS, reduction=reduction)
    torch.testing.assert_close(total, expected)


def test_half_precision_logits_are_summed_in_float32():
    total = action_loss(LOGITS.bfloat16(), LABELS)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, action_loss(LOGITS.bfloat16().float(), LABELS))


def test_large_logits_stay_finite():
    total = action_loss(torch.tensor([[1e4, -1e4]]), torch.tensor([[0.0, 1.0]]))
    assert total == 1e4


def test_nobody_is_a_zero_with_a_gradient():
    logits = torch.zeros(0, 2, requires_grad=True)
    total = action_loss(logits, torch.zeros(0, 2))
    total.backward()
    assert (total.item(), logits.grad.shape) == (0.0, (0, 2))


def test_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="'sum'; expected 'mean' or 'sum_classes'"):
        action_loss(LOGITS, LABELS, reduction="sum")


def test_the_focal_loss_by_hand():
    right = torch.where(LABELS > 0, LOGITS.sigmoid(), 1 - LOGITS.sigmoid())
    expected = (3 * (1 - right) ** 2 * -right.log()).sum()
    total = action_loss(LOGITS, LABELS, reduction="sum_classes", focal_gamma=2.0, focal_alpha=3.0)
    torch.testing.assert_close(total, expected)


def test_a_well_known_answer_counts_little_and_has_a_gradient():
    logits = torch.tensor([[20.0, -200.0]], requires_grad=True)
    total = action_loss(logits, torch.tensor([[1.0, 0.0]]), focal_gamma=0.5)
    total.backward()
    assert total < 1e-9
    assert torch.isfinite(logits.grad).all()


def test_weights_of_classes_multiply_their_losses():
    weights = torch.tensor([0.5, 2.0])
    total = action_loss(LOGITS, LABELS, reduction="sum_classes", class_weights=weights)
    torch.testing.assert_close(total, (BY_HAND * weights).sum())


def test_balanced_weights_fall_with_the_examples_and_have_mean_one():
    weights = balanced_weights(torch.tensor([0, 1, 10, 1000, 1_000_000]))
    assert weights[1:].mean() == pytest.approx(1)
    assert weights[0] == 1  # of a class without examples
    assert (weights[1:].diff() < 0).all()
    # One example against ten: nearly ten times; from thousands on hardly any difference.
    assert weights[1] / weights[2] == pytest.approx(10, rel=0.01)
    assert weights[3] / weights[4] == pytest.approx(1 / (1 - 0.999**1000), rel=1e-3)


@pytest.mark.parametrize("reduction", ["mean", "sum_classes"])
def test_exclusive_classes_share_a_softmax(reduction):
    logits = torch.tensor([[1.0, 2.0, 0.5, -1.0], [0.3, -0.2, 1.5, 2.0], [0.1, 0.2, 0.3, 0.4]])
    labels = torch.tensor([[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0]])
    softmax = cross_entropy(logits[:1, [0, 2]], torch.tensor([1]), reduction="sum")
    softmax += cross_entropy(logits[1:2, [0, 2]], torch.tensor([[0.5, 0.5]]), reduction="sum")
    others = action_loss(logits[:, [1, 3]], labels[:, [1, 3]], reduction=reduction)
    total = action_loss(logits, labels, exclusive=[0, 2], reduction=reduction)
    torch.testing.assert_close(total, softmax + others)


def test_all_classes_exclusive_is_the_cross_entropy():
    labels = torch.eye(2)[[0, 1, 1]]
    expected = cross_entropy(LOGITS, torch.tensor([0, 1, 1]), reduction="sum")
    torch.testing.assert_close(action_loss(LOGITS, labels, exclusive=[0, 1]), expected)


def test_nobody_among_exclusive_classes_has_a_gradient_too():
    logits = torch.zeros(0, 2, requires_grad=True)
    action_loss(logits, torch.zeros(0, 2), exclusive=[0, 1]).backward()
    assert logits.grad.shape == (0, 2)
