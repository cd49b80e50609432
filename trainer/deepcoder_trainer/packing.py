"""Which samples share a forward pass, and on which rank: a pure function of lengths, the same on every rank."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepcoder_trainer.batch import Batch

Cut = tuple[int, ...]
"""The samples of one microbatch, as indices into the batch; empty for a dummy."""


class PackingError(ValueError):
    """A sample longer than a microbatch may be. The same batch fails the same way again."""


def partition(lengths: Sequence[int], tokens_per_microbatch: int, ranks: int) -> list[list[Cut]]:
    """Microbatches of each rank: positions of `lengths`, at most `tokens_per_microbatch` tokens each.

    Every rank gets the same number of microbatches, as ZeRO's collectives need; where samples run out they are empty.
    Longest first into the emptiest, so that ranks and microbatches are near equal in tokens. Ties go by position:
    the outcome depends on the arguments alone. Raises PackingError when one sample exceeds the budget.
    """
    longest = max(lengths, default=0)
    if longest > tokens_per_microbatch:
        raise PackingError(
            f"a sample has {longest} tokens and trainer.tokensPerMicrobatch is {tokens_per_microbatch}; "
            "raise it to at least the longest prompt plus response"
        )
    rounds = max(1, -(-sum(lengths) // (tokens_per_microbatch * ranks)))
    while (cuts := _spread(lengths, tokens_per_microbatch, rounds * ranks)) is None:
        rounds += 1
    return [cuts[rank::ranks] for rank in range(ranks)]


def _spread(lengths: Sequence[int], budget: int, bins: int) -> list[Cut] | None:
    """`bins` cuts within the budget, fullest first, or None when longest-first does not fit."""
    heap = [(0, index) for index in range(bins)]
    members: list[list[int]] = [[] for _ in range(bins)]
    for position in sorted(range(len(lengths)), key=lambda position: (-lengths[position], position)):
        tokens, emptiest = heap[0]
        if tokens + lengths[position] > budget:
            return None
        members[emptiest].append(position)
        heapq.heapreplace(heap, (tokens + lengths[position], emptiest))
    filled = sorted(heap, key=lambda entry: (-entry[0], entry[1]))
    return [tuple(sorted(members[index])) for _, index in filled]


@dataclass(frozen=True, eq=False)
class Microbatch:
    """Packed sequences and what their loss needs. T tokens in N sequences, of which A are answer tokens.

    input_ids, position_ids: int64 [1, T], positions restart in each sequence; boundaries: int32 [N + 1];
    predictors: int64 [A], the positions whose logits predict the answer tokens; answer_ids: int64 [A];
    answer_lengths: int64 [N], the answer tokens of each sequence;
    sampler, advantages, weights: float32 [A]. `weights` are those of aggregation, zero throughout in a dummy.
    """

    input_ids: Tensor
    position_ids: Tensor
    boundaries: Tensor
    predictors: Tensor
    answer_ids: Tensor
    answer_lengths: Tensor
    sampler: Tensor
    advantages: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Microbatch:
        """The same on `device`."""
        return Microbatch(**{name: getattr(self, name).to(device, non_blocking=True) for name in _TENSORS})


def pack(batch: Batch, cut: Cut, token_weights: NDArray[np.float64]) -> Microbatch:
    """The microbatch of the samples `cut`. token_weights: [samples of the batch]. An empty cut gives a dummy."""
    if not cut:
        return dummy()
    tokens, positions, predictors, targets, sampler = [], [], [], [], []
    start, bounds, answers = 0, [0], batch.answer_offsets
    for sample in cut:
        sequence = batch.tokens[batch.offsets[sample] : batch.offsets[sample + 1]]
        prompt, length = int(batch.prompt_lengths[sample]), len(sequence)
        tokens.append(sequence)
        positions.append(np.arange(length))
        predictors.append(np.arange(start + prompt - 1, start + length - 1))
        targets.append(sequence[prompt:])
        sampler.append(batch.sampler_log_probabilities[answers[sample] : answers[sample + 1]])
        start += length
        bounds.append(start)
    chosen = list(cut)
    repeats = batch.answer_lengths[chosen]
    return Microbatch(
        input_ids=_int64(np.concatenate(tokens))[None],
        position_ids=_int64(np.concatenate(positions))[None],
        boundaries=torch.tensor(bounds, dtype=torch.int32),
        predictors=_int64(np.concatenate(predictors)),
        answer_ids=_int64(np.concatenate(targets)),
        answer_lengths=_int64(repeats),
        sampler=_float32(np.concatenate(sampler)),
        advantages=_float32(np.repeat(batch.advantages[chosen], repeats)),
        weights=_float32(np.repeat(token_weights[chosen], repeats)),
    )


def dummy() -> Microbatch:
    """A microbatch of weight zero: it takes part in every collective, and adds nothing."""
    zero = torch.zeros(1, dtype=torch.int64)
    return Microbatch(
        input_ids=zero.expand(1, 2),
        position_ids=torch.arange(2)[None],
        boundaries=torch.tensor([0, 2], dtype=torch.int32),
        predictors=zero,
        answer_ids=zero,
        answer_lengths=torch.ones(1, dtype=torch.int64),
        sampler=torch.zeros(1),
        advantages=torch.zeros(1),
        weights=torch.zeros(1),
    )


_TENSORS = (
    "input_ids",
    "position_ids",
    "boundaries",
    "predictors",
    "answer_ids",
    "answer_lengths",
    "sampler",
    "advantages",
    "weights",
)


def _int64(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))


def _float32(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
