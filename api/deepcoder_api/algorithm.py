"""An algorithm with every value filled in, as the trainer reads it. No I/O."""

from __future__ import annotations

from typing import Literal

from deepcoder_api.algorithm_spec import (
    Advantage,
    ImportanceSamplingLevel,
    LossAggregation,
    OverlongFilterKind,
    PolicyLoss,
)
from deepcoder_api.problems import Strict


class Algorithm(Strict):
    """The values of `AlgorithmSpec`, whose descriptions hold here too.

    loss_normalization_tokens is None in a preset only: it then is the longest stage's limit (`resolve_algorithm`).
    """

    preset: str
    prompts_per_step: int
    samples_per_prompt: int
    optimizer_steps_per_step: int
    advantage: Advantage
    policy_loss: PolicyLoss
    importance_sampling_level: ImportanceSamplingLevel
    clip_low: float
    clip_high: float
    entropy_coefficient: float
    overlong_filter: bool
    overlong_filter_kind: OverlongFilterKind
    overlong_buffer_fraction: float
    overlong_factor: float
    loss_aggregation: LossAggregation
    loss_normalization_tokens: int | None
    importance_correction: Literal["truncated", "none"]
    importance_cap: float
    max_draws_per_prompt: int
    max_staleness: int
    temperature: float
    seed: int

    @property
    def most_replaced_per_step(self) -> int:
        """How many groups without signal a step may replace by further draws; 0 without dynamic sampling."""
        return self.prompts_per_step * (self.max_draws_per_prompt - 1)

    @property
    def masks_truncated(self) -> bool:
        """Whether the tokens of truncated answers leave the loss and its denominator."""
        return self.overlong_filter and self.overlong_filter_kind == "mask"

    @property
    def zeroes_truncated(self) -> bool:
        """Whether truncated answers graded 0 lose their advantage."""
        return self.overlong_filter and self.overlong_filter_kind == "zero-advantage"
