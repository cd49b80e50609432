"""The algorithm presets, and a run with every value filled in. Pure functions over the specification."""

from __future__ import annotations

from typing import Literal

from deepcoder_api.problems import Strict
from deepcoder_api.training_run import AlgorithmSpec

LossAggregation = Literal["token-mean", "sequence-mean"]


class Algorithm(Strict):
    """An algorithm with every value set.

    Source of grpo-plus: the DeepCoder-14B-Preview report (batches of 128 problems in minibatches of 64).
    """

    preset: str
    prompts_per_step: int
    samples_per_prompt: int
    optimizer_steps_per_step: int
    clip_low: float
    clip_high: float
    overlong_filter: bool
    loss_aggregation: LossAggregation
    importance_correction: Literal["truncated", "none"]
    importance_cap: float
    max_staleness: int
    temperature: float
    seed: int


GRPO_PLUS = Algorithm(
    preset="grpo-plus",
    prompts_per_step=128,
    samples_per_prompt=8,
    optimizer_steps_per_step=2,
    clip_low=0.2,
    clip_high=0.28,
    overlong_filter=True,
    loss_aggregation="token-mean",
    importance_correction="truncated",
    importance_cap=2.0,
    max_staleness=0,
    temperature=0.6,
    seed=0,
)
GRPO = GRPO_PLUS.model_copy(
    update={
        "preset": "grpo",
        "optimizer_steps_per_step": 1,
        "clip_high": 0.2,
        "overlong_filter": False,
        "loss_aggregation": "sequence-mean",
    }
)
PRESETS = {"grpo-plus": GRPO_PLUS, "grpo": GRPO}


def resolve_algorithm(spec: AlgorithmSpec) -> Algorithm:
    """The preset of `spec` with what it overrides."""
    overrides = {
        "prompts_per_step": spec.prompts_per_step,
        "samples_per_prompt": spec.samples_per_prompt,
        "optimizer_steps_per_step": spec.optimizer_steps_per_step,
        "clip_low": spec.clip.low,
        "clip_high": spec.clip.high,
        "overlong_filter": spec.overlong_filter,
        "loss_aggregation": spec.loss_aggregation,
        "importance_correction": spec.importance_correction.kind,
        "importance_cap": spec.importance_correction.cap,
        "max_staleness": spec.max_staleness,
        "temperature": spec.sampling.temperature,
        "seed": spec.sampling.seed,
    }
    given = {name: value for name, value in overrides.items() if value is not None}
    return PRESETS[spec.preset].model_copy(update=given)
