"""Ranks that share one packed microbatch, each a run of its tokens: which they are, and what each of them computes.

Ulysses' sequence parallelism (Jacobs et al. 2023): all but attention works on a token at a time, so a rank computes it
for its own run; for attention ranks exchange tokens against heads (sequence_attention.py). A rank's gradient is that of
the whole microbatch's loss by its own use of the weights, so gradients add up over ranks as those of data do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import pad

from deepcoder_trainer.packing import Microbatch


@dataclass(frozen=True, eq=False)
class SequenceGroup:
    """`size` neighbouring ranks. `rank`: this one's place among them; `group`: None when it is alone."""

    size: int
    rank: int
    group: dist.ProcessGroup | None

    @classmethod
    def join(cls, size: int, timeout: timedelta) -> SequenceGroup:
        """The group of this rank: ranks 0 to size - 1 are the first. Collective. `size` divides the number of ranks."""
        if size == 1:
            return cls(size=1, rank=0, group=None)
        group, _ = dist.new_subgroups(group_size=size, timeout=timeout)
        assert isinstance(group, dist.ProcessGroup), "every rank is in one of the groups"
        return cls(size=size, rank=dist.get_rank(group), group=group)


@dataclass(frozen=True, eq=False)
class Shard:
    """A rank's run of a microbatch. T tokens over all ranks after padding, of which t = T / size are here.

    input_ids, position_ids: int64 [1, t]; boundaries: int32, of the whole T tokens; predictors: int64 [a], places among
    the t; answer_ids: int64 [a]; first: where these a answer tokens begin among the microbatch's A.
    """

    input_ids: Tensor
    position_ids: Tensor
    boundaries: Tensor
    predictors: Tensor
    answer_ids: Tensor
    first: int


def shard(microbatch: Microbatch, size: int, rank: int) -> Shard:
    """The run of `rank` of `size`. What is missing for runs of one length is a sequence of its own, without answers.

    An answer token belongs to the rank that has the position which predicts it. `predictors` rise, so a rank's answers
    are a run as well, which may be empty.
    """
    tokens = microbatch.input_ids.shape[1]
    missing = -tokens % size
    length = (tokens + missing) // size
    start, end = rank * length, (rank + 1) * length
    input_ids, boundaries = microbatch.input_ids, microbatch.boundaries
    position_ids = microbatch.position_ids
    if missing:
        filling = torch.arange(missing, device=position_ids.device)[None]
        position_ids = torch.cat([position_ids, filling], dim=1)
        input_ids = pad(input_ids, (0, missing))
        boundaries = torch.cat([boundaries, boundaries[-1:] + missing])
    first, last = torch.searchsorted(
        microbatch.predictors, torch.tensor([start, end], device=input_ids.device)
    ).tolist()
    return Shard(
        input_ids=input_ids[:, start:end],
        position_ids=position_ids[:, start:end],
        boundaries=boundaries,
        predictors=microbatch.predictors[first:last] - start,
        answer_ids=microbatch.answer_ids[first:last],
        first=first,
    )


def whole_answers(own: Tensor, first: int, answers: int, group: dist.ProcessGroup) -> Tensor:
    """What all ranks of a group have found of a microbatch's answer tokens, [k, A], on each. Collective.

    own: [k, a], with gradient; they stand from `first` on. Every rank then computes the same loss of the whole
    microbatch, and sends back the gradient of what it has found itself: together that is the loss's, once.
    """
    whole = _WholeAnswers.apply(own, first, answers, group)
    assert isinstance(whole, Tensor)
    return whole


class _WholeAnswers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, first: int, answers: int, group: dist.ProcessGroup) -> Tensor:
        ctx.run = slice(first, first + own.shape[1])
        whole = own.new_zeros(own.shape[0], answers)
        whole[:, ctx.run] = own
        dist.all_reduce(whole, group=group)  # the others have zeros there: nothing is rounded
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0][:, ctx.run], None, None, None
