"""The real engine under torchrun: what it computes does not depend on cut, ranks or ZeRO stage, and equals plain torch.

Three launches carry all tests: one rank, two ranks, one rank again on what two ranks left.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deepcoder_data.folders import file_digest
from deepcoder_trainer.batch import write_batch
from tests.integration.trainer.engine_jobs import LEARNING_RATE
from tests.integration.trainer.engine_world import (
    ALONE,
    GRADIENT_TOLERANCE,
    MEAN_TOLERANCE,
    STEPS,
    TEMPERATURE,
    WORST_TOLERANCE,
    World,
    agree,
    apart,
    largest,
    merged,
)
from tests.tiny_models import write_tiny_model
from tests.unit.trainer.sample_builders import random_samples


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("engine"))
    write_tiny_model(world.root / "untied", tied=False)
    write_tiny_model(world.root / "tied", tied=True, seed=1)
    for step in range(1, STEPS + 1):
        samples = random_samples(step, groups=6)
        write_batch(samples, world.root / f"batch-{step}", step=step, temperature=TEMPERATURE, overlong_filter=True)
    world.launch(
        1,
        world.job("packed", save_after=[1, 2, 3]),
        world.job("alone", tokens_per_microbatch=ALONE, save_after=[1]),
        world.job("zero-2", zero_stage=2, tokens_per_microbatch=128, save_after=[1]),
        world.job("resumed", steps=range(3, 4), take_up=str(world.root / "packed/state-2"), save_after=[1]),
        world.job("clipped", steps=range(1, 2), gradient_clip=0.01, save_after=[1]),
        world.job("two-updates", optimizer_steps=2),
        world.job("tied", model="tied"),
        world.job("first", steps=range(1, 2)),
        world.job("fresh", steps=range(2, 4), model="first/model", save_after=[2]),
        world.job("reset", reset_before=2, save_after=[3]),
    )
    world.launch(
        2,
        # Microbatches of 48 to 100 tokens: 24 samples less those without a loss are an odd number for two ranks.
        world.job("ranks-0", tokens_per_microbatch=ALONE, save_after=[1]),
        world.job("ranks-2", zero_stage=2, tokens_per_microbatch=100, save_after=[1]),
        world.job("ranks-3", zero_stage=3, tokens_per_microbatch=ALONE, save_after=[1, 2], shard_bytes=40_000),
        world.job("ranks-resumed", zero_stage=2, steps=range(3, 4), take_up=str(world.root / "packed/state-2")),
        world.job("ranks-3-resumed", zero_stage=3, steps=range(3, 4), take_up=str(world.root / "packed/state-2")),
        world.job("ranks-two-updates", zero_stage=3, optimizer_steps=2, tokens_per_microbatch=ALONE),
        world.job("ranks-reset", zero_stage=2, tokens_per_microbatch=ALONE, reset_before=2, save_after=[3]),
        world.job("ranks-3-reset", zero_stage=3, tokens_per_microbatch=ALONE, reset_before=2, save_after=[3]),
        world.job("ranks-tied", model="tied", zero_stage=2, tokens_per_microbatch=ALONE),
        world.job("ranks-bf16", zero_stage=2, precision="bf16", tokens_per_microbatch=100, save_after=[1, 3]),
    )
    world.launch(1, world.job("back-on-one", steps=range(3, 4), take_up=str(world.root / "ranks-3/state-2")))
    return world


@pytest.fixture(scope="module")
def plain(world: World) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of the first batch by plain torch: one padded batch, transformers' own attention, autograd."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(world.root / "untied", dtype=torch.float32)
    batch = world.batch(1)
    width, count = int(batch.lengths.max()), len(batch)
    ids, mask = torch.zeros(count, width, dtype=torch.int64), torch.zeros(count, width, dtype=torch.int64)
    sampler, answer = torch.zeros(count, width), torch.zeros(count, width, dtype=torch.bool)
    for row in range(count):
        length, prompt = int(batch.lengths[row]), int(batch.prompt_lengths[row])
        ids[row, :length] = torch.from_numpy(batch.tokens[batch.offsets[row] : batch.offsets[row + 1]]).long()
        mask[row, :length] = 1
        answer[row, prompt:length] = True
        start, end = batch.answer_offsets[row : row + 2]
        sampler[row, prompt:length] = torch.from_numpy(batch.sampler_log_probabilities[start:end])
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1] / TEMPERATURE
    current = torch.log_softmax(logits, -1).gather(2, ids[:, 1:, None])[:, :, 0]
    unmasked = answer[:, 1:] & torch.from_numpy(batch.carries_loss)[:, None]
    ratio = (current - current.detach()).exp()
    correction = (current.detach() - sampler[:, 1:]).exp().clamp(max=2.0)
    losses = -ratio * torch.from_numpy(batch.advantages)[:, None] * correction
    loss = losses[unmasked].sum() / unmasked.sum()
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


JOBS = ["packed", "alone", "zero-2", "ranks-0", "ranks-2", "ranks-3"]


@pytest.mark.parametrize("name", JOBS)
def test_loss_and_gradients_are_those_of_plain_torch(
    world: World, plain: tuple[float, dict[str, Tensor]], name: str
) -> None:
    """Packed or one by one, on one rank or two, split or whole: the same gradient (first moment / 0.1)."""
    loss, gradients = plain
    found = {key: value / 0.1 for key, value in world.state(name, 1, "exp_avg").items()}
    step = world.steps(name)[0]
    norm = torch.stack([one.double().square().sum() for one in gradients.values()]).sum().sqrt().item()
    assert step["loss"] == pytest.approx(loss, rel=1e-4, abs=1e-6)
    assert step["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    assert apart(found, gradients) < GRADIENT_TOLERANCE * largest(gradients)


@pytest.mark.parametrize("name", [name for name in JOBS if name != "packed"])
def test_three_steps_end_in_the_same_weights(world: World, name: str) -> None:
    """Updates and metrics agree to the last step, whatever the cut, the ranks and the ZeRO stage."""
    moved = apart(world.weights("packed"), merged(world.root / "untied"))
    assert moved > LEARNING_RATE  # the weights did move
    assert agree(world.weights(name), world.weights("packed"))
    for found, expected in zip(world.steps(name), world.steps("packed"), strict=True):
        for metric in ("loss", "entropy", "sampler_kl", "gradient_norm"):
            assert found[metric] == pytest.approx(expected[metric], rel=1e-3, abs=1e-5), metric
        assert found["computed_samples"] == expected["computed_samples"]


def test_several_optimizer_steps_keep_the_proximal_policy(world: World) -> None:
    """Two updates a batch: the second one's ratio is against the weights before the first, on one rank and on two."""
    assert [step["updates"] for step in world.steps("two-updates")] == [2.0] * STEPS
    assert agree(world.weights("ranks-two-updates"), world.weights("two-updates"))
    assert apart(world.weights("two-updates"), world.weights("packed")) > LEARNING_RATE / 2
    # A ratio that is always one would never be clipped.
    clipped = [step["clip_fraction_low"] + step["clip_fraction_high"] for step in world.steps("two-updates")]
    assert max(clipped) > 0
    assert all(step["clip_fraction_high"] == 0 for step in world.steps("packed"))


