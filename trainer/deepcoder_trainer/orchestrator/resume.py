"""Where an attempt takes the run up: pure functions of the head and the journal's listing. No I/O."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import Field

from deepcoder_api.artifacts import Head
from deepcoder_api.lifecycle import StageAdvance
from deepcoder_api.problems import Strict
from deepcoder_trainer.orchestrator.advancing import StepShares
from deepcoder_trainer.orchestrator.cursor import CursorPosition, Draw
from deepcoder_trainer.orchestrator.failures import RunChanged
from deepcoder_trainer.samples import GradedBatch


class RunState(Strict):
    """state.json of a checkpoint: where the run was when it was written, beside model and optimizer."""

    step: int = Field(ge=0)
    stage: str
    policy_version: int = Field(ge=0)
    cursor: CursorPosition = Field(description="Every draw before it is done with: trained on, or replaced.")
    ahead: tuple[int, ...] = Field(
        default=(), description="Numbers of the draws beyond the cursor that are done with; the others are in flight."
    )
    replaced: int = Field(default=0, ge=0, description="Draws done with that were replaced and not trained on.")
    advances: tuple[StageAdvance, ...] = Field(default=(), description="Stages that ended early, in their order.")
    window: tuple[StepShares, ...] = Field(
        default=(), description="The stage's newest steps, which decide whether it ends."
    )
    dataset: str = Field(description="URI of the dataset that the cursor counts in.")
    prompts: int = Field(ge=0, description="Prompts trained on so far.")
    answer_tokens: int = Field(ge=0, description="Answer tokens trained on so far.")
    attempt: int = Field(ge=1)


@dataclass(frozen=True)
class ResumePlan:
    """What to load and which durable steps to train on again without sampling."""

    checkpoint: str | None
    step: int
    replay: tuple[int, ...]


def plan_resume(head: Head, journal_steps: Collection[int], total_steps: int) -> ResumePlan:
    """From the last committed checkpoint, the steps of the journal that follow it without a gap.

    total_steps: the most that the run has; a stage that ended early has left no batch after its last step.
    """
    durable = set(journal_steps)
    replay: list[int] = []
    while (following := head.step + len(replay) + 1) in durable and following <= total_steps:
        replay.append(following)
    return ResumePlan(head.checkpoint, head.step, tuple(replay))


def check_state(state: RunState, plan: ResumePlan, dataset: str) -> None:
    """Raises RunChanged when the checkpoint's state is not of the step the head names, or of another dataset."""
    if state.step != plan.step:
        raise RunChanged(f"{plan.checkpoint} holds step {state.step}; the head says {plan.step}")
    if state.dataset != dataset:
        raise RunChanged(f"{plan.checkpoint} was trained on {state.dataset}; this attempt was given {dataset}")


def drawn(batch: GradedBatch) -> list[Draw]:
    """The draws of a batch, in the order of its groups."""
    recorded = {sample.group: Draw(sample.problem_id, sample.epoch) for sample in batch.samples}
    return [recorded[group] for group in sorted(recorded)]


def replaced(batch: GradedBatch) -> list[Draw]:
    """The draws that were replaced before the batch was full, in the order they are kept."""
    return [Draw(one.problem_id, one.epoch) for one in batch.replaced]
