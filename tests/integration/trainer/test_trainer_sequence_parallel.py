"""Ranks that share each microbatch compute what one rank does: attention alone, then whole steps of the real engine.

With packed sequences of unequal lengths, lengths that the ranks do not divide, fewer key heads than ranks, every ZeRO
stage, and sequence groups beside each other.
"""

from __future__ import annotations

import json

import pytest

from deepcoder_api.presets import PRESETS
from deepcoder_trainer.batch import write_batch
from tests.integration.trainer.engine_world import (
    ALONE,
    GRADIENT_TOLERANCE,
    STEPS,
    TEMPERATURE,
    World,
    agree,
    apart,
    largest,
)
from tests.integration.trainer.sequence_attention_job import CASES
from tests.tiny_models import write_tiny_model
from tests.unit.trainer.sample_builders import random_samples
from tests.warm_ranks import start_ranks

HALF = ALONE // 2  # tokens of a rank: two together hold the longest sample
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def attention(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    """The largest differences of each case, in their order."""
    file = tmp_path_factory.mktemp("attention") / "differences.json"
    job = "tests.integration.trainer.sequence_attention_job"
    start_ranks(4, job, [str(file)], file.with_suffix(".log")).finish(300)
    return json.loads(file.read_text())


@pytest.mark.parametrize("number", range(len(CASES)))
def test_shared_attention_is_that_of_one_rank(attention: list[dict[str, float]], number: int) -> None:
    """Outcome and gradients, with grouped and repeated key heads and sliding windows. fp32: seen below 1e-6."""
    assert max(attention[number].values()) < 1e-5, CASES[number]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("sequence-parallel"))
    write_tiny_model(world.root / "untied")
    write_tiny_model(world.root / "one-key-head", heads=4, key_heads=1)
    for step in range(1, STEPS + 1):
        samples = random_samples(step, groups=6)
        write_batch(samples, world.root / f"batch-{step}", step=step, temperature=TEMPERATURE, overlong_filter=True)
    gspo = random_samples(4, groups=6, algorithm=PRESETS["gspo"])
    write_batch(gspo, world.root / "batch-gspo", step=1, temperature=TEMPERATURE, overlong_filter=False)
    whole_answers = {"preset": "gspo", "batches": [str(world.root / "batch-gspo")], "optimizer_steps": 2}
    spread = {"entropy_coefficient": 0.01}
    rllm = {"preset": "rllm-release", "steps": range(1, 2), "save_after": [1]}
    world.launch(
        1,
        world.job("packed", save_after=[1]),
        world.job("one-key-head-alone", model="one-key-head"),
        world.job("gspo", **whole_answers, **spread),
        world.job("rllm", **rllm, tokens_per_microbatch=100),
        world.job("bf16", precision="bf16", save_after=[1]),
    )
    shared = {"sequence_parallel": 2}
    world.launch(
        2,
        # All of a batch on two ranks: sequences cut anywhere. Then each sample alone on two ranks, padded to be even.
        world.job("shared-0", **shared, save_after=[1]),
        world.job("shared-2", zero_stage=2, tokens_per_microbatch=HALF, **shared, save_after=[1]),
        world.job("shared-3", zero_stage=3, tokens_per_microbatch=HALF, **shared, save_after=[1]),
        world.job("shared-recomputed", zero_stage=2, gradient_checkpointing=True, **shared, save_after=[1]),
        world.job("shared-one-key-head", model="one-key-head", zero_stage=2, **shared),
        world.job("shared-gspo", zero_stage=2, tokens_per_microbatch=HALF, **whole_answers, **spread, **shared),
        world.job("shared-rllm", zero_stage=2, **rllm, tokens_per_microbatch=50, **shared),
        world.job("shared-bf16", zero_stage=2, precision="bf16", **shared, save_after=[1]),
    )
    world.launch(
        4,
        world.job("groups-2", zero_stage=2, tokens_per_microbatch=HALF, **shared, save_after=[1]),
        world.job("groups-3", zero_stage=3, tokens_per_microbatch=HALF, **shared, save_after=[1]),
        world.job("four", model="one-key-head", zero_stage=2, sequence_parallel=4, tokens_per_microbatch=HALF),
    )
    return world


SHARED = ["shared-0", "shared-2", "shared-3", "shared-recomputed", "groups-2", "groups-3"]


@pytest.mark.parametrize("name", SHARED)
def test_loss_and_gradients_are_those_of_one_rank(world: World, name: str) -> None:
    """Packed whole or sample by sample, two ranks a microbatch, one or two groups: the same gradient (moment / 0.1)."""
    found, expected = (world.state(job, 1, "exp_avg") for job in (name, "packed"))
    assert apart(found, expected) < GRADIENT_TOLERANCE * largest(expected)
    first, reference = world.steps(name)[0], world.steps("packed")[0]
    for metric in ("loss", "entropy", "sampler_kl", "gradient_norm"):
        assert first[metric] == pytest.approx(reference[metric], rel=1e-4, abs=1e-6), metric


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, "packed") for name in SHARED),
        ("shared-one-key-head", "one-key-head-alone"),
        ("four", "one-key-head-alone"),
        ("shared-gspo", "gspo"),
        ("shared-rllm", "rllm"),
    ],
)
def test_steps_end_in_the_same_weights(world: World, name: str, expected: str) -> None:
    """Three steps; key heads that are sent twice or four times; ratios of whole answers that two ranks hold the parts
    of, with an entropy term and a proximal policy; and a mean of each microbatch, whose cut stays the same."""
    assert agree(world.weights(name), world.weights(expected))
    for found, reference in zip(world.steps(name), world.steps(expected), strict=True):
        for metric in ("loss", "entropy", "gradient_norm", "clip_fraction_low", "clip_fraction_high"):
            assert found[metric] == pytest.approx(reference[metric], rel=1e-3, abs=1e-5), metric


def test_bf16_is_shared_too(world: World) -> None:
    """Exchanges move bf16 as it is; what differs is the order of sums in fp32 and bf16's own rounding of them."""
    norms = [world.steps(name)[0]["gradient_norm"] for name in ("shared-bf16", "bf16")]
    assert norms[0] == pytest.approx(norms[1], rel=0.02)
