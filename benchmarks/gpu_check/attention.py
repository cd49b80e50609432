"""Packed attention on the device in bf16, against each sequence by itself in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.trainer.random_model import Shape
from deepcoder_trainer.attention import packed_arguments, packed_attention

ALLOWED = 2.0
"""How many times the error of torch's own attention in bf16, sequence by sequence, that of packed attention may be."""


def check_attention(shape: Shape, lengths: Sequence[int], device: torch.device) -> dict[str, Any]:
    """Errors of outcome and gradients as shares of the largest value, torch's own beside them; and whether changing the
    other sequences changes one of them by a bit. `passed` when no error is above ALLOWED of torch's and none leaks."""
    torch.manual_seed(0)
    bounds = [0, *accumulate(lengths)]
    tokens, width = bounds[-1], shape.head_width
    exact = [torch.randn(1, heads, tokens, width, device=device) for heads in (shape.heads, *[shape.key_heads] * 2)]
    rounded = [one.bfloat16() for one in exact]
    towards = torch.randn(1, tokens, shape.heads, width, device=device)
    reference = _with_gradients(_by_itself, [one.float() for one in rounded], bounds, towards)
    own = _errors(_with_gradients(_packed, rounded, bounds, towards), reference)
    torchs = _errors(_with_gradients(_by_itself, rounded, bounds, towards), reference)
    leaks = _leaks(rounded, bounds)
    close = all(own[name] <= ALLOWED * torchs[name] + 1e-4 for name in own)
    return {"lengths": list(lengths), "error": own, "error_of_torch": torchs, "leaks": leaks,
            "passed": close and not leaks}  # fmt: skip


def _packed(states: Sequence[Tensor], bounds: Sequence[int]) -> Tensor:
    boundaries = torch.tensor(bounds, dtype=torch.int32, device=states[0].device)
    query, key, value = states
    return packed_attention(torch.nn.Module(), query, key, value, None, **packed_arguments(boundaries))[0]


def _by_itself(states: Sequence[Tensor], bounds: Sequence[int]) -> Tensor:
    query, key, value = states
    parts = [
        scaled_dot_product_attention(
            query[:, :, start:end], key[:, :, start:end], value[:, :, start:end], is_causal=True, enable_gqa=True
        )
        for start, end in pairwise(bounds)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2)


def _with_gradients(attend: Any, states: Sequence[Tensor], bounds: Sequence[int], towards: Tensor) -> dict[str, Tensor]:
    own = [one.clone().requires_grad_() for one in states]
    outcome = attend(own, bounds)
    (outcome * towards).sum().backward()
    query, key, value = (one.grad for one in own)
    assert query is not None
    assert key is not None
    assert value is not None
    return {"outcome": outcome.detach(), "query": query, "key": key, "value": value}


def _errors(found: dict[str, Tensor], reference: dict[str, Tensor]) -> dict[str, float]:
    return {
        name: float((found[name].float() - expected).abs().max() / expected.abs().max())
        for name, expected in reference.items()
    }


def _leaks(states: Sequence[Tensor], bounds: Sequence[int]) -> bool:
    """Whether the second sequence's outcome changes with all others."""
    start, end = bounds[1], bounds[2]
    changed = [one.clone() for one in states]
    for one in changed:
        one[:, :, :start] = 3.0
        one[:, :, end:] = -3.0
    return not torch.equal(_packed(states, bounds)[:, start:end], _packed(changed, bounds)[:, start:end])
