"""`resolve` turns what a user wrote into what every process reads: no value absent, checked across fields. No I/O."""

from __future__ import annotations

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.algorithm_resolution import resolve_algorithm
from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.problems import Strict
from deepcoder_api.resolved_stage import ResolvedStage, resolve_stages
from deepcoder_api.specification import SpecificationError
from deepcoder_api.training_run import TrainerSpec, TrainingRunSpec


class ResolvedRun(Strict):
    """A TrainingRun as its processes see it; frozen at start, the same for every attempt."""

    namespace: str
    name: str
    uid: str
    spec: TrainingRunSpec
    algorithm: Algorithm
    max_model_length: int

    @property
    def stages(self) -> tuple[ResolvedStage, ...]:
        """The stages with every value filled in."""
        return resolve_stages(self.spec, self.algorithm)

    @property
    def total_steps(self) -> int:
        """Steps of all stages as planned: the most that the run has."""
        return sum(stage.steps for stage in self.spec.stages)


class ResolvedEvaluation(Strict):
    """An Evaluation as its processes see it, with the model it came to."""

    namespace: str
    name: str
    uid: str
    spec: EvaluationSpec
    model_uri: str
    model_name: str


def resolve_run(namespace: str, name: str, uid: str, spec: TrainingRunSpec) -> ResolvedRun:
    """Fill in everything a run leaves to its preset. Raises SpecificationError when values do not fit each other."""
    longest_response = max(stage.max_response_tokens for stage in spec.stages)
    algorithm = resolve_algorithm(spec.algorithm, longest_response)
    needed = spec.data.max_prompt_tokens + longest_response
    length = spec.rollout.max_model_length or needed
    if length < needed:
        raise SpecificationError(
            "spec.rollout.maxModelLength",
            f"{length} is less than data.maxPromptTokens ({spec.data.max_prompt_tokens}) plus the longest stage's "
            f"maxResponseTokens ({longest_response}): at least {needed} is needed",
        )
    _check_trainer(spec.trainer)
    resolve_stages(spec, algorithm)
    _check_keep_best(spec)
    return ResolvedRun(namespace=namespace, name=name, uid=uid, spec=spec, algorithm=algorithm, max_model_length=length)


def _check_keep_best(spec: TrainingRunSpec) -> None:
    checkpoint, validation = spec.checkpoint, spec.validation
    if checkpoint.keep_best == 0:
        return
    if validation is None:
        raise SpecificationError(
            "spec.checkpoint.keepBest", f"{checkpoint.keep_best} needs validation, whose score says which are the best"
        )
    if validation.every_steps % checkpoint.every_steps:
        raise SpecificationError(
            "spec.checkpoint.keepBest",
            f"{checkpoint.keep_best} needs a checkpoint of every step that is measured: validation.everySteps "
            f"({validation.every_steps}) must be a multiple of checkpoint.everySteps ({checkpoint.every_steps})",
        )


def _check_trainer(trainer: TrainerSpec) -> None:
    """Raise SpecificationError when something is asked of the ranks that they have no room or no number for."""
    if trainer.deepspeed.offload != "none" and trainer.gpus_per_replica == 0:
        raise SpecificationError(
            "spec.trainer.deepspeed.offload",
            f"{trainer.deepspeed.offload!r} needs trainer.gpusPerReplica above 0: on CPU all lies in the node's "
            "memory, and only 'none' is allowed",
        )
    shared_by = trainer.sequence_parallel
    if trainer.ranks % shared_by:
        allowed = ", ".join(str(ranks) for ranks in range(1, trainer.ranks + 1) if trainer.ranks % ranks == 0)
        raise SpecificationError(
            "spec.trainer.sequenceParallel",
            f"{shared_by} does not divide the {trainer.ranks} ranks (trainer.replicas times GPUs); it may be {allowed}",
        )
