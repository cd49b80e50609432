"""`resolve` turns what a user wrote into what every process reads: no value absent, checked across fields. No I/O."""

from __future__ import annotations

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.algorithm_resolution import resolve_algorithm
from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.problems import Strict
from deepcoder_api.specification import SpecificationError
from deepcoder_api.training_run import Stage, TrainingRunSpec


class ResolvedRun(Strict):
    """A TrainingRun as its processes see it; frozen at start, the same for every attempt."""

    namespace: str
    name: str
    uid: str
    spec: TrainingRunSpec
    algorithm: Algorithm
    max_model_length: int

    @property
    def total_steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.spec.stages)

    def stage_of(self, step: int) -> Stage:
        """The stage that `step` belongs to; steps count from 1. Raises ValueError past the last step."""
        last = 0
        for stage in self.spec.stages:
            last += stage.steps
            if 1 <= step <= last:
                return stage
        raise ValueError(f"step {step} is outside the run's {self.total_steps} steps")


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
    samples = algorithm.prompts_per_step * algorithm.samples_per_prompt
    needed = spec.data.max_prompt_tokens + longest_response
    length = spec.rollout.max_model_length or needed
    if length < needed:
        raise SpecificationError(
            "spec.rollout.maxModelLength",
            f"{length} is less than data.maxPromptTokens ({spec.data.max_prompt_tokens}) plus the longest stage's "
            f"maxResponseTokens ({longest_response}): at least {needed} is needed",
        )
    if spec.trainer.tokens_per_microbatch < needed:
        raise SpecificationError(
            "spec.trainer.tokensPerMicrobatch",
            f"{spec.trainer.tokens_per_microbatch} cannot hold one sample of up to {needed} tokens "
            f"(data.maxPromptTokens plus the longest maxResponseTokens)",
        )
    ranks = spec.trainer.replicas * max(1, spec.trainer.gpus_per_replica)
    if samples < ranks:
        raise SpecificationError(
            "spec.algorithm.promptsPerStep", f"{samples} samples a step cannot be shared by {ranks} ranks"
        )
    return ResolvedRun(namespace=namespace, name=name, uid=uid, spec=spec, algorithm=algorithm, max_model_length=length)
