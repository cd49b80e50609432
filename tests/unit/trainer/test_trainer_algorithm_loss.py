"""The clipped loss, the importance correction and their metrics: by hand, and against plain Python."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from deepcoder_trainer.algorithm import metrics
from deepcoder_trainer.algorithm.importance import truncated_importance
from deepcoder_trainer.algorithm.policy_loss import clipped_policy_loss


def logs(*probabilities: float) -> torch.Tensor:
    """Their logarithms, in float64."""
    return tensor(probabilities, dtype=torch.float64).log()


@pytest.mark.parametrize(
    ("current", "proximal", "advantage", "loss", "gradient_flows"),
    [
        (0.5, 0.5, 2.0, -2.0, True),  # r = 1: the loss is -A
        (0.6, 0.5, 1.0, -1.2, True),  # r = 1.2 is within 1.28
        (0.75, 0.5, 1.0, -1.28, False),  # r = 1.5, better than average: held at 1 + 0.28
        (0.25, 0.5, 1.0, -0.5, True),  # r = 0.5 of a good answer: the minimum is r A, it may be pushed up
        (0.35, 0.5, -1.0, 0.8, False),  # r = 0.7 of a bad answer: held at 1 - 0.2
        (0.45, 0.5, -1.0, 0.9, True),  # r = 0.9 is within 0.8
        (0.75, 0.5, -1.0, 1.5, True),  # r = 1.5 of a bad answer: the minimum is r A, it may be pushed down
        (0.75, 0.5, 0.0, 0.0, False),
    ],
)
def test_clipped_loss_by_hand(
    current: float, proximal: float, advantage: float, loss: float, gradient_flows: bool
) -> None:
    """-min(r A, clip(r, 0.8, 1.28) A); where the clip holds, no gradient is left."""
    now = logs(current).requires_grad_()
    found = clipped_policy_loss(now, logs(proximal), tensor([advantage], dtype=torch.float64), 0.2, 0.28)
    assert found.item() == pytest.approx(loss, rel=1e-12)
    found.sum().backward()
    assert now.grad is not None
    # d/dlogp of -r A is -r A
    expected = -current / proximal * advantage if gradient_flows else 0.0
    assert now.grad.item() == pytest.approx(expected, rel=1e-12)


tokens = st.lists(
    st.tuples(st.floats(-8, 0), st.floats(-8, 0), st.floats(-8, 0), st.floats(-3, 3)), min_size=1, max_size=20
)


@given(tokens, st.floats(0, 0.9), st.floats(0, 2), st.floats(1, 5))
def test_equals_a_plain_loop(
    values: list[tuple[float, float, float, float]], low: float, high: float, cap: float
) -> None:
    """Token by token in plain Python, with the importance correction: the formula of the design, read aloud."""
    current, proximal, sampler, advantages = (
        tensor([value[i] for value in values], dtype=torch.float64) for i in range(4)
    )
    found = clipped_policy_loss(current, proximal, advantages, low, high)
    found = found * truncated_importance(proximal, sampler, cap)
    for index, (now, before, sampled, advantage) in enumerate(values):
        ratio = math.exp(now - before)
        bounded = min(max(ratio, 1 - low), 1 + high)
        expected = -min(math.exp(before - sampled), cap) * min(ratio * advantage, bounded * advantage)
        assert found[index].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_importance_is_capped_above_only_and_carries_no_gradient() -> None:
    """Proximal over sampler: 0.6/0.2 = 3 is held at 2, 0.1/0.5 = 0.2 stays; nothing flows back into proximal."""
    proximal = logs(0.6, 0.1).requires_grad_()
    weights = truncated_importance(proximal, logs(0.2, 0.5), cap=2.0)
    assert weights.tolist() == pytest.approx([2.0, 0.2], rel=1e-12)
    assert not weights.requires_grad


def test_metrics_by_hand() -> None:
    """Four tokens and a dummy: one clipped high, one clipped low, r outside without effect, and r = 1."""
    sums = metrics.token_sums(
        current=logs(0.75, 0.25, 0.75, 0.5, 0.9),
        proximal=logs(0.5, 0.5, 0.5, 0.5, 0.1),
        sampler=logs(0.5, 0.5, 0.5, 0.25, 0.9),
        advantages=tensor([1.0, -1.0, -1.0, 1.0, 1.0]),
        entropy=tensor([1.0, 2.0, 3.0, 4.0, 99.0]),
        losses=tensor([1.0, 2.0, 3.0, 4.0, 99.0]),
        weights=tensor([0.5, 0.5, 0.25, 0.25, 0.0]),
        clip_low=0.2,
        clip_high=0.28,
    )
    values = metrics.means(sums)
    assert values["loss"] == pytest.approx(0.5 + 1 + 0.75 + 1)
    assert values["clip_fraction_high"] == pytest.approx(1 / 4)
    assert values["clip_fraction_low"] == pytest.approx(1 / 4)
    assert values["entropy"] == pytest.approx(10 / 4)
    # k3 of the one token with a gap, d = log 2: 2 - 1 - log 2
    assert values["sampler_kl"] == pytest.approx((1 - math.log(2)) / 4)
