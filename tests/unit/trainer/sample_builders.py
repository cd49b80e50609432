"""Samples and batches for tests of the trainer: everything has a default, a test says what it is about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepcoder_api.grading import Verdict
from deepcoder_trainer.algorithm.advantages import group_advantages
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


def random_samples(
    seed: int, *, groups: int = 8, per_group: int = 4, vocabulary: int = 250, truncated: float = 0.1
) -> list[Sample]:
    """Groups of random lengths, tokens, rewards and log-probabilities, with their advantages."""
    random = np.random.default_rng(seed)
    count = groups * per_group
    rewards, group = random.integers(0, 2, count).astype(float), np.repeat(np.arange(groups), per_group)
    advantages = group_advantages(rewards, group)
    made = []
    for index in range(count):
        answer = random.integers(3, vocabulary, random.integers(2, 30)).tolist()
        made.append(
            sample(
                prompt_ids=random.integers(3, vocabulary, random.integers(3, 20)).tolist(),
                answer_ids=answer,
                log_probabilities=(-5.0 - random.random(len(answer))).tolist(),
                finish_reason="length" if random.random() < truncated else "stop",
                reward=rewards[index],
                group=int(group[index]),
                advantage=float(advantages[index]),
            )
        )
    return made


def random_batch(seed: int, **shape: int | float) -> Batch:
    """The batch of `random_samples`, at temperature 1 and with the overlong filter."""
    samples = random_samples(seed, **shape)  # type: ignore[arg-type]
    return batch_of(samples, step=max(seed, 1), temperature=1.0, overlong_filter=True)
