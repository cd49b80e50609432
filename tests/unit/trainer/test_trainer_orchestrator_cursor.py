"""The order of problems and the seeds of samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_trainer.orchestrator.cursor import Cursor, CursorPosition, Draw, epoch_order, sample_seed

IDS = [f"problem-{number}" for number in range(10)]
problem_ids = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30, unique=True)


@given(ids=problem_ids, seed=st.integers(0, 2**31 - 1), epochs=st.integers(1, 5))
def test_every_problem_is_drawn_once_an_epoch_and_every_draw_has_its_number(
    ids: list[str], seed: int, epochs: int
) -> None:
    """Numbers, draws and positions are three names of the same thing, whatever the order of asking."""
    numbers = range(epochs * len(ids))
    asked_backwards = [Cursor(ids, seed).draw(number) for number in reversed(numbers)]
    drawn = [Cursor(ids, seed).draw(number) for number in numbers]
    assert drawn == asked_backwards[::-1]
    assert len(set(drawn)) == len(drawn)
    assert [draw.epoch for draw in drawn] == [epoch for epoch in range(epochs) for _ in ids]
    cursor = Cursor(ids, seed)
    assert [cursor.number(draw) for draw in drawn] == list(numbers)
    saved = [CursorPosition.model_validate_json(cursor.position(n).model_dump_json()) for n in numbers]
    assert [cursor.number_at(position) for position in saved] == list(numbers)


def test_each_epoch_has_an_order_of_its_own() -> None:
    """Draw 10 of 10 problems is the first of the next epoch."""
    cursor = Cursor(IDS, seed=1)
    assert [cursor.draw(number).epoch for number in (0, 9, 10, 25)] == [0, 0, 1, 2]
    assert cursor.position(13) == CursorPosition(epoch=1, taken=3)
    assert [cursor.draw(n).problem_id for n in range(10)] != [cursor.draw(n).problem_id for n in range(10, 20)]
    with pytest.raises(KeyError, match="stranger"):
        cursor.number(Draw("stranger", 0))


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
        Cursor(ids, 0).number_at(position or CursorPosition())
