"""From losses of tokens to the loss of an optimizer batch, as the weight of a token of each sample. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepcoder_api.algorithm import Algorithm


def token_weights(answer_tokens: ArrayLike, carries_loss: ArrayLike, algorithm: Algorithm) -> NDArray[np.float64]:
    """The weight of one token of each sample, [samples]: loss = sum over tokens of weight x loss of the token.

    answer_tokens: [samples] token counts; carries_loss: [samples], False for what the overlong filter took out. Both
    are of the whole optimizer batch, over all ranks and microbatches, so the sum is the same however it is cut.

    token-mean: 1 / (tokens of all samples that carry loss). Samples of equal groups (advantage zero) are among them.
    TRL's `dapo`. sequence-mean: 1 / (all samples x own tokens). Filtered samples count in the number of samples, so an
    answer weighs the same whatever became of the others; TRL's `grpo` with `mask_truncated_completions` does the same.
    sequence-mean-token-sum-norm: 1 / (all samples x lossNormalizationTokens); TRL's `dr_grpo`, verl's
    `seq-mean-token-sum-norm`. All weights are zero when nothing carries loss.
    """
    tokens, carries = _checked(answer_tokens, carries_loss)
    if not carries.any():
        return np.zeros(tokens.shape)
    match algorithm.loss_aggregation:
        case "token-mean":
            return carries / tokens[carries].sum()
        case "sequence-mean":
            return carries / (len(tokens) * tokens)
        case "sequence-mean-token-sum-norm":
            if algorithm.loss_normalization_tokens is None:
                raise ValueError(f"preset {algorithm.preset!r} is not resolved: loss_normalization_tokens is None")
            return carries / (len(tokens) * algorithm.loss_normalization_tokens)
        case "microbatch-token-mean":
            raise ValueError("microbatch-token-mean depends on the cut: use microbatch_token_weights")


def microbatch_token_weights(
    answer_tokens: ArrayLike, carries_loss: ArrayLike, microbatches: Iterable[Sequence[int]], ranks: int
) -> NDArray[np.float64]:
    """The weight of one token of each sample, [samples], when each microbatch has a token mean of its own.

    microbatches: of all ranks, the samples in each. The means are added up over the microbatches of a rank and averaged
    over ranks, as rLLM at 18e446c5 did (dp_actor.py, where `gradient_accumulation` is 1 under dynamic batches). So the
    loss grows with the number of microbatches: what `token_weights` promises does not hold here.
    """
    tokens, carries = _checked(answer_tokens, carries_loss)
    weights = np.zeros(tokens.shape)
    for microbatch in microbatches:
        members = np.asarray(microbatch, dtype=np.int64)
        members = members[carries[members]]
        if len(members):
            weights[members] = 1 / (ranks * tokens[members].sum())
    return weights


def _checked(answer_tokens: ArrayLike, carries_loss: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    tokens, carries = np.asarray(answer_tokens, dtype=np.int64), np.asarray(carries_loss, dtype=np.bool_)
    if tokens.ndim != 1 or tokens.shape != carries.shape:
        raise ValueError(f"answer_tokens {tokens.shape} and carries_loss {carries.shape} must be vectors of one length")
    if (tokens < 1).any():
        raise ValueError(f"every answer needs at least one token, not {tokens.min()}")
    return tokens, carries
