"""Which tokens and answers each of the ranks has that share a microbatch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.packing import Microbatch, dummy, pack
from deepcoder_trainer.sequence_group import Shard, shard
from tests.unit.trainer.sample_builders import random_batch


def microbatch(seed: int) -> Microbatch:
    batch = random_batch(seed)
    return pack(batch, (0, 3, 1), torch.zeros(len(batch)).double().numpy())


@given(seed=st.integers(0, 20), size=st.integers(1, 8))
def test_runs_make_up_the_whole(seed: int, size: int) -> None:
    """Tokens, positions and answers of all ranks, end to end, are the microbatch's, but for what pads it."""
    whole = microbatch(seed)
    shards = [shard(whole, size, rank) for rank in range(size)]
    tokens = whole.input_ids.shape[1]
    assert len({one.input_ids.shape for one in shards}) == 1
    assert torch.equal(torch.cat([one.input_ids for one in shards], 1)[:, :tokens], whole.input_ids)
    assert torch.equal(torch.cat([one.position_ids for one in shards], 1)[:, :tokens], whole.position_ids)
    assert torch.equal(torch.cat([one.answer_ids for one in shards]), whole.answer_ids)
    length = shards[0].input_ids.shape[1]
    places = torch.cat([one.predictors + rank * length for rank, one in enumerate(shards)])
    assert torch.equal(places, whole.predictors)
    assert [one.first for one in shards] == [sum(len(one.answer_ids) for one in shards[:rank]) for rank in range(size)]


@given(seed=st.integers(0, 20), size=st.integers(1, 8))
def test_padding_is_a_sequence_of_its_own(seed: int, size: int) -> None:
    """No real token sees it; all ranks know the same boundaries, which end at their tokens together."""
    whole = microbatch(seed)
    shards = [shard(whole, size, rank) for rank in range(size)]
    for one in shards:
        assert torch.equal(one.boundaries, shards[0].boundaries)
        assert torch.equal(one.boundaries[: len(whole.boundaries)], whole.boundaries)
        assert int(one.boundaries[-1]) == size * one.input_ids.shape[1]
        assert one.boundaries.dtype == torch.int32


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_dummy_is_shared_like_any_other(size: int) -> None:
    """Its one answer is on one rank; the others take part with none."""
    shards: list[Shard] = [shard(dummy(), size, rank) for rank in range(size)]
    assert [len(one.answer_ids) for one in shards] == [1] + [0] * (size - 1)
