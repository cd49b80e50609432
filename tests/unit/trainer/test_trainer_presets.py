"""Every preset's loss of a batch: worked by hand, restated from its paper, and whatever the cut and the ranks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from deepcoder_api.algorithm_spec import Preset
from deepcoder_api.presets import GRPO_PLUS, PRESETS
from tests.unit.trainer.preset_losses import Answer, preset_loss, random_answers

LIMIT = 4
# Two groups: a right and a truncated wrong answer; two wrong ones, of which the first ends just at the limit. Ratios
# are 1.5 and 1; 0.7, 1, 1, 1; 1 throughout; 1.5. The sampler's gap is 1 but for the second token: 3, held at 2.
BY_HAND = [
    Answer(0, 1.0, current=[0.6, 0.3], proximal=[0.4, 0.3], sampler=[0.4, 0.1]),
    Answer(0, 0.0, current=[0.35, 0.5, 0.5, 0.5], proximal=[0.5] * 4, sampler=[0.5] * 4, truncated=True),
    Answer(1, 0.0, current=[0.5] * 4, proximal=[0.5] * 4, sampler=[0.5] * 4),
    Answer(1, 0.0, current=[0.6], proximal=[0.4], sampler=[0.4]),
]
# Rewards 1 and 0 are 1/2 from their mean, their unbiased std is the root of a half.
A = 0.5 / (math.sqrt(0.5) + 1e-6)
# DAPO: the limit is punished with 1/2. 1 and -1/2 are 3/4 from their mean, -1/2 and 0 are 1/4.
B, C = 0.75 / (math.sqrt(1.125) + 1e-6), 0.25 / (math.sqrt(0.125) + 1e-6)
LOG = {p: math.log(p) for p in (0.3, 0.35, 0.5, 0.6)}
LOSSES: dict[Preset, float] = {
    # Means of answers: -(1.2 + 1 x 2) / 2 and (0.8 + 3) / 4; the other group has no advantage. Four answers.
    "grpo": A * (-1.6 + 0.95) / 4,
    # The truncated answer is masked: 2 + 4 + 1 tokens are left in the denominator. 1.5 is held at 1.28.
    "grpo-plus": A * (-1.28 - 2) / 7,
    # The truncated answer has no advantage, but its tokens count: 11. Nothing is clipped, nothing corrected.
    "rllm-release": A * (-1.5 - 1) / 11,
    # Advantages are +-1/2; four answers of at most four tokens.
    "dr-grpo": (-0.5 * (1.2 + 2) + 0.5 * (0.8 + 3)) / 16,
    # All 11 tokens carry loss: B x (-1.28 - 2 + 0.8 + 3), and in the other group C x (4 - 1.28).
    "dapo": (0.52 * B + 2.72 * C) / 11,
    # Ratios of answers, the root of 1.5 and the fourth root of 0.7, are held at 1.0004 and 0.9997.
    "gspo": A * (-1.0004 * (1 + 2) / 2 + 0.9997) / 4,
    # The ratio weighs log-probabilities, here within its bound of 5.
    "cispo": A * (-1.5 * LOG[0.6] - 2 * LOG[0.3] + 0.7 * LOG[0.35] + 3 * LOG[0.5]) / 11,
}


@pytest.mark.parametrize("preset", PRESETS)
def test_by_hand(preset: Preset) -> None:
    """The loss of BY_HAND."""
    loss, _ = preset_loss(BY_HAND, PRESETS[preset], limit=LIMIT)
    assert loss == pytest.approx(LOSSES[preset], rel=2e-6)


def restated(preset: Preset, answers: list[Answer], current: Tensor, limit: int) -> Tensor:
    """The papers' formulas over padded matrices [groups, answers, limit], as their authors write them."""
    groups = max(answer.group for answer in answers) + 1
    shape = (groups, len(answers) // groups, limit)
    mask, proximal, sampler = (torch.zeros(shape, dtype=torch.float64).flatten(0, 1) for _ in range(3))
    for row, answer in enumerate(answers):
        length = len(answer.current)
        mask[row, :length] = 1
        proximal[row, :length] = torch.tensor(answer.proximal, dtype=torch.float64).log()
        sampler[row, :length] = torch.tensor(answer.sampler, dtype=torch.float64).log()
    truncated = torch.tensor([answer.truncated for answer in answers])
    reward = torch.tensor([answer.reward for answer in answers], dtype=torch.float64)
    lengths, scored = mask.sum(1), reward.clone()
    if preset == "dapo":  # equation 13, with a cache of a fifth of the limit; rewards there are -1 and 1
        cache = limit / 5
        late = (limit - cache - lengths) / cache
        scored = (2 * reward - 1) + torch.where(lengths <= limit - cache, torch.zeros_like(late), late)
    grouped = scored.view(groups, -1)
    advantage = grouped - grouped.mean(1, keepdim=True)
    if preset != "dr-grpo":
        # DAPO's rewards are twice as far apart, and so is what keeps its quotient finite.
        advantage = advantage / (grouped.std(1, keepdim=True) + (2e-6 if preset == "dapo" else 1e-6))
    advantage = advantage.view(-1, 1)
    if preset == "rllm-release":
        advantage = torch.where((truncated & (reward == 0))[:, None], 0.0, advantage)
    if preset == "grpo-plus":
        mask = mask * ~truncated[:, None]
    ratio = (current - proximal).exp()
    weight = (proximal - sampler).exp().clamp(max=2)
    match preset:
        case "rllm-release":
            return ((-advantage * ratio) * mask).sum() / mask.sum()
        case "cispo":
            clipped = ratio.clamp(max=5).detach()
            return -(clipped * advantage * current * weight * mask).sum() / mask.sum()
        case "gspo":
            s = (((current - proximal) * mask).sum(1, keepdim=True) / lengths[:, None]).exp()
            surrogate = torch.min(s * advantage, s.clamp(1 - 3e-4, 1 + 4e-4) * advantage)
            return -((surrogate * weight * mask).sum(1) / lengths).mean()
    high = 0.28 if preset in ("grpo-plus", "dapo") else 0.2
    surrogate = torch.min(ratio * advantage, ratio.clamp(0.8, 1 + high) * advantage) * weight * mask
    match preset:
        case "grpo":
            return -(surrogate.sum(1) / lengths).mean()
        case "dr-grpo":
            return -surrogate.sum(1).mean() / limit
        case _:
            return -surrogate.sum() / mask.sum()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_papers_formula(preset: Preset, seed: int) -> None:
    """Loss and gradient of the batch, in one microbatch, against the padded restatement."""
    answers, limit = random_answers(seed, 10), 10
    loss, gradients = preset_loss(answers, PRESETS[preset], limit=limit)
    current = torch.zeros(len(answers), limit, dtype=torch.float64)
    for row, answer in enumerate(answers):
        current[row, : len(answer.current)] = torch.tensor(answer.current, dtype=torch.float64).log()
    current.requires_grad_()
    expected = restated(preset, answers, current, limit)
    expected.backward()
    assert current.grad is not None
    assert loss == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    for row, answer in enumerate(answers):
        padded = current.grad[row, : len(answer.current)]
        assert gradients[row] == pytest.approx(padded.tolist(), rel=1e-4, abs=1e-7)


CUT_FREE = [preset for preset in PRESETS if preset != "rllm-release"]


@given(st.integers(0, 100), st.sampled_from(CUT_FREE), st.sampled_from([13, 20, 50]), st.integers(1, 3))
def test_neither_the_cut_nor_the_ranks_change_a_loss(seed: int, preset: Preset, budget: int, ranks: int) -> None:
    """Whatever a microbatch holds and however many ranks there are: the same loss, and the same gradient."""
    answers = random_answers(seed, 10)
    loss, gradients = preset_loss(answers, PRESETS[preset], limit=10)
    again, others = preset_loss(answers, PRESETS[preset], limit=10, tokens_per_microbatch=budget, ranks=ranks)
    assert again == pytest.approx(loss, rel=1e-5, abs=1e-6)
    for found, expected in zip(others, gradients, strict=True):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(
    ("budget", "ranks", "expected"),
    [
        (12, 1, A * -2.5 / 6),  # with the truncated answer: 2 + 4 tokens
        (7, 1, A * -2.5 / 2),  # alone
        (7, 2, A * -2.5 / 2 / 2),  # alone, and averaged over two ranks
    ],
)
def test_rllm_release_depends_on_the_cut(budget: int, ranks: int, expected: float) -> None:
    """Only the first answer has an advantage: its loss is divided by the tokens of its own microbatch, and by ranks."""
    loss, _ = preset_loss(BY_HAND, PRESETS["rllm-release"], limit=LIMIT, tokens_per_microbatch=budget, ranks=ranks)
    assert loss == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_entropy_term(preset: Preset) -> None:
    """Less the coefficient times the entropy, aggregated like the loss, of answers without advantage too."""
    algorithm = PRESETS[preset].model_copy(update={"entropy_coefficient": 0.01})
    without, _ = preset_loss(BY_HAND, PRESETS[preset], limit=LIMIT)
    entropy = torch.arange(1.0, 12.0)
    # Entropies 1 2 | 3 to 6 | 7 to 10 | 11 add up to 66; by answer they are 1.5, 4.5, 8.5 and 11 on average.
    means = {
        "sequence-mean": (1.5 + 4.5 + 8.5 + 11) / 4,
        "token-mean": 66 / 11,
        "microbatch-token-mean": 66 / 11,
        "sequence-mean-token-sum-norm": 66 / 16,
    }
    expected = means[algorithm.loss_aggregation] if not algorithm.masks_truncated else (66 - 18) / 7
    found, _ = preset_loss(BY_HAND, algorithm, limit=LIMIT, entropy=entropy)
    assert found == pytest.approx(without - 0.01 * expected, rel=1e-5, abs=1e-7)


def test_without_an_entropy_term_entropies_do_not_matter() -> None:
    """They are only watched."""
    plain, _ = preset_loss(BY_HAND, GRPO_PLUS, limit=LIMIT)
    assert preset_loss(BY_HAND, GRPO_PLUS, limit=LIMIT, entropy=torch.arange(1.0, 12.0))[0] == plain
