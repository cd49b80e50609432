"""The importance ratio between the policy being trained and the proximal one, of a token or of a whole answer."""

from __future__ import annotations

import torch
from torch import Tensor

from deepcoder_api.algorithm_spec import ImportanceSamplingLevel


def importance_ratio(
    current: Tensor, proximal: Tensor, answer_lengths: Tensor, level: ImportanceSamplingLevel
) -> Tensor:
    """current / proximal of each token, or of its answer: [tokens], with the gradient of `current`.

    current, proximal: log-probabilities [tokens], answers one after another, each whole; answer_lengths: int64
    [answers], their tokens. sequence: (pi(answer) / pi_proximal(answer)) ** (1 / tokens), the same for all tokens of an
    answer; its mean, and the sum over tokens that its gradient is, are taken in float64, for GSPO's bounds are near
    float32's rounding in a long answer. Source: GSPO (Zheng et al. 2025) equation 7; TRL's `importance_sampling_level`.
    """
    difference = current - proximal
    if level == "token":
        return difference.exp()
    means = torch.segment_reduce(difference.double(), "mean", lengths=answer_lengths)
    return means.exp().repeat_interleave(answer_lengths).to(current.dtype)
