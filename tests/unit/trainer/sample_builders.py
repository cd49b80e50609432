"""Samples and batches for tests of the trainer: everything has a default, a test says what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.grading import Verdict
from deepcoder_api.presets import GRPO_PLUS
from deepcoder_trainer.algorithm.overlong import answer_advantages
from deepcoder_trainer.batch import Batch, batch_of
from deepcoder_trainer.samples import FinishReason, Sample


def sample(
    *,
    prompt_ids: Sequence[int] = (1, 2, 3),
    answer_ids: Sequence[int] = (4, 5),
    log_probabilities: Sequence[float] | None = None,
    finish_reason: FinishReason = "stop",
    reward: float = 1.0,
    group: int = 0,
    advantage: float = 0.0,
) -> Sample:
    """One answer; its log-probabilities are -1 unless given."""
    return Sample(
        problem_id=f"problem-{group}",
        prompt="",
        answer="",
        prompt_ids=tuple(prompt_ids),
        answer_ids=tuple(answer_ids),
        log_probabilities=tuple(log_probabilities or [-1.0] * len(answer_ids)),
        versions=(0,) * len(answer_ids),
        finish_reason=finish_reason,
        verdict=Verdict.ACCEPTED if reward else Verdict.WRONG_ANSWER,
        test_verdicts=(),
        reward=reward,
        group=group,
        advantage=advantage,
        epoch=0,
    )


LONGEST_ANSWER = 29
"""In tokens, of `random_samples`."""


def random_samples(
    seed: int, *, groups: int = 8, per_group: int = 4, vocabulary: int = 250, truncated: float = 0.1,
    algorithm: Algorithm = GRPO_PLUS,
) -> list[Sample]:  # fmt: skip
    """Groups of random lengths, tokens, rewards and log-probabilities, with the advantages that `algorithm` gives.

    Whether one is truncated is drawn too, whatever its length.
    """
    random = np.random.default_rng(seed)
    count = groups * per_group
    rewards, group = random.integers(0, 2, count).astype(float), np.repeat(np.arange(groups), per_group)
    made = []
    for index in range(count):
        answer = random.integers(3, vocabulary, random.integers(2, LONGEST_ANSWER + 1)).tolist()
        made.append(
            sample(
                prompt_ids=random.integers(3, vocabulary, random.integers(3, 20)).tolist(),
                answer_ids=answer,
                log_probabilities=(-5.0 - random.random(len(answer))).tolist(),
                finish_reason="length" if random.random() < truncated else "stop",
                reward=rewards[index],
                group=int(group[index]),
            )
        )
    advantages = answer_advantages(
        rewards, group, [one.truncated for one in made], [len(one.answer_ids) for one in made],
        max_response_tokens=LONGEST_ANSWER, algorithm=algorithm,
    )  # fmt: skip
    return [replace(one, advantage=float(value)) for one, value in zip(made, advantages, strict=True)]


def random_batch(seed: int, **shape: int | float) -> Batch:
    """The batch of `random_samples`, at temperature 1 and with the overlong filter."""
    samples = random_samples(seed, **shape)  # type: ignore[arg-type]
    return batch_of(samples, step=max(seed, 1), temperature=1.0, overlong_filter=True)
