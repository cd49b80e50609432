"""From losses of tokens to the loss of an optimizer batch, as weights that no cut of the batch can change. No torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepcoder_api.presets import LossAggregation


def token_weights(
    answer_tokens: ArrayLike, carries_loss: ArrayLike, aggregation: LossAggregation
) -> NDArray[np.float64]:
    """The weight of one token of each sample, [samples]: loss = sum over tokens of weight x loss of the token.

    answer_tokens: [samples] token counts; carries_loss: [samples], False for what the overlong filter took out. Both
    are of the whole optimizer batch, over all ranks and microbatches, so the sum is the same however it is cut.

    token-mean: 1 / (tokens of all samples that carry loss). Samples of equal groups (advantage zero) are among them.
    sequence-mean: 1 / (all samples x own tokens). Filtered samples count in the number of samples, so an answer weighs
    the same whatever became of the others; TRL's `loss_type="grpo"` with `mask_truncated_completions` does the same.
    All weights are zero when nothing carries loss.
    """
    tokens, carries = np.asarray(answer_tokens, dtype=np.int64), np.asarray(carries_loss, dtype=np.bool_)
    if tokens.ndim != 1 or tokens.shape != carries.shape:
        raise ValueError(f"answer_tokens {tokens.shape} and carries_loss {carries.shape} must be vectors of one length")
    if (tokens < 1).any():
        raise ValueError(f"every answer needs at least one token, not {tokens.min()}")
    if not carries.any():
        return np.zeros(tokens.shape)
    if aggregation == "token-mean":
        return carries / tokens[carries].sum()
    return carries / (len(tokens) * tokens)
