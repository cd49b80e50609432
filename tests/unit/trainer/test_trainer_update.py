"""What a step's optimizer steps compute, and the loss of a token."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.presets import GRPO, GRPO_PLUS, Algorithm
from deepcoder_trainer.batch import Batch, batch_of
from deepcoder_trainer.packing import pack
from deepcoder_trainer.update import plan_updates, token_losses
from tests.unit.trainer.sample_builders import random_batch, sample


def algorithm(**changes: object) -> Algorithm:
    return GRPO_PLUS.model_copy(update=changes)


def batch_by_hand() -> Batch:
    """Answers of 2 and 3 tokens with a loss, one of 5 truncated, and a group of 4 tokens whose rewards are equal."""
    return batch_of(
        [
            sample(answer_ids=[4] * 2, advantage=0.5, group=0),
            sample(answer_ids=[4] * 3, advantage=-0.5, group=0),
            sample(answer_ids=[4] * 5, advantage=-0.5, group=0, finish_reason="length"),
            sample(answer_ids=[4] * 4, advantage=0.0, group=1),
        ],
        step=1, temperature=1.0, overlong_filter=True,
    )  # fmt: skip


def test_weights_and_computed_samples_by_hand() -> None:
    """Unmasked are 2 + 3 + 4 = 9 tokens: each weighs a ninth. Only samples with a loss are computed."""
    (plan,) = plan_updates(batch_by_hand(), algorithm(optimizer_steps_per_step=1), 64, rank=0, ranks=1)
    assert plan.weights == pytest.approx([1 / 9, 1 / 9, 0, 1 / 9])
    assert plan.cuts == ((0, 1),)


def test_a_part_without_any_loss_makes_no_optimizer_step() -> None:
    """Two optimizer steps, the second of a group that teaches nothing: it is left out, the first has its own tokens."""
    (plan,) = plan_updates(batch_by_hand(), algorithm(optimizer_steps_per_step=2), 64, rank=0, ranks=1)
    assert plan.weights == pytest.approx([1 / 5, 1 / 5, 0, 0])
    assert plan.cuts == ((0, 1),)


def test_a_batch_without_any_loss_makes_none() -> None:
    """All rewards equal everywhere: nothing is computed, and nothing moves."""
    samples = [sample(group=group, advantage=0.0) for group in range(3)]
    batch = batch_of(samples, step=1, temperature=1.0, overlong_filter=True)
    assert plan_updates(batch, algorithm(), 64, rank=0, ranks=2) == []


@given(st.integers(0, 200), st.sampled_from([64, 100, 4096]), st.integers(1, 5), st.sampled_from([1, 2, 3]))
def test_no_cut_and_no_number_of_ranks_changes_what_is_added_up(seed: int, budget: int, ranks: int, steps: int) -> None:
    """Over all ranks and microbatches: the same samples once, the same weights, and equally many rounds."""
    batch, chosen = random_batch(seed), algorithm(optimizer_steps_per_step=steps)
    whole = plan_updates(batch, chosen, 10**6, rank=0, ranks=1)
    of_ranks = [plan_updates(batch, chosen, budget, rank, ranks) for rank in range(ranks)]
    for index, plan in enumerate(whole):
        plans = [of_rank[index] for of_rank in of_ranks]
        computed = sorted(one for cut in plan.cuts for one in cut)
        assert sorted(one for other in plans for cut in other.cuts for one in cut) == computed
        assert len({len(other.cuts) for other in plans}) == 1
        assert all(np.array_equal(other.weights, plan.weights) for other in plans)
    assert all(len(of_rank) == len(whole) for of_rank in of_ranks)


@given(st.integers(0, 200))
def test_weighted_tokens_add_up_to_one(seed: int) -> None:
    """token-mean: the weights of all unmasked tokens of an optimizer batch are one in all."""
    batch = random_batch(seed)
    for plan in plan_updates(batch, algorithm(), 4096, rank=0, ranks=1):
        assert (plan.weights * batch.answer_lengths).sum() == pytest.approx(1.0)


def test_the_loss_of_a_token_by_hand() -> None:
    """current/proximal = 0.6/0.4 = 1.5 held at 1.28, proximal/sampler = 0.4/0.1 = 4 held at 2, advantage 0.5."""
    batch = batch_of(
        [sample(answer_ids=[4], log_probabilities=[float(np.log(0.1))], advantage=0.5)],
        step=1, temperature=1.0, overlong_filter=True,
    )  # fmt: skip
    microbatch = pack(batch, (0,), np.array([1.0]))
    current, proximal = torch.tensor([0.6]).log(), torch.tensor([0.4]).log()
    assert token_losses(current, proximal, microbatch, algorithm()).item() == pytest.approx(-2 * 1.28 * 0.5)
    uncorrected = algorithm(importance_correction="none")
    assert token_losses(current, proximal, microbatch, uncorrected).item() == pytest.approx(-1.28 * 0.5)
    assert token_losses(current, proximal, microbatch, GRPO).item() == pytest.approx(-2 * 1.2 * 0.5)
