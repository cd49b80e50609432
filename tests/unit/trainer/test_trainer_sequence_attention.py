"""How often key heads are sent, and which numbers of ranks can share a model."""

from __future__ import annotations

import pytest

from deepcoder_trainer.sequence_attention import heads_fit, key_repeats


@pytest.mark.parametrize(
    ("heads", "key_heads", "ranks", "repeats"),
    [
        (40, 8, 1, 1),
        (40, 8, 2, 1),
        (40, 8, 8, 1),
        (40, 8, 4, 1),
        (40, 8, 5, 5),  # every query head with a key head of its own
        (40, 8, 20, 5),
        (32, 4, 8, 2),
        (28, 4, 7, 7),
        (4, 1, 4, 4),
        (12, 6, 4, 2),
    ],
)
def test_key_heads_are_sent_as_seldom_as_can_be(heads: int, key_heads: int, ranks: int, repeats: int) -> None:
    """As they are where ranks divide them, else repeated for the fewest that do."""
    assert key_repeats(heads, key_heads, ranks) == repeats


@pytest.mark.parametrize(("heads", "key_heads"), [(40, 8), (28, 4), (12, 6), (16, 16), (8, 1)])
def test_every_rank_gets_the_key_heads_of_its_query_heads(heads: int, key_heads: int) -> None:
    """Query head h needs key head h // (heads / key_heads), wherever it is computed."""
    for ranks in range(1, heads + 1):
        if not heads_fit(heads, ranks):
            continue
        repeats = key_repeats(heads, key_heads, ranks)
        sent = [key for key in range(key_heads) for _ in range(repeats)]
        own_keys, own_queries = len(sent) // ranks, heads // ranks
        for rank in range(ranks):
            keys = sent[rank * own_keys : (rank + 1) * own_keys]
            for place in range(own_queries):
                query = rank * own_queries + place
                assert keys[place // (own_queries // own_keys)] == query // (heads // key_heads)


def test_ranks_that_do_not_divide_the_heads_are_refused() -> None:
    """Some query head would be in two places."""
    with pytest.raises(ValueError, match="3 ranks cannot share 40 attention heads"):
        key_repeats(40, 8, 3)
