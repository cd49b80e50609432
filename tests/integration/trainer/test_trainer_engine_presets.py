"""Every preset through the real engine under torchrun: the gradient of plain torch, whatever the cut and the ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from deepcoder_api.algorithm_spec import Preset
from deepcoder_api.presets import PRESETS
from deepcoder_trainer.batch import Batch, read_batch, write_batch
from deepcoder_trainer.packing import partition
from tests.integration.trainer.engine_jobs import NORMALIZATION_TOKENS, Job
from tests.integration.trainer.engine_world import (
    ALONE,
    GRADIENT_TOLERANCE,
    PACKED,
    TEMPERATURE,
    World,
    agree,
    apart,
    largest,
)
from tests.tiny_models import write_tiny_model
from tests.unit.trainer.sample_builders import random_samples

CUT_FREE: list[Preset] = [preset for preset in PRESETS if preset != "rllm-release"]
ENTROPY = 0.01
pytestmark = pytest.mark.timeout(900)  # the launches of 22 engines are in the first test's time
SMALL = 100  # tokens a microbatch: several samples in each, and several of each rank


def batch(world: World, preset: Preset, step: int = 1) -> Path:
    """The file of a preset's own advantages."""
    return world.root / f"batch-{preset}-{step}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("presets"))
    write_tiny_model(world.root / "untied", tied=False)
    for preset, algorithm in PRESETS.items():
        for step in (1, 2):
            write_batch(
                random_samples(step, groups=6, truncated=0.3, algorithm=algorithm), batch(world, preset, step),
                step=step, temperature=TEMPERATURE, overlong_filter=algorithm.masks_truncated,
            )  # fmt: skip

    def job(name: str, preset: Preset, batches: int, **changes) -> Job:
        files = [str(batch(world, preset, step)) for step in range(1, batches + 1)]
        return world.job(f"{name}-{preset}", preset=preset, batches=files, **changes)

    entropy = {"entropy_coefficient": ENTROPY, "save_after": [1]}
    world.launch(
        1,
        *(job("first", preset, 1, save_after=[1]) for preset in PRESETS),
        *(job("two-updates", preset, 2, optimizer_steps=2) for preset in CUT_FREE),
        job("entropy", "grpo-plus", 1, **entropy),
    )
    two_ranks = {"zero_stage": 2, "optimizer_steps": 2, "tokens_per_microbatch": ALONE}
    world.launch(
        2,
        *(job("ranks-two-updates", preset, 2, **two_ranks) for preset in CUT_FREE),
        job("ranks-first", "rllm-release", 1, zero_stage=2, tokens_per_microbatch=SMALL, save_after=[1]),
        job("ranks-entropy", "grpo-plus", 1, zero_stage=2, tokens_per_microbatch=ALONE, **entropy),
    )
    return world


def sample_weights(of: Batch, preset: Preset, tokens_per_microbatch: int, ranks: int) -> Tensor:
    """The weight of a token of each sample, [samples], spelled out for each preset."""
    lengths, carries = torch.from_numpy(of.answer_lengths).double(), torch.from_numpy(of.carries_loss)
    match preset:
        case "grpo" | "gspo":
            return 1 / (len(of) * lengths)
        case "dr-grpo":
            return torch.full_like(lengths, 1 / (len(of) * NORMALIZATION_TOKENS))
        case "rllm-release":
            weights = torch.zeros_like(lengths)
            for cuts in partition([int(length) for length in of.lengths], tokens_per_microbatch, ranks):
                for cut in cuts:
                    weights[list(cut)] = 1 / (ranks * lengths[list(cut)].sum())
            return weights
        case _:
            return carries / lengths[carries].sum()


