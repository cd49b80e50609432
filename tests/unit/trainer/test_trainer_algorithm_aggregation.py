"""Aggregation: what a token weighs, by hand, by TRL's formulas, and whatever the cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.algorithm_spec import LossAggregation
from deepcoder_api.presets import DR_GRPO, GRPO, RLLM_RELEASE
from deepcoder_trainer.algorithm.aggregation import microbatch_token_weights, token_weights
from deepcoder_trainer.algorithm.truncation import carries_loss

NORM = "sequence-mean-token-sum-norm"


def aggregating(aggregation: LossAggregation, normalization_tokens: int = 20) -> Algorithm:
    """An algorithm of which only the aggregation matters."""
    changes = {"loss_aggregation": aggregation, "loss_normalization_tokens": normalization_tokens}
    return GRPO.model_copy(update=changes)


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
        # Three answers times a limit of 20 tokens, whatever their own lengths.
        (NORM, [False, False, False], [1 / 60, 1 / 60, 1 / 60]),
        (NORM, [False, False, True], [1 / 60, 1 / 60, 0]),
        (NORM, [True, True, True], [0, 0, 0]),
        ("token-mean", [True, True, True], [0, 0, 0]),
        ("sequence-mean", [True, True, True], [0, 0, 0]),
    ],
)
def test_by_hand(aggregation: LossAggregation, truncated: list[bool], expected: list[float]) -> None:
    """Answers of 2, 3 and 5 tokens."""
    weights = token_weights([2, 3, 5], carries_loss(truncated, overlong_filter=True), aggregating(aggregation))
    assert weights == pytest.approx(expected, rel=1e-12)


def test_without_the_filter_truncated_answers_carry_loss() -> None:
    """The preset grpo keeps the filter off: finish reason length changes nothing."""
    assert carries_loss([True, False], overlong_filter=False).tolist() == [True, True]


def test_equals_trl() -> None:
    """TRL's loss types restated: grpo is the mean over samples of masked means, dapo the sum over all mask tokens,
    dr_grpo the sum over samples times the largest completion."""
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
    dr_grpo = ((loss * mask).sum() / (16 * 20)).item()
    assert (token_weights(lengths, kept, aggregating(NORM)) * of_samples).sum() == pytest.approx(dr_grpo, rel=1e-12)
    assert (token_weights(lengths, kept, aggregating("sequence-mean")) * of_samples).sum() == pytest.approx(
        grpo, rel=1e-12
    )
    assert (token_weights(lengths, kept, aggregating("token-mean")) * of_samples).sum() == pytest.approx(
        dapo, rel=1e-12
    )


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=30),
    st.sampled_from(["token-mean", "sequence-mean"]),
)
def test_equal_losses_of_tokens_give_that_mean(samples: list[tuple[int, bool]], aggregation: LossAggregation) -> None:
    """When every token's loss is 1: token-mean is 1, sequence-mean the share of samples that carry loss."""
    lengths, carries = np.array([s[0] for s in samples]), np.array([s[1] for s in samples])
    total = (token_weights(lengths, carries, aggregating(aggregation)) * lengths).sum()
    expected = float(carries.any()) if aggregation == "token-mean" else carries.mean()
    assert total == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("tokens", "carries"), [([2], [True, True]), ([0, 3], [True, True])])
def test_refuses_what_it_cannot_use(tokens: list[int], carries: list[bool]) -> None:
    """Vectors of different lengths and empty answers are errors."""
    with pytest.raises(ValueError, match=r"one length|at least one token"):
        token_weights(tokens, carries, aggregating("token-mean"))
    with pytest.raises(ValueError, match=r"one length|at least one token"):
        microbatch_token_weights(tokens, carries, [[0]], 1)


def test_a_preset_that_is_not_resolved_has_no_divisor() -> None:
    """The longest stage's limit is a run's, not a preset's."""
    with pytest.raises(ValueError, match="preset 'dr-grpo' is not resolved"):
        token_weights([2], [True], DR_GRPO)


def test_microbatch_means_by_hand() -> None:
    """Answers of 2, 3 | 5 tokens on one of two ranks, 4 on the other: each microbatch's mean counts half."""
    weights = microbatch_token_weights([2, 3, 5, 4], [True] * 4, [[0, 1], [2], [3], []], ranks=2)
    assert weights == pytest.approx([1 / 10, 1 / 10, 1 / 10, 1 / 8])


def test_microbatch_means_leave_out_what_carries_no_loss() -> None:
    """Masked tokens are in no denominator, and a microbatch of nothing else has no loss."""
    weights = microbatch_token_weights([2, 3, 5], [True, False, False], [[0, 1], [2]], ranks=1)
    assert weights.tolist() == [0.5, 0, 0]


def test_microbatch_means_equal_rllms() -> None:
    """rLLM at 18e446c5, restated: masked_mean of each microbatch, over gradient_accumulation (1), mean over ranks."""
    random = np.random.default_rng(2)
    lengths, loss = random.integers(1, 9, 10), torch.tensor(random.normal(size=(10, 9)))
    mask = torch.tensor([[float(t < length) for t in range(9)] for length in lengths], dtype=torch.float64)
    of_ranks = [[[0, 1, 2], [3, 4]], [[5], [6, 7, 8, 9]]]
    ranks = [sum(((loss[m] * mask[m]).sum() / mask[m].sum()) / 1 for m in microbatches) for microbatches in of_ranks]
    expected = (sum(ranks) / len(ranks)).item()  # type: ignore[union-attr]
    weights = microbatch_token_weights(lengths, [True] * 10, [m for rank in of_ranks for m in rank], ranks=2)
    assert (weights * (loss * mask).sum(1).numpy()).sum() == pytest.approx(expected, rel=1e-12)


def test_microbatch_means_are_not_of_the_whole_batch() -> None:
    """Asking for weights that do not depend on the cut is an error."""
    with pytest.raises(ValueError, match="depends on the cut"):
        token_weights([2], [True], RLLM_RELEASE)
