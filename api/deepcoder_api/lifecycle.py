"""How a process of ours ends, and how a run under way is seen: termination messages, exit codes, progress. No I/O."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from deepcoder_api.evaluation_status import BenchmarkScore
from deepcoder_api.problems import Strict

EXIT_DONE = 0
EXIT_PERMANENT = 64
EXIT_RETRYABLE = 75
TERMINATION_LOG = "/dev/termination-log"
FINISHED = "Finished"
"""The reason of a preflight that found its evaluation finished: it says what an evaluator would say at its end."""

Outcome = Literal["done", "permanent", "retryable"]
EXIT_CODES: dict[Outcome, int] = {"done": EXIT_DONE, "permanent": EXIT_PERMANENT, "retryable": EXIT_RETRYABLE}


class ScoredStep(Strict):
    """A validation: the step it was measured after, and the share of answers that were accepted."""

    step: int
    score: float


class ScoredCheckpoint(ScoredStep):
    """A checkpoint and its validation score."""

    uri: str


class StageAdvance(Strict):
    """A stage that ended before it had all its steps: its name, its last step, and what its advanceWhen found."""

    stage: str
    step: int
    reason: str


class TerminationMessage(Strict):
    """What a container says at its end. `cause` is for people; `reason` one word for machines; `uri` what it made;
    `scores` what an evaluator measured. The rest is a trainer's: what its progress came to after it was last asked,
    of the stages that ended early the newest. Kubernetes keeps 4 KiB of it."""

    outcome: Outcome
    reason: str = Field(default="", max_length=128)
    cause: str = Field(default="", max_length=2048)
    rank: int | None = None
    step: int | None = None
    uri: str | None = None
    scores: tuple[BenchmarkScore, ...] | None = None
    best_checkpoint: ScoredCheckpoint | None = None
    validation: ScoredStep | None = None
    reward: float | None = None
    truncated_fraction: float | None = None
    advance: StageAdvance | None = None


def parse_termination_message(text: str) -> TerminationMessage | None:
    """The message a container of ours left, or None when the text is something else (log lines, nothing)."""
    try:
        return TerminationMessage.model_validate_json(text)
    except ValidationError:
        return None


class Progress(Strict):
    """GET /v1/progress of the orchestrator. `step` counts finished steps of the whole run."""

    attempt: int
    state: Literal["starting", "waiting_for_rollout", "training", "checkpointing", "done"]
    stage: str | None = None
    step: int
    total_steps: int
    advances: tuple[StageAdvance, ...] = Field(default=(), description="Stages that ended early, in their order.")
    policy_version: int = 0
    reward: float | None = None
    truncated_fraction: float | None = None
    tokens_per_second: float | None = None
    seconds_per_step: float | None = None
    checkpoint_uri: str | None = None
    checkpoint_step: int | None = None
    checkpoint_time: str | None = None
    validation: ScoredStep | None = Field(default=None, description="The newest validation.")
    best_checkpoint: ScoredCheckpoint | None = None
    rollouts_ready: int = 0
    warnings: tuple[str, ...] = Field(default=(), description="What the guards find, each `Name: text`.")
    message: str = ""


class EvaluationProgress(Strict):
    """GET /v1/progress of the evaluator."""

    answered: int
    total: int
    passed: int = 0
    message: str = ""
