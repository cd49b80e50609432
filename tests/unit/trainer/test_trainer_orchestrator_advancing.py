"""When a stage ends before its last step, and that a resume decides the same."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.stage_spec import AdvanceWhen
from deepcoder_trainer.orchestrator.advancing import Course, StepShares, advance_reason
from tests.orchestrator_builders import stage


def rule(**values: Any) -> AdvanceWhen:
    return AdvanceWhen.model_validate({"windowSteps": 2, **values})


def shares(*values: tuple[float, float]) -> list[StepShares]:
    """Steps given as (reward, truncated)."""
    return [StepShares(reward=reward, truncated=truncated) for reward, truncated in values]


def course(**advance_when: Any) -> Course:
    first = stage(6, 2, name="short", advance_when=rule(**advance_when))
    return Course.taken_up([first, stage(2, 2, name="long")], (), ())


@pytest.mark.parametrize(
    ("given", "window", "reason"),
    [
        ({"truncatedFractionAbove": 0.25}, [(0, 0.2), (0, 0.4)], "truncated fraction 0.3 over the last 2 steps"),
        ({"truncatedFractionAbove": 0.25}, [(1, 0.1), (1, 0.4)], None),
        ({"truncatedFractionAbove": 0.25}, [(1, 1)], None),
        ({"rewardAbove": 0.5}, [(0.6, 0), (0.5, 0)], "reward 0.55 over the last 2 steps, above 0.5"),
        ({"rewardAbove": 0.5, "truncatedFractionAbove": 0.9}, [(1, 0), (1, 0)], "reward 1 over"),
        ({"rewardAbove": 0.5, "truncatedFractionAbove": 0.9}, [(0, 1), (0, 1)], "truncated fraction 1 over"),
        ({"rewardAbove": 0.5, "truncatedFractionAbove": 0.9}, [(0.5, 0.9), (0.5, 0.9)], None),
    ],
)
def test_either_mean_over_a_full_window_ends_a_stage(
    given: dict[str, float], window: list[tuple[float, float]], reason: str | None
) -> None:
    """Above, not at, the bound; a window that is not full says nothing."""
    found = advance_reason(rule(**given), shares(*window))
    assert found is None if reason is None else found is not None and found.startswith(reason)


def after(one: Course, first: int, steps: list[StepShares], staleness: int = 0) -> Course:
    for step, each in enumerate(steps, first):
        one = one.after(step, each, staleness)
    return one


def test_a_synchronous_stage_ends_with_the_step_that_says_so() -> None:
    """Steps 2 and 3 are above: the next stage begins with step 4, and the run is three steps shorter."""
    ended = after(course(truncatedFractionAbove=0.3), 1, shares((0, 0), (0, 0.4), (0, 0.4)))
    assert ended.timetable.steps == (3, 2)
    ((name, step),) = [(one.stage, one.step) for one in ended.advances]
    assert (name, step) == ("short", 3)
    assert ended.window == ()


def test_what_has_begun_by_then_is_trained_under_the_old_limit() -> None:
    """Staleness 2: the draws of steps 4 and 5 are under way when step 3 says so; 6 is the next stage's."""
    ended = after(course(truncatedFractionAbove=0.3), 1, shares((0, 0), (0, 0.4), (0, 0.4)), staleness=2)
    assert ended.timetable.steps == (5, 2)
    # The steps that are left decide nothing more, whatever they come to.
    assert after(ended, 4, shares((0, 0.9)), staleness=2).timetable.steps == (5, 2)


def test_a_stage_that_would_end_anyway_has_not_ended_early() -> None:
    """Said after step 5 of 6 with a staleness of one, there is nothing to cut off."""
    ended = after(course(truncatedFractionAbove=0.3), 1, shares(*[(0, 0)] * 4, (0, 0.9), (0, 0.9)), staleness=1)
    assert (ended.advances, ended.timetable.steps) == ((), (6, 2))


@pytest.mark.parametrize("at", range(7))
def test_a_course_taken_up_from_its_checkpoint_goes_on_as_it_was(at: int) -> None:
    """What a checkpoint holds after any step is all that the decision needs."""
    steps = shares((0, 0), (0, 0.1), (0, 0.4), (0, 0.4), (0, 0.9), (0, 0.9), (0, 0))
    whole = after(course(truncatedFractionAbove=0.3), 1, steps[:6])
    before = after(course(truncatedFractionAbove=0.3), 1, steps[:at])
    again = Course.taken_up(before.timetable.stages, before.advances, before.window)
    assert after(again, at + 1, steps[at:6]) == whole
    assert [one.step for one in whole.advances] == [4]
