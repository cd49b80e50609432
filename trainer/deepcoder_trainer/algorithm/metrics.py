"""What to watch of an update: how much was clipped and on which side, the sampler's gap, the entropy."""

from __future__ import annotations

import torch
from torch import Tensor

SUMS = ("tokens", "loss", "clipped_low", "clipped_high", "sampler_kl", "entropy")


def token_sums(
    *,
    clipped: tuple[Tensor, Tensor],
    proximal: Tensor,
    sampler: Tensor,
    entropy: Tensor,
    losses: Tensor,
    weights: Tensor,
) -> Tensor:
    """Sums over the tokens of a microbatch, float64 [6] in the order of SUMS; sums of all ranks and cuts add up.

    All arguments are [tokens]: whether the clip acts on a token from below and from above (`clipped_tokens`),
    log-probabilities, entropies and losses of tokens, and their weights in the loss, zero for dummies, which are left
    out. sampler_kl is Schulman's k3 estimate of KL(sampler || proximal): exp(d) - 1 - d with d = proximal - sampler.
    """
    with torch.no_grad():
        counted = weights > 0
        gap = (proximal - sampler).double()
        columns = (
            torch.ones_like(gap),
            losses.double() * weights,
            clipped[0].double(),
            clipped[1].double(),
            gap.expm1() - gap,
            entropy.double(),
        )
        return torch.stack([column[counted].sum() for column in columns])


def means(sums: Tensor) -> dict[str, float]:
    """The metrics of an optimizer batch from `token_sums` added up over all ranks, over the tokens computed.

    loss: as aggregated, the entropy term in it. clip_fraction_low, clip_fraction_high: shares of tokens, 0 to 1.
    sampler_kl, entropy: means by token, in nats.
    """
    values = dict(zip(SUMS, sums.tolist(), strict=True))
    tokens = max(values["tokens"], 1.0)
    return {
        "loss": values["loss"],
        "clip_fraction_low": values["clipped_low"] / tokens,
        "clip_fraction_high": values["clipped_high"] / tokens,
        "sampler_kl": values["sampler_kl"] / tokens,
        "entropy": values["entropy"] / tokens,
    }
