"""What rLLM at 18e446c5 ran for DeepCoder, where that differs from the report.

verl/trainer/ppo/core_algos.py, compute_grpo_outcome_advantage: of truncated answers only those scored 0 lose their
advantage, and they stay in the denominator. compute_policy_loss: the clipped maximum is computed, and the unclipped
loss averaged (6a914563 repaired it). verl/workers/actor/dp_actor.py: the token mean of each microbatch, added up; the
trainer's own log-probabilities as old ones, and no correction for the sampler.
"""

from __future__ import annotations

from deepcoder_api.presets.grpo_plus import GRPO_PLUS

RLLM_RELEASE = GRPO_PLUS.model_copy(
    update={
        "preset": "rllm-release",
        "policy_loss": "unclipped",
        "overlong_filter_kind": "zero-advantage",
        "loss_aggregation": "microbatch-token-mean",
        "importance_correction": "none",
    }
)
