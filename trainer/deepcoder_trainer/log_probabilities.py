"""Log-probabilities and entropies of chosen tokens from logits, in fp32 and without a whole fp32 copy of the logits."""

from __future__ import annotations

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
) -> tuple[Tensor, Tensor]:
    """(log-probabilities, entropies) of `tokens` under softmax(logits / temperature), both fp32 [tokens].

    logits: [tokens, vocabulary] in the model's precision; tokens: int64 [tokens]. The division and the softmax are in
    fp32, a chunk of tokens at a time; backward computes each chunk again instead of keeping it. Entropies carry a
    gradient only with `entropy_gradient`. Raises ValueError for a temperature that is not above zero.
    """
    parts = [
        checkpoint(chunk_log_probabilities, rows, chosen, temperature, entropy_gradient, use_reentrant=False)
        for rows, chosen in zip(logits.split(chunk_tokens), tokens.split(chunk_tokens), strict=True)
    ]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def chunk_log_probabilities(
    logits: Tensor, tokens: Tensor, temperature: float, entropy_gradient: bool = False
) -> tuple[Tensor, Tensor]:
    """As `token_log_probabilities`, of all tokens at once."""
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, not {temperature}: greedy answers have no log-probability")
    log_softmax = (logits.float() / temperature).log_softmax(-1)
    chosen = log_softmax.gather(-1, tokens[:, None]).squeeze(-1)
    with torch.set_grad_enabled(entropy_gradient and torch.is_grad_enabled()):
        entropy = -(log_softmax.exp() * log_softmax).sum(-1)
    return chosen, entropy
