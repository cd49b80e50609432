"""One training step on the ranks: proximal log-probabilities, then the optimizer steps over the batch's parts."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from deepcoder_api.algorithm import Algorithm
from deepcoder_trainer.algorithm import metrics
from deepcoder_trainer.algorithm.advantages import groups_with_signal
from deepcoder_trainer.algorithm.aggregation import microbatch_token_weights, token_weights
from deepcoder_trainer.algorithm.importance import truncated_importance
from deepcoder_trainer.algorithm.policy_loss import clipped_tokens, policy_loss
from deepcoder_trainer.algorithm.ratio import importance_ratio
from deepcoder_trainer.batch import Batch, optimizer_batches
from deepcoder_trainer.engine import PolicyEngine
from deepcoder_trainer.packing import Cut, Microbatch, pack, partition
from deepcoder_trainer.utilization import utilization


class NotFiniteError(Exception):
    """A loss or a gradient is not a number. The same batch gives it again, so a retry does not help."""


@dataclass(frozen=True, eq=False)
class UpdatePlan:
    """One optimizer step: this rank's microbatches, the weight of a token of each sample of the batch, how many samples
    are computed on all ranks, and the tokens of each."""

    cuts: tuple[Cut, ...]
    weights: NDArray[np.float64]
    computed: int
    lengths: tuple[int, ...] = ()


def plan_updates(
    batch: Batch, algorithm: Algorithm, tokens_per_microbatch: int, rank: int, ranks: int
) -> list[UpdatePlan]:
    """The optimizer steps of a batch, in order. The same on every rank but for `cuts`, whose number is the same too.

    rank and ranks count those that compute microbatches of their own.

    Samples without loss (filtered, or with advantage zero where there is no entropy term) are counted by the
    aggregation but not computed. A part in which no sample has a loss is left out: a zero gradient would still move the
    weights by Adam's momentum, on no evidence.
    """
    learns = batch.carries_loss & ((batch.advantages != 0) | (algorithm.entropy_coefficient > 0))
    plans = []
    for part in optimizer_batches(batch, algorithm.optimizer_steps_per_step):
        if not learns[part].any():
            continue
        of_microbatch = algorithm.loss_aggregation == "microbatch-token-mean"
        # A mean over a microbatch counts those of its samples that have no loss, so they have a place in one.
        placed = part[batch.carries_loss[part] if of_microbatch else learns[part]]
        lengths = [int(length) for length in batch.lengths[placed]]
        of_ranks = [
            [tuple(int(placed[i]) for i in cut) for cut in cuts]
            for cuts in partition(lengths, tokens_per_microbatch, ranks)
        ]
        if of_microbatch:
            every = (cut for cuts in of_ranks for cut in cuts)
            weights = microbatch_token_weights(batch.answer_lengths, batch.carries_loss, every, ranks)
        else:
            weights = np.zeros(len(batch))
            weights[part] = token_weights(batch.answer_lengths[part], batch.carries_loss[part], algorithm)
        own = tuple(tuple(sample for sample in cut if learns[sample]) for cut in of_ranks[rank])
        computed = batch.lengths[part[learns[part]]]
        plans.append(UpdatePlan(own, weights, len(computed), tuple(map(int, computed))))
    return plans


def train_step(
    engine: PolicyEngine, batch: Batch, algorithm: Algorithm, tokens_per_microbatch: int, learning_rate: float
) -> dict[str, float]:
    """Carry out a step's optimizer steps and return its metrics, equal on all ranks. Collective.

    tokens_per_microbatch: of a rank; ranks that share a microbatch have as much room together. Metrics are means over
    the optimizer steps; those of tokens are over the tokens computed. Raises NotFiniteError on every rank before such a
    loss reaches the weights.
    """
    started = time.monotonic()
    budget = tokens_per_microbatch * engine.settings.sequence_parallel
    plans = plan_updates(batch, algorithm, budget, engine.data_rank, engine.data_ranks)
    # The first update's own forward pass is the proximal one; only later updates need theirs kept from before it.
    proximal = [None, *(_proximal(engine, batch, plan) for plan in plans[1:])]
    proximal_seconds = time.monotonic() - started
    updates = [
        _update(engine, batch, algorithm, plan, kept, learning_rate)
        for plan, kept in zip(plans, proximal, strict=False)
    ]
    seconds = time.monotonic() - started
    return {
        **{name: math.fsum(values[name] for values in updates) / len(updates) for name in (updates or [{}])[0]},
        "updates": float(len(updates)),
        "computed_samples": float(sum(plan.computed for plan in plans)),
        "group_signal_fraction": groups_with_signal(batch.advantages, batch.groups) / len(np.unique(batch.groups)),
        "learning_rate": learning_rate,
        "proximal_seconds": proximal_seconds,
        "seconds": seconds,
        **_utilization(engine, plans, seconds),
    }


def _utilization(engine: PolicyEngine, plans: list[UpdatePlan], seconds: float) -> dict[str, float]:
    """Nothing where the architecture's operations cannot be counted."""
    if engine.shape is None:
        return {}
    trained = [length for plan in plans for length in plan.lengths]
    proximal = [length for plan in plans[1:] for length in plan.lengths]
    peak = engine.peak_flops * engine.ranks if engine.peak_flops else None
    return utilization(engine.shape, trained, proximal, seconds, peak)


