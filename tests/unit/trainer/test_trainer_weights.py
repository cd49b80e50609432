"""Which rank publishes which part of the weights."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.weights import published_runs, rank_of_shard


@pytest.mark.parametrize(("count", "ranks"), [(1, 1), (3, 2), (7, 4), (4, 4), (2, 5)])
def test_shards_are_kept_by_all_ranks_alike(count: int, ranks: int) -> None:
    """No rank keeps two more than another, and with fewer shards than ranks those are spread over the pods."""
    kept = Counter(rank_of_shard(index, count, ranks) for index in range(count))
    assert sum(kept.values()) == count
    assert max(kept.values()) - min(kept.get(rank, 0) for rank in range(ranks)) <= 1
    assert all(0 <= rank < ranks for rank in kept)


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=30), ranks=st.integers(1, 8), limit=st.integers(1, 200))
def test_a_published_shard_is_small_enough_and_there_is_one_for_every_rank(
    sizes: list[int], ranks: int, limit: int
) -> None:
    """A weight above the limit has a shard of its own; equal weights give every rank its part."""
    names = {f"w{index}": size for index, size in enumerate(sizes)}
    runs = published_runs(names, ranks, limit)
    assert [name for run in runs for name in run] == list(names)
    assert all(sum(names[name] for name in run) <= limit or len(run) == 1 for run in runs)
    if len(set(sizes)) == 1:
        assert len(runs) >= min(ranks, len(sizes))
