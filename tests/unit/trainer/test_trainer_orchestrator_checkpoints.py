"""Which checkpoints are the best."""

from __future__ import annotations

import pytest

from deepcoder_trainer.orchestrator.checkpoints import best_steps

SCORES = {2: 0.5, 4: 0.75, 6: 0.75, 8: 0.25}


@pytest.mark.parametrize(
    ("steps", "count", "best"),
    [
        ((2, 4, 6, 8), 0, []),
        ((2, 4, 6, 8), 1, [4]),
        ((2, 4, 6, 8), 3, [4, 6, 2]),
        ((2, 6, 8), 1, [6]),
        ((1, 3), 2, []),
        ((1, 8), 2, [8]),
    ],
)
def test_the_best_have_the_highest_scores_and_of_equal_ones_the_earlier(
    steps: tuple[int, ...], count: int, best: list[int]
) -> None:
    """Only steps that were measured and have a checkpoint; never more than there are."""
    assert best_steps(steps, SCORES, count) == best
