"""Group advantages of GRPO: how much better an answer is than the other answers to the same problem. No torch here."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPSILON = 1e-6


def group_advantages(rewards: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """(reward - mean) / (std + 1e-6) in each group, std unbiased (ddof 1).

    rewards: [samples], groups: [samples] integers; samples with an equal entry are one group, in any order.
    Returns [samples]; exactly zero in a group whose rewards are all equal, and in a group of one.
    Source: DeepSeekMath (GRPO), equation 3; the unbiased std and 1e-6 as DeepCoder's release ran them (verl).
    """
    reward, group = _checked(rewards, groups)
    advantages = np.zeros_like(reward)
    for name in np.unique(group):
        members = group == name
        of_group = reward[members]
        if of_group.min() < of_group.max():
            advantages[members] = (of_group - of_group.mean()) / (of_group.std(ddof=1) + EPSILON)
    return advantages


def equal_groups(rewards: ArrayLike, groups: ArrayLike) -> int:
    """How many groups have all rewards equal, and so teach nothing. Arguments as in `group_advantages`."""
    reward, group = _checked(rewards, groups)
    return sum(int(reward[group == name].min() == reward[group == name].max()) for name in np.unique(group))


def _checked(rewards: ArrayLike, groups: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    reward, group = np.asarray(rewards, dtype=np.float64), np.asarray(groups, dtype=np.int64)
    if reward.ndim != 1 or reward.shape != group.shape:
        raise ValueError(f"rewards {reward.shape} and groups {group.shape} must be vectors of one length")
    if not np.isfinite(reward).all():
        raise ValueError(f"rewards must be finite, not {reward[~np.isfinite(reward)][0]}")
    return reward, group
