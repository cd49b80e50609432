"""GSPO: Group Sequence Policy Optimization (Zheng et al. 2025, arXiv 2507.18071), equations 5 and 7, section 5.1.

One ratio an answer, clipped within 3e-4 below and 4e-4 above 1; a rollout batch in four minibatches.
"""

from __future__ import annotations

from deepcoder_api.presets.grpo import GRPO

GSPO = GRPO.model_copy(
    update={
        "preset": "gspo",
        "optimizer_steps_per_step": 4,
        "importance_sampling_level": "sequence",
        "clip_low": 3e-4,
        "clip_high": 4e-4,
    }
)
