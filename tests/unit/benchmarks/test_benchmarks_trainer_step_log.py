"""What is read off the trainer's log, on lines as it writes them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from benchmarks.trainer import step_log
from benchmarks.trainer.step_log import Step


def line(step: int, second: float, **changes: Any) -> str:
    """A line of the log, `second` seconds after midnight."""
    event = {
        "event": "step done", "step": step, "timestamp": f"2025-01-01T00:00:{second:09.6f}Z", "sample": 3.0,
        "journal": 0.5, "train": 1.5, "publish": 0.25, "seconds": 1.25, "idle": 0.75, "answer_tokens": 600,
        "reward": 0.5, "truncated": 0.0, "group_signal_fraction": 0.75,
        "idle_by": {"grading": 0.5, "journal": 0.25}, "loss": 0.1, "level": "info",
    }  # fmt: skip
    return json.dumps({**event, **changes})


def step(
    number: int, done: float, *, idle: float = 0.0, optimising: float = 1.0, tokens: int = 100, **parts: float
) -> Step:
    return Step(number, done, parts, optimising, idle, tokens, 0.5, 0.0, 0.5)


LOG = "\n".join(
    ["Loading weights", '{"event": "serving"}', line(1, 10.0), line(2, 16.0), '{"event": "step d', line(3, 22.0)]
)


def test_steps_are_found_among_other_lines() -> None:
    """Also when a line is not written to its end."""
    steps = step_log.steps_of(LOG)
    assert [one.number for one in steps] == [1, 2, 3]
    assert steps[0].parts == {"sample": 3.0, "journal": 0.5, "train": 1.5, "publish": 0.25}
    assert (steps[0].optimising, steps[0].idle, steps[0].answer_tokens, steps[0].signal) == (1.25, 0.75, 600, 0.75)
    assert steps[0].before_training == 0.25
    assert steps[0].idle_by == {"grading": 0.5, "journal": 0.25}


def test_sampling_began_before_the_first_steps_parts() -> None:
    """5.25 s of parts end at second 10."""
    steps = step_log.steps_of(LOG)
    assert steps[0].done - step_log.begun(steps) == 5.25
    assert step_log.seconds_per_step(steps) == 6.0


def test_a_duration_needs_two_steps() -> None:
    """One alone has no beginning."""
    with pytest.raises(ValueError, match="1 steps"):
        step_log.seconds_per_step(step_log.steps_of(LOG)[:1])


def test_steady_steps_are_those_with_a_full_pipe() -> None:
    """The first is where the second begins; of an asynchronous run the next and the last ones were sampled before."""
    steps = [step(number, float(number)) for number in range(1, 9)]
    assert [one.number for one in step_log.steady(steps, 0)] == [2, 3, 4, 5, 6, 7, 8]
    assert [one.number for one in step_log.steady(steps, 2)] == [4, 5, 6]


def test_idle_share_is_of_the_time_between_the_first_and_the_last() -> None:
    """1.5 of 20 seconds; what was idle in the first step was before."""
    steps = [step(1, 10.0, idle=9.0), step(2, 20.0, idle=1.0), step(3, 30.0, idle=0.5)]
    assert step_log.idle_share(steps) == pytest.approx(0.075)


def test_idle_shares_are_by_what_was_waited_for() -> None:
    """Of twenty seconds: three and one; the first step is only where they begin."""
    steps = [
        dataclasses.replace(step(1, 10.0), idle_by={"publish": 9.0}),
        dataclasses.replace(step(2, 20.0), idle_by={"journal": 1.0, "grading": 1.0}),
        dataclasses.replace(step(3, 30.0), idle_by={"grading": 2.0}),
    ]
    assert list(step_log.idle_shares(steps).items()) == [("grading", 0.15), ("journal", 0.05)]


def test_shares_of_parts_and_what_no_part_counts() -> None:
    """Of ten seconds: six, two, and two that are nobody's."""
    found = step_log.shares([step(1, 0.0, sample=99.0), step(2, 10.0, sample=6.0, train=2.0)])
    assert (found["sample"], found["train"], found["publish"]) == (0.6, 0.2, 0.0)
    assert found["other"] == pytest.approx(0.2)


def test_waiting_for_checkpoints_is_the_upload_and_the_save_before_training() -> None:
    """A checkpoint after steps 2 and 4: steps 3 and 5 train 0.5 s later than the others, step 4 waits 1 s."""
    steps = [
        step(1, 10.0, train=1.25), step(2, 20.0, train=1.25), step(3, 30.0, train=1.75),
        step(4, 40.0, train=1.25, wait_for_checkpoint=1.0), step(5, 50.0, train=1.75),
    ]  # fmt: skip
    assert step_log.checkpoint_wait(steps, every=2) == pytest.approx((0.5 + (0.0 + 1.0) / 2) / 10)


def test_with_a_checkpoint_in_every_step_all_that_training_waits_counts() -> None:
    """There is no step to compare with."""
    steps = [step(1, 10.0, train=1.25), step(2, 20.0, train=1.25), step(3, 30.0, train=1.5, wait_for_checkpoint=0.25)]
    assert step_log.checkpoint_wait(steps, every=1) == pytest.approx((0.25 + 0.5 + 0.25) / 20)
