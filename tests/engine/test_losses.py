"""The loss as sum and count."""

import pytest
import torch

from ava_detect.engine.losses import bce_sum

LOGITS = torch.tensor([[0.0, 2.0], [-1.0, 0.5], [3.0, -3.0]])
LABELS = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
BY_HAND = -(LABELS * LOGITS.sigmoid().log() + (1 - LABELS) * (1 - LOGITS.sigmoid()).log())


@pytest.mark.parametrize(
    ("reduction", "expected"), [("mean", BY_HAND.mean(1).sum()), ("sum_classes", BY_HAND.sum())]
)
def test_sum_and_people(reduction, expected):
    total, people = bce_sum(LOGITS, LABELS, reduction=reduction)
    torch.testing.assert_close(total, expected)
    assert people == 3


def test_half_precision_logits_are_summed_in_float32():
    total, _ = bce_sum(LOGITS.bfloat16(), LABELS)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, bce_sum(LOGITS.bfloat16().float(), LABELS)[0])


def test_large_logits_stay_finite():
    total, _ = bce_sum(torch.tensor([[1e4, -1e4]]), torch.tensor([[0.0, 1.0]]))
    assert total == 1e4


def test_nobody_is_a_zero_with_a_gradient():
    logits = torch.zeros(0, 2, requires_grad=True)
    total, people = bce_sum(logits, torch.zeros(0, 2))
    total.backward()
    assert (total.item(), people, logits.grad.shape) == (0.0, 0, (0, 2))


def test_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="'sum'; expected 'mean' or 'sum_classes'"):
        bce_sum(LOGITS, LABELS, reduction="sum")
