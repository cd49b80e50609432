"""The view of a status as the API server gives it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from deepcoder_cli.progress import RunView
from deepcoder_cli.watch import view_of_status

NOW = datetime(2026, 1, 2, 3, 0, 0, tzinfo=UTC)
STATUS: dict[str, Any] = {
    "phase": "Training",
    "stage": "long",
    "step": 12,
    "totalSteps": 40,
    "reward": 0.5,
    "truncatedFraction": 0.01,
    "tokensPerSecond": 900.0,
    "estimatedCompletion": "2026-01-02T03:02:00Z",
    "policyVersion": 12,
    "attempt": 1,
    "lastCheckpoint": {"uri": "s3://bucket/step-000010", "step": 10},
    "advances": [{"stage": "short", "step": 9, "reason": "reward 0.9 over the last 10 steps, above 0.8"}],
    "validation": {"step": 10, "score": 0.4},
    "bestCheckpoint": {"uri": "s3://bucket/step-000005", "step": 5, "score": 0.5},
    "message": "sampling",
}


def test_every_value_is_taken_over() -> None:
    """The time left is what lies between now and the estimated completion."""
    assert view_of_status("tiny", STATUS, NOW) == RunView(
        name="tiny",
        phase="Training",
        stage="long",
        step=12,
        total_steps=40,
        reward=0.5,
        truncated_fraction=0.01,
        tokens_per_second=900.0,
        seconds_left=120.0,
        policy_version=12,
        attempt=1,
        checkpoint="s3://bucket/step-000010",
        advances=("stage short ended with step 9: reward 0.9 over the last 10 steps, above 0.8",),
        validation=(10, 0.4),
        best_checkpoint=("s3://bucket/step-000005", 0.5),
        message="sampling",
    )


def test_no_status_yet() -> None:
    """A resource that the operator has not seen is pending."""
    assert view_of_status("tiny", {}, NOW) == RunView(name="tiny", phase="Pending")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_ended_run_has_no_time_left(phase: str) -> None:
    """An estimate that is still there says nothing any more."""
    assert view_of_status("tiny", {**STATUS, "phase": phase}, NOW).seconds_left is None
