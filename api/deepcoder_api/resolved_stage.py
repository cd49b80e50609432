"""A stage with every value filled in, from its own fields, the algorithm and the trainer. No I/O."""

from __future__ import annotations

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.problems import Strict
from deepcoder_api.specification import SpecificationError
from deepcoder_api.stage_spec import AdvanceWhen, Stage
from deepcoder_api.training_run import TrainingRunSpec


class ResolvedStage(Strict):
    """The values of `Stage`, whose descriptions hold here too; `algorithm` has the batch and sampling of the stage."""

    name: str
    max_response_tokens: int
    steps: int
    advance_when: AdvanceWhen | None
    reset_optimizer: bool
    tokens_per_microbatch: int
    algorithm: Algorithm


def resolve_stages(spec: TrainingRunSpec, algorithm: Algorithm) -> tuple[ResolvedStage, ...]:
    """All stages in order. Raises SpecificationError when values do not fit each other, or would have no effect."""
    stages = tuple(_resolved(stage, spec, algorithm) for stage in spec.stages)
    for index, stage in enumerate(stages):
        _check(index, stage, spec)
    if spec.stages[-1].advance_when is not None:
        raise SpecificationError(
            f"spec.stages[{len(stages) - 1}].advanceWhen", "the last stage has none to advance to: leave it out"
        )
    if spec.stages[0].reset_optimizer and spec.resume_from is None:
        raise SpecificationError(
            "spec.stages[0].resetOptimizer",
            "true has no effect: without resumeFrom the first stage begins with an empty optimizer",
        )
    if spec.optimizer.schedule == "linear" and any(stage.advance_when for stage in stages):
        raise SpecificationError(
            "spec.optimizer.schedule", "linear needs to know the last step, which advanceWhen leaves open: use constant"
        )
    return stages


def _resolved(stage: Stage, spec: TrainingRunSpec, algorithm: Algorithm) -> ResolvedStage:
    own = {
        "prompts_per_step": stage.prompts_per_step,
        "samples_per_prompt": stage.samples_per_prompt,
        "temperature": stage.sampling.temperature,
    }
    return ResolvedStage(
        name=stage.name,
        max_response_tokens=stage.max_response_tokens,
        steps=stage.steps,
        advance_when=stage.advance_when,
        reset_optimizer=stage.reset_optimizer,
        tokens_per_microbatch=stage.tokens_per_microbatch or spec.trainer.tokens_per_microbatch,
        algorithm=algorithm.model_copy(update={name: value for name, value in own.items() if value is not None}),
    )


def _check(index: int, stage: ResolvedStage, spec: TrainingRunSpec) -> None:
    given, path, algorithm = spec.stages[index], f"spec.stages[{index}]", stage.algorithm
    needed = spec.data.max_prompt_tokens + stage.max_response_tokens
    shared_by = spec.trainer.sequence_parallel
    if stage.tokens_per_microbatch * shared_by < needed:
        own = given.tokens_per_microbatch is not None
        room = f"{stage.tokens_per_microbatch}" + (f" times sequenceParallel ({shared_by})" if shared_by > 1 else "")
        raise SpecificationError(
            f"{path}.tokensPerMicrobatch" if own else "spec.trainer.tokensPerMicrobatch",
            f"{room} cannot hold one sample of up to {needed} tokens "
            f"(data.maxPromptTokens plus the maxResponseTokens of stage {stage.name})",
        )
    prompts_at = f"{path}.promptsPerStep" if given.prompts_per_step is not None else "spec.algorithm.promptsPerStep"
    if algorithm.prompts_per_step % algorithm.optimizer_steps_per_step:
        raise SpecificationError(
            prompts_at,
            f"{algorithm.prompts_per_step} cannot be cut into algorithm.optimizerStepsPerStep "
            f"({algorithm.optimizer_steps_per_step}) equal parts",
        )
    samples = algorithm.prompts_per_step * algorithm.samples_per_prompt
    if samples < spec.trainer.ranks // shared_by:
        raise SpecificationError(prompts_at, f"{samples} samples a step cannot be shared by {spec.trainer.ranks} ranks")
    if (rule := stage.advance_when) and rule.window_steps + algorithm.max_staleness >= stage.steps:
        raise SpecificationError(
            f"{path}.advanceWhen",
            f"has no effect: windowSteps ({rule.window_steps}) and algorithm.maxStaleness ({algorithm.max_staleness}) "
            f"together must be less than the stage's steps ({stage.steps})",
        )
