"""Which samples share a microbatch, and what a microbatch holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.batch import batch_of
from deepcoder_trainer.packing import Cut, PackingError, dummy, pack, partition
from tests.unit.trainer.sample_builders import sample

BUDGET = 64
lengths_of_samples = st.lists(st.integers(1, BUDGET), max_size=60)


@given(lengths_of_samples, st.integers(1, 8))
def test_every_sample_once_within_the_budget_and_equal_counts_on_all_ranks(lengths: list[int], ranks: int) -> None:
    """Whatever the lengths: nothing lost or doubled, no microbatch too full, no rank with more rounds than another."""
    of_ranks = partition(lengths, BUDGET, ranks)
    cuts = [cut for of_rank in of_ranks for cut in of_rank]
    assert sorted(position for cut in cuts for position in cut) == list(range(len(lengths)))
    assert all(sum(lengths[position] for position in cut) <= BUDGET for cut in cuts)
    assert len(of_ranks) == ranks
    assert len({len(of_rank) for of_rank in of_ranks}) == 1
    assert len(of_ranks[0]) >= 1


@given(lengths_of_samples, st.integers(1, 8))
def test_no_round_is_wasted(lengths: list[int], ranks: int) -> None:
    """At most twice the rounds that the tokens alone would fill, and never a round of dummies only."""
    of_ranks = partition(lengths, BUDGET, ranks)
    rounds = len(of_ranks[0])
    assert rounds <= max(1, 2 * -(-sum(lengths) // (BUDGET * ranks)))
    if lengths:
        assert all(any(of_rank[index] for of_rank in of_ranks) for index in range(rounds))


@pytest.mark.parametrize(
    ("lengths", "ranks", "expected"),
    [
        ([10, 10, 10], 1, [[(0, 1, 2)]]),
        ([60, 10], 1, [[(0,), (1,)]]),
        ([40, 30, 20, 10], 2, [[(0, 3)], [(1, 2)]]),
        ([60, 60, 60], 2, [[(0,), (2,)], [(1,), ()]]),
        ([], 2, [[()], [()]]),
    ],
)
def test_by_hand(lengths: list[int], ranks: int, expected: list[list[Cut]]) -> None:
    """Longest first into the emptiest; where samples run out, a rank gets an empty cut."""
    assert partition(lengths, BUDGET, ranks) == expected


def test_a_sample_above_the_budget_is_refused_with_both_numbers() -> None:
    """The message says what to raise."""
    with pytest.raises(PackingError, match=r"65 tokens and trainer.tokensPerMicrobatch is 64"):
        partition([3, 65], BUDGET, 1)


def test_a_microbatch_by_hand() -> None:
    """Prompts of 3 and 1 tokens, answers of 2 and 3: positions restart, and each answer token has its predictor."""
    samples = [
        sample(prompt_ids=[11, 12, 13], answer_ids=[14, 15], log_probabilities=[-1.0, -2.0]),
        sample(prompt_ids=[99], answer_ids=[98], log_probabilities=[-9.0]),
        sample(prompt_ids=[21], answer_ids=[22, 23, 24], log_probabilities=[-3.0, -4.0, -5.0], group=1),
    ]
    samples = [replace(one, advantage=value) for one, value in zip(samples, (0.5, 9.0, -0.25), strict=True)]
    batch = batch_of(samples, step=1, temperature=1.0, overlong_filter=True)
    packed = pack(batch, (0, 2), np.array([0.125, 9.0, 0.25]))
    assert packed.input_ids.tolist() == [[11, 12, 13, 14, 15, 21, 22, 23, 24]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2, 3]]
    assert packed.boundaries.tolist() == [0, 5, 9]
    assert packed.predictors.tolist() == [2, 3, 5, 6, 7]
    assert packed.answer_ids.tolist() == [14, 15, 22, 23, 24]
    assert packed.answer_lengths.tolist() == [2, 3]
    assert packed.sampler.tolist() == [-1.0, -2.0, -3.0, -4.0, -5.0]
    assert packed.advantages.tolist() == [0.5, 0.5, -0.25, -0.25, -0.25]
    assert packed.weights.tolist() == [0.125, 0.125, 0.25, 0.25, 0.25]


def test_a_dummy_has_no_weight() -> None:
    """It goes through a forward and a backward like the others, and weighs nothing."""
    empty = pack(batch_of([sample()], step=1, temperature=1.0, overlong_filter=True), (), np.array([1.0]))
    assert empty.weights.tolist() == dummy().weights.tolist() == [0.0]
    assert empty.answer_lengths.tolist() == [1]
    assert empty.input_ids.shape == empty.position_ids.shape == (1, 2)
