"""The order of problems and the seeds of samples."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.orchestrator.cursor import Cursor, CursorPosition, epoch_order, sample_seed

IDS = [f"problem-{number}" for number in range(10)]
problem_ids = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30, unique=True)


@given(ids=problem_ids, seed=st.integers(0, 2**31 - 1), counts=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_nothing_is_dropped_or_doubled_whatever_is_taken_and_wherever_it_is_resumed(
    ids: list[str], seed: int, counts: list[int]
) -> None:
    """Takes of any size, each after a resume from the saved position, draw every problem once in each epoch."""
    position, drawn = None, []
    for count in counts:
        cursor = Cursor(ids, seed, position)
        drawn += cursor.take(count)
        position = CursorPosition.model_validate_json(cursor.position.model_dump_json())
    assert drawn == Cursor(ids, seed).take(sum(counts))
    by_epoch = Counter(draw.epoch for draw in drawn)
    assert len(set(drawn)) == len(drawn)
    assert list(by_epoch) == list(range(len(by_epoch)))
    assert all(count == len(ids) for epoch, count in by_epoch.items() if epoch < max(by_epoch))


def test_a_take_may_cross_into_the_next_epoch() -> None:
    """The rest of one epoch and the start of the next are taken together; each draw names its epoch."""
    cursor = Cursor(IDS, seed=1)
    cursor.take(8)
    crossing = cursor.take(5)
    assert [draw.epoch for draw in crossing] == [0, 0, 1, 1, 1]
    assert cursor.position == CursorPosition(epoch=1, taken=3)


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    """The same on every machine, whatever the order of the dataset; another seed or epoch gives another order."""
    assert epoch_order(IDS, 0, 0) == epoch_order(IDS[::-1], 0, 0)
    assert epoch_order(IDS, 0, 0) == [f"problem-{n}" for n in [5, 4, 2, 7, 6, 0, 8, 9, 3, 1]]
    assert len({tuple(epoch_order(IDS, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_seeds_differ_by_everything_they_are_made_of_and_fit_a_signed_64_bit_integer() -> None:
    """Seed, problem, epoch and sample each change it; parts that run together when joined as text do not meet."""
    keys = [(0, "a", 0, 0), (1, "a", 0, 0), (0, "b", 0, 0), (0, "a", 1, 0), (0, "a", 0, 1), (0, "a,0", 0, 0)]
    seeds = [sample_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert sample_seed(0, "a", 0, 0) == seeds[0]


@pytest.mark.parametrize(
    ("ids", "position", "said"),
    [
        ([], None, "no problems"),
        (["a", "b", "a"], None, "'a' is in the dataset twice"),
        (["a", "b"], CursorPosition(epoch=0, taken=3), "position 3 is past the 2 problems"),
    ],
)
def test_a_cursor_that_could_not_count_is_refused(
    ids: list[str], position: CursorPosition | None, said: str
) -> None:  # fmt: skip
    """No problem, a problem twice, a position outside the epoch: each is refused with the value."""
    with pytest.raises(ValueError, match=said):
        Cursor(ids, 0, position)
