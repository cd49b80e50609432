"""DAPO (Yu et al. 2025, arXiv 2503.14476), sections 3 and 4.1: clip-higher, token mean, soft overlong
punishment, dynamic sampling.

The paper's rewards are -1 and 1 and its punishment at the limit is 1, half of what divides right from wrong; with our
0 and 1 that is a factor of 0.5. Its buffer is 4,096 of 20,480 tokens: a fifth. Like the released recipe (run_dapo_*.sh
of verl), truncated answers keep their loss: they are what the punishment is for.

The paper draws until a batch is full of groups with signal. The released recipe draws at most 10 batches of 3 problems
for each that it trains on, and then ends the run; here 10 problems for each are the bound, and then the step trains on
what there is.
"""

from __future__ import annotations

from deepcoder_api.presets.grpo import GRPO

DAPO = GRPO.model_copy(
    update={
        "preset": "dapo",
        "prompts_per_step": 512,
        "samples_per_prompt": 16,
        "optimizer_steps_per_step": 16,
        "clip_high": 0.28,
        "overlong_buffer_fraction": 4096 / 20480,
        "overlong_factor": 0.5,
        "loss_aggregation": "token-mean",
        "max_draws_per_prompt": 10,
        "temperature": 1.0,
    }
)
