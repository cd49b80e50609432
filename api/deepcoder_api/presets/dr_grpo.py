"""Dr. GRPO: "Understanding R1-Zero-Like Training" (Liu et al. 2025, arXiv 2503.20783), section 3.2.

Neither the group's std nor an answer's length divides; what does is a constant. Its scripts (examples/ of
sail-sg/understand-r1-zero) cut 128 problems x 8 answers into updates of 128 answers, at temperature 1.
"""

from __future__ import annotations

from deepcoder_api.presets.grpo import GRPO

DR_GRPO = GRPO.model_copy(
    update={
        "preset": "dr-grpo",
        "optimizer_steps_per_step": 8,
        "advantage": "centered",
        "loss_aggregation": "sequence-mean-token-sum-norm",
        "temperature": 1.0,
    }
)
