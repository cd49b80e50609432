"""Aggregation: what a token weighs, by hand, by TRL's formulas, and whatever the cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.presets import LossAggregation
from deepcoder_trainer.algorithm.aggregation import token_weights
from deepcoder_trainer.algorithm.truncation import carries_loss


@pytest.mark.parametrize(
    ("aggregation", "truncated", "expected"),
    [
        # 2 + 3 + 5 = 10 tokens, each a tenth.
        ("token-mean", [False, False, False], [1 / 10, 1 / 10, 1 / 10]),
        # The five filtered tokens leave the denominator too: 2 + 3.
        ("token-mean", [False, False, True], [1 / 5, 1 / 5, 0]),
        # Three answers, a third each, spread over their tokens.
        ("sequence-mean", [False, False, False], [1 / 6, 1 / 9, 1 / 15]),
        # The filtered answer has no loss but is still one of three.
        ("sequence-mean", [False, False, True], [1 / 6, 1 / 9, 0]),
        ("token-mean", [True, True, True], [0, 0, 0]),
        ("sequence-mean", [True, True, True], [0, 0, 0]),
    ],
)
def test_by_hand(aggregation: LossAggregation, truncated: list[bool], expected: list[float]) -> None:
    """Answers of 2, 3 and 5 tokens."""
    weights = token_weights([2, 3, 5], carries_loss(truncated, overlong_filter=True), aggregation)
    assert weights == pytest.approx(expected, rel=1e-12)


def test_without_the_filter_truncated_answers_carry_loss() -> None:
    """The preset grpo keeps the filter off: finish reason length changes nothing."""
    assert carries_loss([True, False], overlong_filter=False).tolist() == [True, True]


def test_equals_trl() -> None:
    """TRL's loss types restated: grpo is the mean over samples of masked means, dapo the sum over all mask tokens."""
    random = np.random.default_rng(1)
    lengths = random.integers(1, 20, 16)
    kept = random.random(16) < 0.8
    mask = torch.tensor(
        [[float(kept[i] and t < lengths[i]) for t in range(20)] for i in range(16)], dtype=torch.float64
    )
    loss = torch.tensor(random.normal(size=(16, 20)))
    of_samples = (loss * mask).sum(1).numpy()
    grpo = ((loss * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).mean().item()
    dapo = ((loss * mask).sum() / mask.sum()).item()
    assert (token_weights(lengths, kept, "sequence-mean") * of_samples).sum() == pytest.approx(grpo, rel=1e-12)
    assert (token_weights(lengths, kept, "token-mean") * of_samples).sum() == pytest.approx(dapo, rel=1e-12)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=30),
    st.sampled_from(["token-mean", "sequence-mean"]),
)
def test_equal_losses_of_tokens_give_that_mean(samples: list[tuple[int, bool]], aggregation: LossAggregation) -> None:
    """When every token's loss is 1: token-mean is 1, sequence-mean the share of samples that carry loss."""
    lengths, carries = np.array([s[0] for s in samples]), np.array([s[1] for s in samples])
    total = (token_weights(lengths, carries, aggregation) * lengths).sum()
    expected = float(carries.any()) if aggregation == "token-mean" else carries.mean()
    assert total == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("tokens", "carries"), [([2], [True, True]), ([0, 3], [True, True])])
def test_refuses_what_it_cannot_use(tokens: list[int], carries: list[bool]) -> None:
    """Vectors of different lengths and empty answers are errors."""
    with pytest.raises(ValueError, match=r"one length|at least one token"):
        token_weights(tokens, carries, "token-mean")
