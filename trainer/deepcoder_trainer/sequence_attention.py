"""Ulysses' exchange around attention: from a run of tokens with all heads to all tokens with some heads, and back.

Source: DeepSpeed Ulysses (Jacobs et al. 2023), section 3. Its own wrapper (deepspeed.sequence) is not used: it hands no
boundaries of packed sequences on.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def heads_fit(heads: int, ranks: int) -> bool:
    """Whether ranks can share a model's attention: each takes equally many query heads."""
    return heads % ranks == 0


def key_repeats(heads: int, key_heads: int, ranks: int) -> int:
    """How often each key head is sent, so that every rank has those of its query heads: 1 when `ranks` divides them.

    Each copy serves `heads / (key_heads x repeats)` query heads, which are neighbours, as they are within a rank.
    Raises ValueError when `ranks` does not divide `heads`.
    """
    shared = heads // key_heads
    for repeats in range(1, shared + 1):
        if shared % repeats == 0 and key_heads * repeats % ranks == 0:
            return repeats
    raise ValueError(f"{ranks} ranks cannot share {heads} attention heads: the number of ranks must divide them")


def all_tokens_of_own_heads(
    query: Tensor, key: Tensor, value: Tensor, group: dist.ProcessGroup
) -> tuple[Tensor, Tensor, Tensor]:
    """Of [1, heads, own tokens, width] each: [1, heads / ranks, all tokens, width]. Collective, in one exchange.

    Key heads are repeated where ranks do not divide them (`key_repeats`).
    """
    ranks = dist.get_world_size(group)
    repeats = key_repeats(query.shape[1], key.shape[1], ranks)
    states = (query[0], *(one[0].repeat_interleave(repeats, dim=0) for one in (key, value)))
    # A block for each rank: its heads of the three, one after another.
    blocks = [one.reshape(ranks, -1) for one in states]
    received = _exchanged(torch.cat(blocks, dim=1), group)
    parts = received.split([block.shape[1] for block in blocks], dim=1)
    query, key, value = (_joined(part, like) for part, like in zip(parts, states, strict=True))
    return query, key, value


def own_tokens_of_all_heads(attended: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Of [1, all tokens, heads / ranks, width]: [1, own tokens, heads, width]. Collective."""
    ranks = dist.get_world_size(group)
    _, tokens, heads, width = attended.shape
    received = _exchanged(attended[0].reshape(ranks, -1), group)
    by_heads = received.reshape(ranks, tokens // ranks, heads, width)
    return by_heads.transpose(0, 1).reshape(1, tokens // ranks, ranks * heads, width)


def _joined(part: Tensor, like: Tensor) -> Tensor:
    """Runs of tokens from each rank, [ranks, heads / ranks x tokens x width], end to end; like: what this rank sent."""
    heads, tokens, width = like.shape
    ranks = part.shape[0]
    runs = part.reshape(ranks, heads // ranks, tokens, width)
    return runs.transpose(0, 1).reshape(1, heads // ranks, ranks * tokens, width)


def _exchanged(blocks: Tensor, group: dist.ProcessGroup) -> Tensor:
    exchanged = _Exchange.apply(blocks, group)
    assert isinstance(exchanged, Tensor)
    return exchanged


class _Exchange(torch.autograd.Function):
    """Block i, [ranks, elements], goes to rank i; the block of rank i comes to place i. Its own transpose."""

    @staticmethod
    def forward(ctx: Any, blocks: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return _all_to_all(blocks, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _all_to_all(gradients[0], ctx.group), None


def _all_to_all(blocks: Tensor, group: dist.ProcessGroup) -> Tensor:
    received = torch.empty_like(blocks, memory_format=torch.contiguous_format)
    dist.all_to_all_single(received, blocks.contiguous(), group=group)
    return received
