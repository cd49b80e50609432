"""Where an attempt takes the run up."""

from __future__ import annotations

import pytest

from deepcoder_api.artifacts import Head
from deepcoder_trainer.orchestrator.cursor import CursorPosition, Draw
from deepcoder_trainer.orchestrator.failures import RunChanged
from deepcoder_trainer.orchestrator.resume import (
    ResumePlan,
    RunState,
    check_state,
    drawn,
    plan_resume,
    replaced,
)
from deepcoder_trainer.samples import GradedBatch, Replaced
from tests.orchestrator_builders import sample

AT_10 = Head(attempt=2, checkpoint="s3://b/step-000010", step=10)
STATE = RunState(
    step=10, stage="a", policy_version=10, cursor=CursorPosition(), dataset="s3://b/d", prompts=0, answer_tokens=0,
    attempt=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("head", "journal", "replay"),
    [
        (Head(attempt=1), [], ()),
        (Head(attempt=2), [1, 2], (1, 2)),
        (AT_10, [], ()),
        (AT_10, [8, 9, 10], ()),
        (AT_10, [9, 10, 11, 12], (11, 12)),
        (AT_10, [11, 13], (11,)),
        (AT_10, [12], ()),
        (AT_10, range(1, 30), (11, 12, 13, 14)),
    ],
)
def test_replayed_are_the_durable_steps_that_follow_the_checkpoint(
    head: Head, journal: list[int], replay: tuple[int, ...]
) -> None:
    """From the head's step on without a gap, and never past the run's last step (14 here)."""
    assert plan_resume(head, journal, total_steps=14) == ResumePlan(head.checkpoint, head.step, replay)


@pytest.mark.parametrize(
    ("change", "dataset", "said"),
    [({"step": 9}, "s3://b/d", "holds step 9; the head says 10"), ({}, "s3://b/other", "was given s3://b/other")],
)
def test_a_checkpoint_of_something_else_is_refused(change: dict[str, int], dataset: str, said: str) -> None:
    """A state of another step, or a position counted in another dataset, must not be gone on from."""
    with pytest.raises(RunChanged, match=said):
        check_state(STATE.model_copy(update=change), plan_resume(AT_10, [], 14), dataset)


def test_a_batch_is_of_the_draws_of_its_groups_in_their_order() -> None:
    """One draw a group, however its samples lie."""
    samples = [
        sample(problem_id="b", group=1, epoch=1),
        sample(problem_id="a", group=0),
        sample(problem_id="b", group=1, epoch=1),
    ]
    batch = GradedBatch(samples, [Replaced("c", 2, 1.0)])
    assert drawn(batch) == [Draw("a", 0), Draw("b", 1)]
    assert replaced(batch) == [Draw("c", 2)]


def test_a_state_of_a_synchronous_run_has_nothing_ahead() -> None:
    """What checkpoints held before sampling could be ahead is read as it is."""
    written = STATE.model_dump(mode="json")
    del written["ahead"], written["replaced"]
    read = RunState.model_validate(written)
    assert (read.ahead, read.replaced) == ((), 0)
