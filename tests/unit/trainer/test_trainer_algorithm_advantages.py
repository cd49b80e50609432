"""Group advantages: numbers worked by hand, TRL's formula, and what must not matter."""

from __future__ import annotations

import statistics
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.algorithm_spec import Advantage
from deepcoder_trainer.algorithm.advantages import group_advantages, groups_with_signal


def test_one_right_of_four_by_hand() -> None:
    """Rewards 1 0 0 0: mean 1/4, deviations 3/4 and -1/4, variance (9+1+1+1)/16/3 = 1/4, std 1/2 (ddof 1)."""
    advantages = group_advantages([1, 0, 0, 0], [0, 0, 0, 0])
    assert advantages == pytest.approx([0.75 / 0.500001, *[-0.25 / 0.500001] * 3], rel=1e-12)


def test_half_right_of_eight_by_hand() -> None:
    """Four of eight right: deviations are +-1/2, variance 8 x 1/4 / 7 = 2/7, std 0.534522..."""
    advantages = group_advantages([1, 1, 1, 1, 0, 0, 0, 0], [5] * 8)
    assert advantages[0] == pytest.approx(0.5 / (0.5345224838248488 + 1e-6), rel=1e-12)
    assert advantages[7] == -advantages[0]


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.1, 1 / 3])
def test_an_equal_group_teaches_nothing(reward: float) -> None:
    """All rewards equal: exactly zero, though the mean of ten thirds is not a third. Only the other has signal."""
    rewards, groups = [reward] * 10 + [1, 0], [0] * 10 + [1, 1]
    for kind in get_args(Advantage):
        advantages = group_advantages(rewards, groups, kind)
        assert (advantages[:10] == 0).all()
        assert groups_with_signal(advantages, groups) == 1


def test_centered_by_hand() -> None:
    """Dr. GRPO: rewards 1 0 0 0 less their mean of a quarter, whatever their std."""
    assert group_advantages([1, 0, 0, 0], [0] * 4, "centered").tolist() == [0.75, -0.25, -0.25, -0.25]


def test_a_group_with_one_advantage_has_signal() -> None:
    """Groups are counted, not samples; they need not be numbered in order."""
    assert groups_with_signal([0, 0.5, 0, 0, 0, -1], [7, 7, 3, 3, 5, 5]) == 2
    assert groups_with_signal([0, 0], [0, 1]) == 0


def test_a_group_of_one_is_zero() -> None:
    """The unbiased std of one value does not exist: the advantage is zero, not NaN."""
    assert group_advantages([1.0], [0]).tolist() == [0.0]


groups_of_rewards = st.lists(
    st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=2, max_size=9), min_size=1, max_size=6
)


@given(groups_of_rewards)
def test_equals_plain_python(rewards: list[list[float]]) -> None:
    """The same as the statistics module, group by group; statistics.stdev divides by n - 1."""
    flat = [reward for group in rewards for reward in group]
    index = [number for number, group in enumerate(rewards) for _ in group]
    expected = [
        (reward - statistics.fmean(group)) / (statistics.stdev(group) + 1e-6) for group in rewards for reward in group
    ]
    assert group_advantages(flat, index) == pytest.approx(expected, abs=1e-9)


def test_equals_trl() -> None:
    """TRL's GRPOTrainer, restated: rewards.view(-1, n), mean and torch.std (ddof 1), (r - mean) / (std + eps)."""
    rewards = torch.tensor(np.random.default_rng(0).integers(0, 2, 64), dtype=torch.float64)
    grouped = rewards.view(-1, 8)
    mean, std = grouped.mean(1).repeat_interleave(8), grouped.std(1).repeat_interleave(8)
    expected = (rewards - mean) / (std + 1e-6)
    found = group_advantages(rewards.numpy(), np.repeat(np.arange(8), 8))
    assert found == pytest.approx(expected.numpy(), abs=1e-12)


@given(groups_of_rewards)
def test_order_of_samples_does_not_matter(rewards: list[list[float]]) -> None:
    """Samples arrive as they finish: each gets the same advantage wherever it stands."""
    pairs = [(reward, number) for number, group in enumerate(rewards) for reward in group]
    order = np.random.default_rng(len(pairs)).permutation(len(pairs))
    straight = group_advantages([p[0] for p in pairs], [p[1] for p in pairs])
    shuffled = group_advantages([pairs[i][0] for i in order], [pairs[i][1] for i in order])
    assert shuffled == pytest.approx(straight[order], abs=1e-12)


@pytest.mark.parametrize(
    ("rewards", "groups", "message"),
    [([1, 0], [0], "one length"), ([[1, 0]], [[0, 0]], "vectors"), ([1, float("nan")], [0, 0], "finite")],
)
def test_refuses_what_it_cannot_use(rewards: list[float], groups: list[int], message: str) -> None:
    """Shapes that disagree and rewards that are no numbers are errors, with what is wrong."""
    with pytest.raises(ValueError, match=message):
        group_advantages(rewards, groups)
