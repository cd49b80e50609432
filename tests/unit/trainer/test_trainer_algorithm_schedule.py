"""The learning rate of each step."""

from __future__ import annotations

import pytest

from deepcoder_api.training_run import OptimizerSpec
from deepcoder_trainer.algorithm.schedule import learning_rate


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [1.0, 1.0, 1.0, 1.0]),
        ("constant", 2, [0.5, 1.0, 1.0, 1.0]),
        ("linear", 0, [1.0, 0.75, 0.5, 0.25]),
        ("linear", 2, [0.5, 1.0, 1.0, 0.5]),
        ("linear", 9, [1 / 9, 2 / 9, 3 / 9, 4 / 9]),
    ],
)
def test_four_steps_by_hand(schedule: str, warmup: int, expected: list[float]) -> None:
    """A full rate of 1 over four steps: warm-up in equal parts, then held, or in equal parts towards zero."""
    optimizer = OptimizerSpec.model_validate({"learningRate": 1.0, "schedule": schedule, "warmupSteps": warmup})
    assert [learning_rate(step, 4, optimizer) for step in range(1, 5)] == pytest.approx(expected)


@pytest.mark.parametrize("step", [0, 5])
def test_a_step_outside_the_run_is_refused(step: int) -> None:
    """Steps count from 1 to the run's last."""
    with pytest.raises(ValueError, match=f"step {step} is outside 1..4"):
        learning_rate(step, 4, OptimizerSpec())
