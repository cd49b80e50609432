"""The policy losses, token by token: PPO's clipped surrogate, the same without its clip, and CISPO."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcoder_api.algorithm import Algorithm


def policy_loss(ratio: Tensor, current: Tensor, advantages: Tensor, algorithm: Algorithm) -> Tensor:
    """The loss of each token that `algorithm` names: [tokens].

    ratio: from `importance_ratio`, and current: log-probabilities, both [tokens] and with gradient; advantages:
    [tokens], one of its sample.
    """
    match algorithm.policy_loss:
        case "clipped":
            return clipped_policy_loss(ratio, advantages, algorithm.clip_low, algorithm.clip_high)
        case "unclipped":
            return -ratio * advantages
        case "cispo":
            return cispo_policy_loss(ratio, current, advantages, algorithm.clip_low, algorithm.clip_high)


def clipped_policy_loss(ratio: Tensor, advantages: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """-min(r A, clip(r, 1 - clip_low, 1 + clip_high) A) of each token.

    Source: PPO (Schulman et al. 2017) equation 7; the two bounds apart are DAPO's clip-higher.
    """
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)
    return -torch.minimum(ratio * advantages, bounded * advantages)


def cispo_policy_loss(ratio: Tensor, current: Tensor, advantages: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """-sg(clip(r, 1 - clip_low, 1 + clip_high)) A log pi of each token: every token keeps a gradient.

    Source: MiniMax-M1 (2025) equations 4 and 5; verl's `cispo`, and TRL's with clip_low 1.
    """
    return -ratio.clamp(1 - clip_low, 1 + clip_high).detach() * advantages * current


def clipped_tokens(ratio: Tensor, advantages: Tensor, algorithm: Algorithm) -> tuple[Tensor, Tensor]:
    """(below, above): the tokens that the clip acts on, by side; bool [tokens] each.

    clipped: where the gradient is cut off, for a ratio below its bound of a worse answer and above it of a better one.
    unclipped: the same tokens, though nothing is cut. cispo: where the weight is held at its bound, whatever the
    advantage.
    """
    below, above = ratio < 1 - algorithm.clip_low, ratio > 1 + algorithm.clip_high
    if algorithm.policy_loss == "cispo":
        return below, above
    return below & (advantages < 0), above & (advantages > 0)
