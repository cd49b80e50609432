"""Group advantages of GRPO: how much better an answer is than the other answers to the same problem. No torch here."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepcoder_api.algorithm_spec import Advantage

EPSILON = 1e-6


def group_advantages(rewards: ArrayLike, groups: ArrayLike, kind: Advantage = "normalized") -> NDArray[np.float64]:
    """(reward - mean) / (std + 1e-6) in each group, std unbiased (ddof 1); or reward - mean when `kind` is centered.

    rewards: [samples], groups: [samples] integers; samples with an equal entry are one group, in any order.
    Returns [samples]; exactly zero in a group whose rewards are all equal, and in a group of one.
    Source: DeepSeekMath (GRPO), equation 3; the unbiased std and 1e-6 as DeepCoder's release ran them (verl). Centered:
    Dr. GRPO (Liu et al. 2025), section 3.2, TRL's `scale_rewards="none"`.
    """
    reward, group = _checked(rewards, groups)
    advantages = np.zeros_like(reward)
    for name in np.unique(group):
        members = group == name
        of_group = reward[members]
        if of_group.min() < of_group.max():
            spread = of_group.std(ddof=1) + EPSILON if kind == "normalized" else 1.0
            advantages[members] = (of_group - of_group.mean()) / spread
    return advantages


def groups_with_signal(advantages: ArrayLike, groups: ArrayLike) -> int:
    """How many groups have an advantage that is not zero; the others teach nothing. Both arguments: [samples]."""
    advantage, group = _checked(advantages, groups)
    return len(np.unique(group[advantage != 0]))


def _checked(values: ArrayLike, groups: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    value, group = np.asarray(values, dtype=np.float64), np.asarray(groups, dtype=np.int64)
    if value.ndim != 1 or value.shape != group.shape:
        raise ValueError(f"values {value.shape} and groups {group.shape} must be vectors of one length")
    if not np.isfinite(value).all():
        raise ValueError(f"values must be finite, not {value[~np.isfinite(value)][0]}")
    return value, group
