"""Which steps and prompts belong to which stage, as planned and when stages end early."""

from __future__ import annotations

import pytest

from deepcoder_trainer.orchestrator.timetable import Timetable
from tests.orchestrator_builders import timetable

PLANNED = timetable((3, 4), (2, 2), (1, 5))


@pytest.mark.parametrize(("step", "index"), [(1, 0), (3, 0), (4, 1), (5, 1), (6, 2)])
def test_the_stage_of_a_step(step: int, index: int) -> None:
    """Steps count from 1; the first step of a stage follows the last of the one before."""
    assert PLANNED.index_of(step) == index
    assert PLANNED.stage_of(step).name == f"stage-{index}"


@pytest.mark.parametrize("step", [0, -1, 7])
def test_a_step_outside_the_run(step: int) -> None:
    """There is no stage for it."""
    with pytest.raises(ValueError, match=f"step {step} is outside the run's 6 steps"):
        PLANNED.stage_of(step)


def test_prompts_are_dealt_out_by_each_stages_prompts() -> None:
    """Four a step, then two, then five; past the last step no more."""
    assert [PLANNED.prompts_through(step) for step in range(9)] == [0, 4, 8, 12, 14, 16, 21, 21, 21]
    assert [PLANNED.prompts_of(index) for index in range(3)] == [range(12), range(12, 16), range(16, 21)]
    assert [PLANNED.index_of_prompt(prompt) for prompt in (0, 11, 12, 15, 16, 20)] == [0, 0, 1, 1, 2, 2]
    with pytest.raises(ValueError, match="prompt 21 is outside the run's 21 prompts"):
        PLANNED.index_of_prompt(21)


def test_a_stage_that_ends_early_lets_the_others_move_up() -> None:
    """The first stage ends with step 2: the run has five steps, and the second stage's prompts begin at 8."""
    shortened: Timetable = PLANNED.ended_with(2)
    assert (shortened.total_steps, shortened.steps) == (5, (2, 2, 1))
    assert shortened.prompts_of(1) == range(8, 12)
    assert [(shortened.first_step(index), shortened.last_step(index)) for index in range(3)] == [(1, 2), (3, 4), (5, 5)]
    assert shortened.ended_with(3).steps == (2, 1, 1)