def _proximal(engine: PolicyEngine, batch: Batch, plan: UpdatePlan) -> list[Tensor]:
    with torch.no_grad():
        return [
            engine.log_probabilities(pack(batch, cut, plan.weights).to(engine.device), batch.temperature)[0]
            for cut in plan.cuts
        ]


def _update(
    engine: PolicyEngine,
    batch: Batch,
    algorithm: Algorithm,
    plan: UpdatePlan,
    proximal: list[Tensor] | None,
    learning_rate: float,
) -> dict[str, float]:
    sums = torch.zeros(len(metrics.SUMS), dtype=torch.float64, device=engine.device)
    for index, cut in enumerate(plan.cuts):
        engine.set_boundary(index == len(plan.cuts) - 1)
        microbatch = pack(batch, cut, plan.weights).to(engine.device)
        current, entropy = engine.log_probabilities(
            microbatch, batch.temperature, entropy_gradient=algorithm.entropy_coefficient > 0
        )
        kept = current.detach() if proximal is None else proximal[index]
        ratio = importance_ratio(current, kept, microbatch.answer_lengths, algorithm.importance_sampling_level)
        losses = token_losses(ratio, current, kept, entropy, microbatch, algorithm)
        sums += metrics.token_sums(
            clipped=clipped_tokens(ratio.detach(), microbatch.advantages, algorithm),
            proximal=kept,
            sampler=microbatch.sampler,
            entropy=entropy,
            losses=losses,
            weights=microbatch.weights,
        )
        engine.backward((losses * microbatch.weights).sum())
    dist.all_reduce(sums)
    sums /= engine.settings.sequence_parallel  # each of the ranks that share a microbatch has counted all of it
    if not torch.isfinite(sums).all():
        values = dict(zip(metrics.SUMS, sums.tolist(), strict=True))
        raise NotFiniteError(f"step {batch.step}: the loss or its parts are not finite: {values}")
    gradient_norm = engine.step(learning_rate)
    if not math.isfinite(gradient_norm):
        raise NotFiniteError(f"step {batch.step}: the gradient's norm is {gradient_norm}")
    return {**metrics.means(sums), "gradient_norm": gradient_norm}


def token_losses(
    ratio: Tensor, current: Tensor, proximal: Tensor, entropy: Tensor, microbatch: Microbatch, algorithm: Algorithm
) -> Tensor:
    """The loss of each answer token, [A], before aggregation.

    The policy loss times the importance correction, less entropyCoefficient times the entropy, which is the policy's
    own and so needs no correction.
    """
    losses = policy_loss(ratio, current, microbatch.advantages, algorithm)
    if algorithm.importance_correction == "truncated":
        losses = losses * truncated_importance(proximal, microbatch.sampler, algorithm.importance_cap)
    if algorithm.entropy_coefficient > 0:
        losses = losses - algorithm.entropy_coefficient * entropy
    return losses
