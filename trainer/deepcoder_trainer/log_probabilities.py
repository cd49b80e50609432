"""Log-probabilities and entropies of chosen tokens from logits, in fp32 and without a whole fp32 copy of the logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_TOKENS = 1024


def token_log_probabilities(
    logits: Tensor,
    tokens: Tensor,
    temperature: float,
    *,
    entropy_gradient: bool = False,
    chunk_tokens: int = CHUNK_TOKENS,
    head: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """(log-probabilities, entropies) of `tokens` under softmax(logits / temperature), both fp32 [tokens].

    logits: [tokens, vocabulary] in the model's precision; tokens: int64 [tokens]. The division and the softmax are in
    fp32, a chunk of tokens at a time; backward computes each chunk again instead of keeping it. Entropies carry a
    gradient only with `entropy_gradient`. With a `head`, `logits` are hidden states, [tokens, width], and it makes
    their logits, a chunk at a time as well. Raises ValueError for a temperature that is not above zero.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, not {temperature}: greedy answers have no log-probability")
    parts = [
        checkpoint(_of_chunk, rows, chosen, temperature, entropy_gradient, head, use_reentrant=False)
        for rows, chosen in zip(logits.split(chunk_tokens), tokens.split(chunk_tokens), strict=True)
    ]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _of_chunk(
    rows: Tensor, tokens: Tensor, temperature: float, entropy_gradient: bool, head: Callable[[Tensor], Tensor] | None
) -> tuple[Tensor, Tensor]:
    logits = rows if head is None else head(rows)
    log_softmax = (logits.float() / temperature).log_softmax(-1)
    chosen = log_softmax.gather(-1, tokens[:, None]).squeeze(-1)
    with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
        entropy = -(log_softmax.exp() * log_softmax).sum(-1)
    return chosen, entropy
