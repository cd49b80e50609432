"""What saves memory changes nothing: offload, recomputed layers, the head by chunks under ZeRO-3, fp32 accumulation.

On CPU, where DeepSpeed's offload moves nothing but takes its own way through gradients and the optimizer.
"""

from __future__ import annotations

import pytest

from deepcoder_trainer.batch import write_batch
from tests.integration.trainer.engine_world import ALONE, STEPS, TEMPERATURE, World, agree, apart
from tests.tiny_models import write_tiny_model
from tests.unit.trainer.sample_builders import random_samples, sample

COPIES = 64
WORDS = 2000  # times 64 is more than ZeRO-3 leaves whole on every rank (100,000 elements)
OFFLOADED = [("offload-1", 1, "optimizer"), ("offload-2", 2, "optimizer"), ("offload-3", 3, "parameters")]
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("engine-memory"))
    write_tiny_model(world.root / "untied")
    write_tiny_model(world.root / "wide", words=WORDS)
    write_tiny_model(world.root / "wide-tied", words=WORDS, tied=True)
    for step in range(1, STEPS + 1):
        samples = random_samples(step, groups=6)
        write_batch(samples, world.root / f"batch-{step}", step=step, temperature=TEMPERATURE, overlong_filter=True)
    for name, copies in (("one", 1), ("copies", COPIES)):
        samples = [sample(prompt_ids=range(3, 19), answer_ids=range(20, 52), advantage=1.0)] * copies
        write_batch(samples, world.root / f"batch-{name}", step=1, temperature=TEMPERATURE, overlong_filter=True)
    cut = {"tokens_per_microbatch": ALONE}
    same = {"precision": "bf16", "save_after": [1], "tokens_per_microbatch": ALONE}
    copies, one = ([str(world.root / f"batch-{name}")] for name in ("copies", "one"))
    world.launch(
        1,
        world.job("packed"),
        world.job("recomputed", gradient_checkpointing=True),
        world.job("wide", model="wide"),
        world.job("wide-tied", model="wide-tied"),
        *(world.job(f"one-{stage}", **{**same, "batches": one}, zero_stage=stage) for stage in (1, 2, 3)),
        *(world.job(f"copies-{stage}", **{**same, "batches": copies}, zero_stage=stage) for stage in (1, 2, 3)),
        world.job("copies-offload", **{**same, "batches": copies}, zero_stage=2, offload="optimizer"),
    )
    world.launch(
        2,
        *(world.job(name, zero_stage=stage, offload=what, **cut, save_after=[2]) for name, stage, what in OFFLOADED),
        world.job("offload-resumed", zero_stage=3, offload="parameters", steps=range(3, 4), **cut,
                  take_up=str(world.root / "offload-2/state-2")),
        world.job("recomputed-3", zero_stage=3, gradient_checkpointing=True, **cut),
    )  # fmt: skip
    # Longest first to the emptiest: ranks have answers of other lengths, so other numbers of chunks.
    world.launch(2, *(world.job(f"{model}-3", model=model, zero_stage=3, chunk_tokens=8, tokens_per_microbatch=100)
                      for model in ("wide", "wide-tied")))  # fmt: skip
    return world


@pytest.mark.parametrize("name", [name for name, _, _ in OFFLOADED])
def test_offload_changes_nothing(world: World, name: str) -> None:
    """ZeRO 1 and 2 with the optimizer offloaded, ZeRO 3 with the parameters too, several microbatches on two ranks."""
    assert agree(world.weights(name), world.weights("packed"))
    for found, expected in zip(world.steps(name), world.steps("packed"), strict=True):
        for metric in ("loss", "gradient_norm"):
            assert found[metric] == pytest.approx(expected[metric], rel=1e-3, abs=1e-5), metric


def test_an_offloaded_state_is_taken_up_elsewhere(world: World) -> None:
    """Saved at ZeRO 2, taken up at ZeRO 3, offloaded in both."""
    assert agree(world.weights("offload-resumed"), world.weights("packed"))


def test_recomputed_layers_are_the_same_bit_by_bit(world: World) -> None:
    """On one rank the same operations run, only twice; split over ranks they agree."""
    assert apart(world.weights("recomputed"), world.weights("packed")) == 0
    assert agree(world.weights("recomputed-3"), world.weights("packed"))


@pytest.mark.parametrize("model", ["wide", "wide-tied"])
def test_ranks_may_differ_in_chunks_under_zero_3(world: World, model: str) -> None:
    """A head that is split over ranks is gathered once for all of a rank's chunks, however many they are."""
    assert agree(world.weights(f"{model}-3"), world.weights(model))


@pytest.mark.parametrize("name", ["copies-1", "copies-2", "copies-3", "copies-offload"])
def test_bf16_gradients_add_up_in_fp32(world: World, name: str) -> None:
    """64 microbatches of one sample, each with a 64th of its weight: their sum is its gradient to the last bit.

    A bf16 sum would round at nearly every addition, for k/64 of a bf16 number is seldom one.
    """
    stage = {"copies-1": 1, "copies-2": 2, "copies-3": 3, "copies-offload": 2}[name]
    assert apart(world.state(name, 1, "exp_avg"), world.state(f"one-{stage}", 1, "exp_avg")) == 0
