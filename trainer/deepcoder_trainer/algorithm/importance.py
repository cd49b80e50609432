"""Correction for the gap between the engine that sampled and the trainer that learns."""

from __future__ import annotations

from torch import Tensor


def truncated_importance(proximal: Tensor, sampler: Tensor, cap: float) -> Tensor:
    """min(proximal / sampler, cap) of each token, without gradient.

    proximal, sampler: log-probabilities, any equal shape: the trainer's before the step's first update, and the
    sampling engine's. Source: truncated importance sampling (Yao et al. 2025, "Your efficient RL framework secretly
    brings you off-policy RL training"), as TRL's `vllm_importance_sampling_cap`.
    """
    return (proximal - sampler).exp().clamp(max=cap).detach()
