"""What an answer's length does to its reward and its advantage, before any loss. No torch here."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepcoder_api.algorithm import Algorithm
from deepcoder_trainer.algorithm.advantages import group_advantages


def soft_overlong_punishment(
    answer_tokens: ArrayLike, max_response_tokens: int, buffer_fraction: float, factor: float
) -> NDArray[np.float64]:
    """What the reward of each answer changes by: 0 up to the buffer, then linear to -factor at the limit; [samples].

    answer_tokens: [samples]; the buffer is the last `buffer_fraction` of `max_response_tokens`. An answer beyond that
    limit, as an earlier stage may have allowed, is punished like one that reaches it.
    Source: DAPO (Yu et al. 2025) equation 13, and verl's `overlong_buffer`, whose length is in tokens.
    """
    tokens = np.asarray(answer_tokens, dtype=np.float64)
    buffer = buffer_fraction * max_response_tokens
    return -factor * np.clip((tokens - (max_response_tokens - buffer)) / buffer, 0, 1)


def answer_advantages(
    rewards: ArrayLike, groups: ArrayLike, truncated: ArrayLike, answer_tokens: ArrayLike, *,
    max_response_tokens: int, algorithm: Algorithm,
) -> NDArray[np.float64]:  # fmt: skip
    """The advantage of each answer by `algorithm`: [samples], as are all arguments before the star.

    rewards: what the grades are worth, unpunished; truncated: whether the answer was cut at its limit. A truncated
    answer counts in its group's mean and std in any case. With the overlong filter of kind zero-advantage one with
    reward 0 then loses its advantage: compute_grpo_outcome_advantage of rLLM at 18e446c5, `mask_truncated_samples`.
    """
    reward = np.asarray(rewards, dtype=np.float64)
    shaped = reward
    if algorithm.overlong_factor > 0:
        shaped = reward + soft_overlong_punishment(
            answer_tokens, max_response_tokens, algorithm.overlong_buffer_fraction, algorithm.overlong_factor
        )
    advantages = group_advantages(shaped, groups, algorithm.advantage)
    if algorithm.zeroes_truncated:
        advantages[np.asarray(truncated, dtype=np.bool_) & (reward == 0)] = 0
    return advantages