def test_the_gradient_is_clipped_by_its_norm(world: World) -> None:
    """What reaches Adam has the norm that was allowed; the metric tells the norm before."""
    moment = world.state("clipped", 1, "exp_avg")
    norm = torch.stack([(one.double() / 0.1).square().sum() for one in moment.values()]).sum().sqrt().item()
    assert norm == pytest.approx(0.01, rel=1e-3)
    assert world.steps("clipped")[0]["gradient_norm"] == pytest.approx(world.steps("packed")[0]["gradient_norm"])


def test_a_resume_on_as_many_ranks_is_the_same_bit_by_bit(world: World) -> None:
    """Two steps, a saved state, the third step elsewhere: weights and moments are those of the run that went on."""
    assert apart(world.weights("resumed"), world.weights("packed")) == 0
    for kind in ("weight", "exp_avg", "exp_avg_sq"):
        assert apart(world.state("resumed", 1, kind), world.state("packed", 3, kind)) == 0


@pytest.mark.parametrize("name", ["ranks-resumed", "ranks-3-resumed", "back-on-one"])
def test_another_number_of_ranks_takes_a_state_up(world: World, name: str) -> None:
    """From one rank to two at ZeRO 2 and 3, and from two at ZeRO 3, in several shards, back to one."""
    assert len(list((world.root / "ranks-3/state-2").glob("optimizer-*.safetensors"))) > 1
    assert agree(world.weights(name), world.weights("packed"))


