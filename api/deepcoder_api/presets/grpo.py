"""GRPO without its KL term: DeepSeekMath (Shao et al. 2024), equation 3. The other presets say how they differ.

Batch sizes and temperature are DeepCoder's, so that presets can be compared on one recipe.
"""

from __future__ import annotations

from deepcoder_api.algorithm import Algorithm

GRPO = Algorithm(
    preset="grpo",
    prompts_per_step=128,
    samples_per_prompt=8,
    optimizer_steps_per_step=1,
    advantage="normalized",
    policy_loss="clipped",
    importance_sampling_level="token",
    clip_low=0.2,
    clip_high=0.2,
    entropy_coefficient=0.0,
    overlong_filter=False,
    overlong_filter_kind="mask",
    overlong_buffer_fraction=0.2,
    overlong_factor=0.0,
    loss_aggregation="sequence-mean",
    loss_normalization_tokens=None,
    importance_correction="truncated",
    importance_cap=2.0,
    max_draws_per_prompt=1,
    max_staleness=0,
    temperature=0.6,
    seed=0,
)
