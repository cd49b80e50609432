"""Where the run is, as /v1/progress tells it, and the seconds by part of a step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from deepcoder_api.artifacts import Head
from deepcoder_api.lifecycle import Progress, ScoredCheckpoint, ScoredStep, StageAdvance, TerminationMessage
from deepcoder_trainer.orchestrator.checkpoints import Committed
from deepcoder_trainer.orchestrator.idleness import IdleClock
from deepcoder_trainer.orchestrator.metrics import BatchFigures

Activity = Literal["starting", "sampling", "training", "checkpointing", "done"]


class StepClock:
    """Seconds by part of one step. What is idle in a part is counted to it by `idleness`."""

    def __init__(self, idleness: IdleClock | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._idleness = idleness or IdleClock()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time inside to `name`."""
        started = time.monotonic()
        try:
            with self._idleness.waiting(name):
                yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started


@dataclass
class RunProgress:
    """What the loop says of itself; `view` is what others see."""

    attempt: int
    total_steps: int
    activity: Activity = "starting"
    step: int = 0
    stage: str | None = None
    figures: BatchFigures | None = None
    step_seconds: float | None = None
    checkpoint_uri: str | None = None
    checkpoint_step: int | None = None
    checkpoint_time: str | None = None
    warnings: tuple[str, ...] = ()
    grader: str | None = None
    """What is wrong with the grading servers: it does not wait for a step's end, as `warnings` do."""
    advances: tuple[StageAdvance, ...] = ()
    validation: ScoredStep | None = None
    best_checkpoint: ScoredCheckpoint | None = None

    def step_done(self, step: int, figures: BatchFigures, seconds: dict[str, float]) -> None:
        """A step is over."""
        self.step, self.figures, self.step_seconds = step, figures, sum(seconds.values())

    def begin(self, stage: str) -> None:
        """A step of `stage` is under way."""
        self.stage = stage

    def resumed(self, head: Head, step: int) -> None:
        """The run goes on from a checkpoint of an earlier attempt."""
        self.step, self.checkpoint_uri, self.checkpoint_step = step, head.checkpoint, head.step
        self.checkpoint_time = head.time

    def committed(self, checkpoint: Committed) -> None:
        """A checkpoint is in the bucket and the head names it."""
        self.checkpoint_uri, self.checkpoint_step = checkpoint.uri, checkpoint.step
        self.checkpoint_time = checkpoint.time

    def completion(self, uri: str) -> TerminationMessage:
        """The message of a run that made the model at `uri`: who asks now and then has not seen the last of it."""
        figures = self.figures
        return TerminationMessage(
            outcome="done",
            reason="Completed",
            uri=uri,
            step=self.total_steps,
            reward=figures.reward if figures else None,
            truncated_fraction=figures.truncated if figures else None,
            validation=self.validation,
            best_checkpoint=self.best_checkpoint,
            advance=self.advances[-1] if self.advances else None,
        )

    def view(self, rollouts_ready: int) -> Progress:
        """The progress now. Sampling without a server that may be asked shows as waiting for one."""
        state: Literal["starting", "waiting_for_rollout", "training", "checkpointing", "done"]
        if self.activity == "sampling":
            state = "training" if rollouts_ready else "waiting_for_rollout"
        else:
            state = self.activity
        figures, seconds = self.figures, self.step_seconds
        return Progress(
            attempt=self.attempt,
            state=state,
            stage=self.stage,
            step=self.step,
            total_steps=self.total_steps,
            advances=self.advances,
            policy_version=self.step,
            reward=figures.reward if figures else None,
            truncated_fraction=figures.truncated if figures else None,
            tokens_per_second=figures.answer_tokens / seconds if figures and seconds else None,
            seconds_per_step=seconds,
            checkpoint_uri=self.checkpoint_uri,
            checkpoint_step=self.checkpoint_step,
            checkpoint_time=self.checkpoint_time,
            validation=self.validation,
            best_checkpoint=self.best_checkpoint,
            rollouts_ready=rollouts_ready,
            warnings=(*self.warnings, *([self.grader] if self.grader else [])),
            message="waiting for a rollout server with the current weights" if state == "waiting_for_rollout" else "",
        )
