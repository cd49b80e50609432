"""What a step's optimizer steps compute, and the loss of a token."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.algorithm_spec import Preset
from deepcoder_api.presets import GRPO, GRPO_PLUS, PRESETS, RLLM_RELEASE
from deepcoder_trainer.algorithm.ratio import importance_ratio
from deepcoder_trainer.batch import Batch, batch_of
from deepcoder_trainer.packing import Microbatch, pack
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


def test_with_an_entropy_term_samples_without_advantage_are_computed_too() -> None:
    """The fourth sample's entropy counts though its group teaches nothing; the masked third stays out."""
    chosen = algorithm(optimizer_steps_per_step=1, entropy_coefficient=0.01)
    (plan,) = plan_updates(batch_by_hand(), chosen, 64, rank=0, ranks=1)
    assert plan.cuts == ((0, 1, 3),)
    assert plan.computed == 3


def test_microbatch_means_count_what_is_not_computed() -> None:
    """Samples of 5, 6, 8 and 7 tokens in microbatches of 13: 8 + 5 and 7 + 6. Each mean is over all answer tokens in
    it, 5 + 2 and 4 + 3, but only samples with an advantage are computed."""
    batch = batch_of(
        [
            sample(answer_ids=[4] * 2, advantage=0.5),
            sample(answer_ids=[4] * 3, advantage=-0.5),
            sample(answer_ids=[4] * 5, advantage=0.0, finish_reason="length"),
            sample(answer_ids=[4] * 4, advantage=0.0, group=1),
        ],
        step=1, temperature=1.0, overlong_filter=RLLM_RELEASE.masks_truncated,
    )  # fmt: skip
    (plan,) = plan_updates(batch, RLLM_RELEASE.model_copy(update={"optimizer_steps_per_step": 1}), 13, rank=0, ranks=1)
    assert plan.cuts == ((0,), (1,))
    assert plan.weights == pytest.approx([1 / 7] * 4)
    assert plan.computed == 2


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


@given(
    st.integers(0, 200), st.sampled_from([64, 100, 4096]), st.integers(1, 5), st.sampled_from([1, 2, 3]),
    st.sampled_from([name for name in PRESETS if name != "rllm-release"]), st.sampled_from([0.0, 0.01]),
)  # fmt: skip
def test_no_cut_and_no_number_of_ranks_changes_what_is_added_up(
    seed: int, budget: int, ranks: int, steps: int, preset: Preset, entropy: float
) -> None:
    """Over all ranks and microbatches: the same samples once, the same weights, and equally many rounds."""
    changes = {"optimizer_steps_per_step": steps, "entropy_coefficient": entropy, "loss_normalization_tokens": 30}
    batch, chosen = random_batch(seed), PRESETS[preset].model_copy(update=changes)
    whole = plan_updates(batch, chosen, 10**6, rank=0, ranks=1)
    of_ranks = [plan_updates(batch, chosen, budget, rank, ranks) for rank in range(ranks)]
    for index, plan in enumerate(whole):
        plans = [of_rank[index] for of_rank in of_ranks]
        computed = sorted(one for cut in plan.cuts for one in cut)
        assert sorted(one for other in plans for cut in other.cuts for one in cut) == computed
        assert len({len(other.cuts) for other in plans}) == 1
        assert all(np.array_equal(other.weights, plan.weights) for other in plans)
        assert all(other.computed == plan.computed == len(computed) for other in plans)
    assert all(len(of_rank) == len(whole) for of_rank in of_ranks)


@given(st.integers(0, 200), st.sampled_from([64, 100, 4096]), st.integers(1, 5))
def test_microbatch_means_agree_on_all_ranks(seed: int, budget: int, ranks: int) -> None:
    """Every rank knows the weights of all microbatches and goes as many rounds; what it computes has a loss."""
    batch = random_batch(seed)
    of_ranks = [plan_updates(batch, RLLM_RELEASE, budget, rank, ranks) for rank in range(ranks)]
    for plans in zip(*of_ranks, strict=True):
        assert len({len(plan.cuts) for plan in plans}) == 1
        assert all(np.array_equal(plan.weights, plans[0].weights) for plan in plans)
        computed = [index for plan in plans for cut in plan.cuts for index in cut]
        assert len(computed) == len(set(computed)) == plans[0].computed
        assert (batch.advantages[computed] != 0).all()
        assert (plans[0].weights[computed] > 0).all()


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
    assert loss_of(microbatch, algorithm()) == pytest.approx(-2 * 1.28 * 0.5)
    assert loss_of(microbatch, algorithm(importance_correction="none")) == pytest.approx(-1.28 * 0.5)
    assert loss_of(microbatch, GRPO) == pytest.approx(-2 * 1.2 * 0.5)
    # The entropy is the policy's own: no correction for the sampler.
    assert loss_of(microbatch, algorithm(entropy_coefficient=0.1)) == pytest.approx(-2 * 1.28 * 0.5 - 0.1 * 3)


def loss_of(microbatch: Microbatch, chosen: Algorithm) -> float:
    current, proximal = torch.tensor([0.6]).log(), torch.tensor([0.4]).log()
    ratio = importance_ratio(current, proximal, microbatch.answer_lengths, chosen.importance_sampling_level)
    return token_losses(ratio, current, proximal, torch.tensor([3.0]), microbatch, chosen).item()
