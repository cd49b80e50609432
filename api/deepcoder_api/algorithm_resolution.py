"""From what a user wrote to an algorithm: the preset, what overrides it, and what cannot be. No I/O."""

from __future__ import annotations

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.algorithm_spec import AlgorithmSpec
from deepcoder_api.presets import PRESETS
from deepcoder_api.specification import SpecificationError


def resolve_algorithm(spec: AlgorithmSpec, longest_response_tokens: int) -> Algorithm:
    """The preset of `spec` with what it overrides. longest_response_tokens: the largest limit of any stage.

    Raises SpecificationError when values do not fit each other, or would have no effect.
    """
    overrides = {
        "prompts_per_step": spec.prompts_per_step,
        "samples_per_prompt": spec.samples_per_prompt,
        "optimizer_steps_per_step": spec.optimizer_steps_per_step,
        "advantage": spec.advantage,
        "policy_loss": spec.policy_loss,
        "importance_sampling_level": spec.importance_sampling_level,
        "clip_low": spec.clip.low,
        "clip_high": spec.clip.high,
        "entropy_coefficient": spec.entropy_coefficient,
        "overlong_filter": spec.overlong_filter,
        "overlong_filter_kind": spec.overlong_filter_kind,
        "overlong_buffer_fraction": spec.soft_overlong_punishment.buffer_fraction,
        "overlong_factor": spec.soft_overlong_punishment.factor,
        "loss_aggregation": spec.loss_aggregation,
        "loss_normalization_tokens": spec.loss_normalization_tokens or longest_response_tokens,
        "importance_correction": spec.importance_correction.kind,
        "importance_cap": spec.importance_correction.cap,
        "max_draws_per_prompt": spec.dynamic_sampling.max_draws_per_prompt,
        "max_staleness": spec.max_staleness,
        "temperature": spec.sampling.temperature,
        "seed": spec.sampling.seed,
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    algorithm = PRESETS[spec.preset].model_copy(update=given)
    _check(spec, algorithm)
    return algorithm


def _check(spec: AlgorithmSpec, algorithm: Algorithm) -> None:
    if algorithm.prompts_per_step % algorithm.optimizer_steps_per_step:
        raise SpecificationError(
            "spec.algorithm.optimizerStepsPerStep",
            f"{algorithm.optimizer_steps_per_step} does not divide promptsPerStep ({algorithm.prompts_per_step})",
        )
    if algorithm.policy_loss == "cispo" and algorithm.importance_sampling_level == "sequence":
        raise SpecificationError(
            "spec.algorithm.importanceSamplingLevel",
            "sequence does not go with policyLoss cispo, which weighs tokens: use token, or policyLoss clipped",
        )
    _check_effect(spec, algorithm)


def _check_effect(spec: AlgorithmSpec, algorithm: Algorithm) -> None:
    punishment = spec.soft_overlong_punishment
    without_effect = (
        (
            spec.clip.low if spec.clip.low is not None else spec.clip.high,
            algorithm.policy_loss != "unclipped",
            "clip",
            "policyLoss is unclipped; leave it out, or use policyLoss clipped or cispo",
        ),
        (
            spec.overlong_filter_kind,
            algorithm.overlong_filter,
            "overlongFilterKind",
            "overlongFilter is false; leave it out, or set overlongFilter: true",
        ),
        (
            punishment.buffer_fraction,
            algorithm.overlong_factor > 0,
            "softOverlongPunishment.bufferFraction",
            "softOverlongPunishment.factor is 0; leave it out, or give a factor above 0",
        ),
        (
            spec.loss_normalization_tokens,
            algorithm.loss_aggregation == "sequence-mean-token-sum-norm",
            "lossNormalizationTokens",
            f"lossAggregation is {algorithm.loss_aggregation}; leave it out, or use sequence-mean-token-sum-norm",
        ),
        (
            spec.importance_correction.cap,
            algorithm.importance_correction != "none",
            "importanceCorrection.cap",
            "importanceCorrection.kind is none; leave it out, or use kind truncated",
        ),
    )
    for value, has_effect, field, reason in without_effect:
        if value is not None and not has_effect:
            raise SpecificationError(f"spec.algorithm.{field}", f"{value} has no effect, because {reason}")
