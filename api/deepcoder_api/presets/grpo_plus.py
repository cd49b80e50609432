"""GRPO+: the DeepCoder-14B-Preview report. No KL, no entropy term, clip-high, overlong filter, token mean.

128 problems in minibatches of 64 are two optimizer steps.
"""

from __future__ import annotations

from deepcoder_api.presets.grpo import GRPO

GRPO_PLUS = GRPO.model_copy(
    update={
        "preset": "grpo-plus",
        "optimizer_steps_per_step": 2,
        "clip_high": 0.28,
        "overlong_filter": True,
        "loss_aggregation": "token-mean",
    }
)
