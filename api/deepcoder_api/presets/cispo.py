"""CISPO: MiniMax-M1 (2025, arXiv 2506.13585), equations 4 and 5: the ratio's weight is clipped, never a token's update.

No lower bound, as in the paper, which gives no number for the upper one: weights up to 5 are what ScaleRL (Khatri et
al. 2025, arXiv 2510.13786) and TRL's documentation advise. The paper made 16 updates of a rollout batch.
"""

from __future__ import annotations

from deepcoder_api.presets.grpo import GRPO

CISPO = GRPO.model_copy(
    update={
        "preset": "cispo",
        "optimizer_steps_per_step": 16,
        "policy_loss": "cispo",
        "clip_low": 1.0,
        "clip_high": 4.0,
        "loss_aggregation": "token-mean",
    }
)