def test_an_optimizer_that_was_reset_is_as_one_that_never_stepped(world: World) -> None:
    """One step, then an empty Adam: bit by bit what a new engine makes of the weights after that step."""
    assert apart(world.weights("reset"), world.weights("fresh")) == 0
    for kind in ("exp_avg", "exp_avg_sq"):
        assert apart(world.state("reset", 3, kind), world.state("fresh", 2, kind)) == 0
    assert apart(world.weights("reset"), world.weights("packed")) > LEARNING_RATE / 10


@pytest.mark.parametrize("name", ["ranks-reset", "ranks-3-reset"])
def test_every_rank_resets_its_part_of_the_optimizer(world: World, name: str) -> None:
    """ZeRO 2 and 3 over two ranks: the same weights on average, which without the reset are most of a step apart.

    Adam's first step is the sign of the gradient, so a weight whose gradient is rounding alone may go the other way:
    one of 115,776 was seen to. Moments were seen to agree to 8e-5 of the largest.
    """
    found, expected = world.weights(name), world.weights("reset")
    gaps = torch.cat([(found[key] - expected[key]).abs().flatten() for key in expected])
    assert gaps.mean() < MEAN_TOLERANCE
    assert int((gaps > WORST_TOLERANCE).sum()) <= 5
    for kind in ("exp_avg", "exp_avg_sq"):
        moments = world.state("reset", 3, kind)
        assert apart(world.state(name, 3, kind), moments) < 1e-3 * largest(moments)


@pytest.mark.parametrize("name", ["tied", "ranks-tied"])
def test_a_tied_weight_is_written_once_and_loads_as_it_is(world: World, name: str) -> None:
    """The published names are those of the base model, without lm_head; transformers ties it again."""
    from transformers import AutoModelForCausalLM

    published = world.weights(name)
    assert published.keys() == merged(world.root / "tied").keys()
    assert "lm_head.weight" not in published
    assert agree(published, world.weights("tied"))
    model = AutoModelForCausalLM.from_pretrained(world.root / name / "model", dtype=torch.float32)
    assert torch.equal(model.lm_head.weight, published["model.embed_tokens.weight"])


@pytest.mark.parametrize("name", ["ranks-0", "ranks-2", "ranks-3"])
def test_each_rank_publishes_its_share_of_the_weights(world: World, name: str) -> None:
    """Together the shares are all files, none is in two, each has its digest, and no rank keeps much more than half."""
    shares = [world.share(name, rank) for rank in (0, 1)]
    files = sorted((world.root / name / "published").iterdir())
    told = sorted((digest for share in shares for digest in share), key=lambda digest: digest.path)
    assert told == [file_digest(file, file.name) for file in files]
    sizes = [sum(digest.bytes for digest in share) for share in shares]
    assert max(sizes) < 0.7 * sum(sizes)
    assert apart(world.weights(name), world.weights(name, "model")) == 0


@pytest.mark.parametrize("name", ["packed", "ranks-3"])
def test_the_saved_model_loads_as_it_is(world: World, name: str) -> None:
    """In one shard or in several with their index, with tokenizer and template beside, and as it was published."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = world.root / name / "model"
    assert (folder / "model.safetensors.index.json").exists() is (name == "ranks-3")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    published = world.weights(name)
    assert all(torch.equal(value, published[key]) for key, value in model.state_dict().items())
    assert AutoTokenizer.from_pretrained(folder).chat_template


def test_bf16_weights_are_rounded_from_fp32_ones(world: World) -> None:
    """What is published is bf16; what is kept, moments and gradients too, is fp32, so that small updates add up."""
    published, kept = world.weights("ranks-bf16"), world.state("ranks-bf16", 3, "weight")
    assert {tensor.dtype for tensor in published.values()} == {torch.bfloat16}
    assert apart(published, {name: tensor.bfloat16() for name, tensor in kept.items()}) == 0
    assert any((tensor != tensor.bfloat16().float()).any() for tensor in kept.values())
    # bf16 has 8 bits of precision; its norm stays within a few percent of that in fp32.
    norms = [world.steps(name)[0]["gradient_norm"] for name in ("ranks-bf16", "packed")]
    assert norms[0] == pytest.approx(norms[1], rel=0.05)
