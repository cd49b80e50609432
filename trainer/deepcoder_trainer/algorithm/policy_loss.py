"""The clipped surrogate loss of PPO and GRPO, token by token."""

from __future__ import annotations

import torch
from torch import Tensor


def clipped_policy_loss(
    current: Tensor, proximal: Tensor, advantages: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """-min(r A, clip(r, 1 - clip_low, 1 + clip_high) A) of each token, with r = current / proximal.

    current, proximal: log-probabilities [tokens], current with gradient; advantages: [tokens], one of its sample.
    Returns [tokens]. Source: PPO (Schulman et al. 2017) equation 7; the two bounds apart are DAPO's clip-higher.
    """
    ratio = (current - proximal).exp()
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)
    return -torch.minimum(ratio * advantages, bounded * advantages)
