"""A preset's loss of a whole batch, through the same functions as a training step, with log-probabilities given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from deepcoder_api.algorithm import Algorithm
from deepcoder_trainer.algorithm.overlong import answer_advantages
from deepcoder_trainer.algorithm.ratio import importance_ratio
from deepcoder_trainer.batch import Batch, batch_of
from deepcoder_trainer.packing import pack
from deepcoder_trainer.samples import FinishReason, Sample
from deepcoder_trainer.update import plan_updates, token_losses
from tests.unit.trainer.sample_builders import sample


@dataclass(frozen=True)
class Answer:
    """One answer and the probabilities of its tokens under three policies."""

    group: int
    reward: float
    current: Sequence[float]
    proximal: Sequence[float]
    sampler: Sequence[float]
    truncated: bool = False

    def sample(self) -> Sample:
        """As the orchestrator has it before its group is whole: without an advantage."""
        reason: FinishReason = "length" if self.truncated else "stop"
        return sample(
            answer_ids=[4] * len(self.current), log_probabilities=np.log(self.sampler).tolist(),
            finish_reason=reason, reward=self.reward, group=self.group,
        )  # fmt: skip


def random_answers(seed: int, limit: int, groups: int = 4, per_group: int = 4) -> list[Answer]:
    """Answers of up to `limit` tokens; those that reach it are truncated, all but some."""
    random = np.random.default_rng(seed)
    answers = []
    for group in np.repeat(np.arange(groups), per_group):
        length = int(random.integers(1, limit + 1))
        sampler = random.uniform(0.05, 0.9, length)
        proximal = np.clip(sampler * random.uniform(0.7, 3, length), 0.01, 0.99)
        current = np.clip(proximal * random.uniform(0.5, 1.6, length), 0.01, 0.99)
        truncated = length == limit and random.random() < 0.8
        reward = float(random.random() < 0.5)
        answers.append(Answer(int(group), reward, current.tolist(), proximal.tolist(), sampler.tolist(), truncated))
    return answers


def batch_for(answers: Sequence[Answer], algorithm: Algorithm, limit: int) -> Batch:
    """The batch of the answers with the advantages that `algorithm` gives them."""
    samples = [answer.sample() for answer in answers]
    advantages = answer_advantages(
        [one.reward for one in samples], [one.group for one in samples], [one.truncated for one in samples],
        [len(one.answer_ids) for one in samples], max_response_tokens=limit, algorithm=algorithm,
    )  # fmt: skip
    samples = [replace(one, advantage=float(value)) for one, value in zip(samples, advantages, strict=True)]
    return batch_of(samples, step=1, temperature=1.0, overlong_filter=algorithm.masks_truncated)


def preset_loss(
    answers: Sequence[Answer],
    algorithm: Algorithm,
    *,
    limit: int,
    tokens_per_microbatch: int = 10**6,
    ranks: int = 1,
    entropy: Tensor | None = None,
) -> tuple[float, list[list[float]]]:
    """(loss, its gradient by the log-probability of each token of each answer), added up over ranks and microbatches.

    One optimizer step. entropy: of each token, if the algorithm has an entropy term, answers one after another.
    """
    algorithm = algorithm.model_copy(update={"optimizer_steps_per_step": 1, "loss_normalization_tokens": limit})
    batch, loss = batch_for(answers, algorithm, limit), 0.0
    gradients = [[0.0] * len(answer.current) for answer in answers]
    for rank in range(ranks):
        for plan in plan_updates(batch, algorithm, tokens_per_microbatch, rank, ranks):
            for cut in plan.cuts:
                if not cut:
                    continue
                microbatch = pack(batch, cut, plan.weights)
                current, proximal = (
                    torch.cat([torch.tensor(getattr(answers[i], policy)).log() for i in cut])
                    for policy in ("current", "proximal")
                )
                current.requires_grad_()
                entropies = torch.zeros_like(proximal) if entropy is None else _of(entropy, answers, cut)
                ratio = importance_ratio(
                    current, proximal, microbatch.answer_lengths, algorithm.importance_sampling_level
                )
                losses = token_losses(ratio, current, proximal, entropies, microbatch, algorithm)
                total = (losses * microbatch.weights).sum()
                total.backward()
                assert current.grad is not None
                loss += total.item()
                parts = current.grad.split([len(answers[i].current) for i in cut])
                for index, part in zip(cut, parts, strict=True):
                    gradients[index] = part.tolist()
    return loss, gradients


def _of(values: Tensor, answers: Sequence[Answer], cut: Sequence[int]) -> Tensor:
    parts = values.split([len(answer.current) for answer in answers])
    return torch.cat([parts[index] for index in cut])
