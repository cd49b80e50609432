"""The clipped loss, the importance correction and their metrics: by hand, and against plain Python."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from deepcoder_api.presets import CISPO, GRPO_PLUS, RLLM_RELEASE
from deepcoder_trainer.algorithm import metrics
from deepcoder_trainer.algorithm.importance import truncated_importance
from deepcoder_trainer.algorithm.policy_loss import (
    cispo_policy_loss,
    clipped_policy_loss,
    clipped_tokens,
    policy_loss,
)
from deepcoder_trainer.algorithm.ratio import importance_ratio


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
    ratio = importance_ratio(now, logs(proximal), tensor([1]), "token")
    found = clipped_policy_loss(ratio, tensor([advantage], dtype=torch.float64), 0.2, 0.28)
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
    ratio = importance_ratio(current, proximal, tensor([len(values)]), "token")
    found = clipped_policy_loss(ratio, advantages, low, high)
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


def test_the_ratio_of_a_sequence_by_hand() -> None:
    """Tokens of ratio 2 and 1/2 are one of 1; of 2, 2 and 1/4 also; one of 1.5 is itself: the geometric mean."""
    current, proximal = logs(0.8, 0.2, 0.4, 0.6, 0.1, 0.6), logs(0.4, 0.4, 0.2, 0.3, 0.4, 0.4)
    ratio = importance_ratio(current, proximal, tensor([2, 3, 1]), "sequence")
    assert ratio.tolist() == pytest.approx([1, 1, 1, 1, 1, 1.5], rel=1e-12)


def test_the_gradient_of_a_sequences_ratio_is_shared_by_its_tokens() -> None:
    """GSPO equation 10: d s / d log pi of a token is s over the tokens; nothing crosses to another answer."""
    current = logs(0.8, 0.4, 0.6).requires_grad_()
    ratio = importance_ratio(current, logs(0.4, 0.4, 0.4), tensor([2, 1]), "sequence")
    ratio[0].backward()
    assert current.grad is not None
    assert current.grad.tolist() == pytest.approx([2**0.5 / 2, 2**0.5 / 2, 0], rel=1e-12)


def test_the_ratio_of_a_long_sequence_is_finer_than_gspos_clip() -> None:
    """64,000 tokens, each 2**-16 likelier: float32 inputs, and a ratio and its gradient within a millionth."""
    current = torch.full((64_000,), -0.5, requires_grad=True)
    ratio = importance_ratio(current, current.detach() - 2**-16, tensor([64_000]), "sequence")
    assert ratio.dtype == torch.float32
    assert ratio[0].item() == pytest.approx(math.exp(2**-16), abs=1e-6)
    (ratio * 0.1).sum().backward()
    assert current.grad is not None
    assert current.grad[0].item() == pytest.approx(0.1 * math.exp(2**-16), rel=1e-6)


@pytest.mark.parametrize(
    ("current", "proximal", "advantage", "weight"),
    [
        (0.6, 0.5, 1.0, 1.2),
        (0.9, 0.1, 1.0, 5.0),  # r = 9 is held at 5
        (0.9, 0.1, -2.0, 5.0),  # for a worse answer too
        (0.1, 0.9, 1.0, 1 / 9),  # nothing below: clip_low is 1
    ],
)
def test_cispo_by_hand(current: float, proximal: float, advantage: float, weight: float) -> None:
    """-min(r, 5) A log pi, and a gradient of -min(r, 5) A whether the clip holds or not."""
    now = logs(current).requires_grad_()
    ratio = importance_ratio(now, logs(proximal), tensor([1]), "token")
    found = cispo_policy_loss(ratio, now, tensor([advantage], dtype=torch.float64), 1.0, 4.0)
    assert found.item() == pytest.approx(-weight * advantage * math.log(current), rel=1e-12)
    found.sum().backward()
    assert now.grad is not None
    assert now.grad.item() == pytest.approx(-weight * advantage, rel=1e-12)


def test_cispo_with_a_lower_bound() -> None:
    """Where one is asked for the weight is held at it: r = 1/9 at 1 - 0.2."""
    ratio = importance_ratio(logs(0.1), logs(0.9), tensor([1]), "token")
    found = cispo_policy_loss(ratio, logs(0.1), tensor([1.0], dtype=torch.float64), 0.2, 4.0)
    assert found.item() == pytest.approx(-0.8 * math.log(0.1), rel=1e-12)


def test_unclipped_by_hand() -> None:
    """rllm-release: r = 1.5 of a better answer is not held at 1.28, and its gradient is not cut off."""
    now = logs(0.75).requires_grad_()
    ratio = importance_ratio(now, logs(0.5), tensor([1]), "token")
    found = policy_loss(ratio, now, tensor([2.0], dtype=torch.float64), RLLM_RELEASE)
    assert found.item() == pytest.approx(-3.0, rel=1e-12)
    found.sum().backward()
    assert now.grad is not None
    assert now.grad.item() == pytest.approx(-3.0, rel=1e-12)


RATIOS, SIGNS = tensor([1.5, 0.5, 1.5, 0.5, 1.0, 9.0]), tensor([1.0, -1.0, -1.0, 1.0, 1.0, -1.0])


def test_where_a_clip_acts_by_side() -> None:
    """clipped: above for a better answer, below for a worse one. unclipped says where one would. cispo: any answer."""
    below, above = clipped_tokens(RATIOS, SIGNS, GRPO_PLUS)
    assert below.tolist() == [False, True, False, False, False, False]
    assert above.tolist() == [True, False, False, False, False, False]
    assert [side.tolist() for side in clipped_tokens(RATIOS, SIGNS, RLLM_RELEASE)] == [below.tolist(), above.tolist()]
    below, above = clipped_tokens(RATIOS, SIGNS, CISPO)
    assert not below.any()
    assert above.tolist() == [False] * 5 + [True]


def test_a_clip_acts_where_the_gradient_ends() -> None:
    """What the metric counts as clipped is what autograd leaves without a gradient."""
    ratio = RATIOS.clone().requires_grad_()
    clipped_policy_loss(ratio, SIGNS, 0.2, 0.28).sum().backward()
    below, above = clipped_tokens(RATIOS, SIGNS, GRPO_PLUS)
    assert ratio.grad is not None
    assert torch.equal(ratio.grad == 0, below | above)


def test_metrics_by_hand() -> None:
    """Four tokens and a dummy: one clipped high, one clipped low."""
    sums = metrics.token_sums(
        clipped=(tensor([False, True, False, False, True]), tensor([True, False, False, False, True])),
        proximal=logs(0.5, 0.5, 0.5, 0.5, 0.1),
        sampler=logs(0.5, 0.5, 0.5, 0.25, 0.9),
        entropy=tensor([1.0, 2.0, 3.0, 4.0, 99.0]),
        losses=tensor([1.0, 2.0, 3.0, 4.0, 99.0]),
        weights=tensor([0.5, 0.5, 0.25, 0.25, 0.0]),
    )
    values = metrics.means(sums)
    assert values["loss"] == pytest.approx(0.5 + 1 + 0.75 + 1)
    assert values["clip_fraction_high"] == pytest.approx(1 / 4)
    assert values["clip_fraction_low"] == pytest.approx(1 / 4)
    assert values["entropy"] == pytest.approx(10 / 4)
    # k3 of the one token with a gap, d = log 2: 2 - 1 - log 2
    assert values["sampler_kl"] == pytest.approx((1 - math.log(2)) / 4)