def plain(
    world: World, preset: Preset, *, entropy_coefficient: float = 0.0, tokens: int = PACKED, ranks: int = 1
) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of the first batch by plain torch: sample by sample, transformers' own attention, autograd.

    Before the first update every ratio is one, and what the presets differ in is all else.
    """
    model = AutoModelForCausalLM.from_pretrained(world.root / "untied", dtype=torch.float32)
    of, total = read_batch(batch(world, preset)), torch.zeros(())
    weights = sample_weights(of, preset, tokens, ranks)
    for row in range(len(of)):
        ids = torch.from_numpy(of.tokens[of.offsets[row] : of.offsets[row + 1]]).long()
        prompt, (start, end) = int(of.prompt_lengths[row]), of.answer_offsets[row : row + 2]
        policy = torch.distributions.Categorical(logits=model(ids[None]).logits[0, prompt - 1 : -1] / TEMPERATURE)
        current, sampler = policy.log_prob(ids[prompt:]), torch.from_numpy(of.sampler_log_probabilities[start:end])
        score = current if preset == "cispo" else (current - current.detach()).exp()
        if preset == "gspo":
            score = (current - current.detach()).mean().exp().expand(len(current))
        correction = (current.detach() - sampler).exp().clamp(max=2.0) if preset != "rllm-release" else 1.0
        losses = -float(of.advantages[row]) * score * correction - entropy_coefficient * policy.entropy()
        total = total + float(weights[row]) * losses.sum()
    total.backward()
    return total.item(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_first_update(world: World, job: str, expected: tuple[float, dict[str, Tensor]]) -> None:
    """Its loss and its gradient, which is the first moment over 0.1."""
    loss, gradients = expected
    found = {key: value / 0.1 for key, value in world.state(job, 1, "exp_avg").items()}
    assert world.steps(job)[0]["loss"] == pytest.approx(loss, rel=1e-4, abs=1e-6)
    assert apart(found, gradients) < GRADIENT_TOLERANCE * largest(gradients)


@pytest.mark.parametrize("preset", PRESETS)
def test_loss_and_gradients_are_those_of_plain_torch(world: World, preset: Preset) -> None:
    """The first update of each preset, on one rank and in one microbatch."""
    assert_first_update(world, f"first-{preset}", plain(world, preset))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_share_of_groups_with_signal(world: World, preset: Preset) -> None:
    """Of six groups, those with an advantage: under dapo also one whose grades are equal and whose lengths are not."""
    of = read_batch(batch(world, preset))
    signal = {int(group) for group, advantage in zip(of.groups, of.advantages, strict=True) if advantage != 0}
    assert world.steps(f"first-{preset}")[0]["group_signal_fraction"] == pytest.approx(len(signal) / 6)


@pytest.mark.parametrize("preset", CUT_FREE)
def test_two_ranks_and_another_cut_end_in_the_same_weights(world: World, preset: Preset) -> None:
    """Two steps of two updates: ratios are no longer one, one sample a microbatch, ZeRO 2; metrics agree too."""
    one, two = f"two-updates-{preset}", f"ranks-two-updates-{preset}"
    assert agree(world.weights(two), world.weights(one))
    for found, expected in zip(world.steps(two), world.steps(one), strict=True):
        assert expected["updates"] == 2
        for metric in ("loss", "entropy", "sampler_kl", "gradient_norm", "group_signal_fraction"):
            assert found[metric] == pytest.approx(expected[metric], rel=1e-3, abs=1e-5), metric


def test_rllm_release_averages_its_microbatches_over_ranks(world: World) -> None:
    """On two ranks its loss is another than on one, and is the one that it is said to be."""
    expected = plain(world, "rllm-release", tokens=SMALL, ranks=2)
    assert_first_update(world, "ranks-first-rllm-release", expected)
    assert expected[0] != pytest.approx(plain(world, "rllm-release")[0], rel=1e-2)


@pytest.mark.parametrize("job", ["entropy-grpo-plus", "ranks-entropy-grpo-plus"])
def test_the_entropy_term_is_exact(world: World, job: str) -> None:
    """Its gradient is that of the entropy over the whole vocabulary, in whatever chunks it is taken."""
    expected = plain(world, "grpo-plus", entropy_coefficient=ENTROPY)
    assert_first_update(world, job, expected)
    without = plain(world, "grpo-plus")[1]
    assert apart(expected[1], without) > 100 * GRADIENT_TOLERANCE * largest(without)
