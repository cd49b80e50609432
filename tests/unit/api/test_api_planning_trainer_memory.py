"""Memory of a trainer rank, by hand and against the ZeRO paper's own figures."""

from __future__ import annotations

from typing import Literal

import pytest

from deepcoder_api.planning.model_shape import model_shape
from deepcoder_api.planning.trainer_memory import ParameterBytes, parameter_bytes, state_memory, trainer_memory
from deepcoder_api.training_run import Offload
from tests.model_configs import QWEN2_5_14B

PAPER = ParameterBytes(weight=2, gradient=2, optimizer=12)


@pytest.mark.parametrize(("stage", "gigabytes"), [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_zero_papers_example(stage: int, gigabytes: float) -> None:
    """arXiv:1910.02054, figure 1: 7.5 billion parameters of 16 bytes on 64 ranks."""
    memory = state_memory(7_500_000_000, PAPER, stage, 64)
    assert round(memory.total / 1e9, 1) == gigabytes


@pytest.mark.parametrize(
    ("precision", "stage", "each"),
    [
        ("bf16", 1, ParameterBytes(2, 6, 12)),
        ("bf16", 2, ParameterBytes(2, 4, 12)),
        ("bf16", 3, ParameterBytes(2, 4, 12)),
        ("fp32", 0, ParameterBytes(4, 4, 8)),
        ("fp32", 2, ParameterBytes(4, 4, 12)),
    ],
)
def test_bytes_of_a_parameter(precision: Literal["bf16", "fp32"], stage: int, each: ParameterBytes) -> None:
    """fp32 gradients and moments, and an fp32 copy where weights are bf16 or shared."""
    assert parameter_bytes(precision, stage) == each


def test_14b_on_eight_ranks_with_34816_tokens() -> None:
    """Each part by hand: 18 bytes a parameter by 8, one hidden state a layer, one layer, one chunk of the head."""
    shape = model_shape(QWEN2_5_14B)
    memory = trainer_memory(shape, precision="bf16", zero_stage=3, ranks=8, tokens=34816)
    assert memory.state.total == 18 * 14_770_033_664 // 8
    assert memory.checkpoints == 34816 * 48 * 5120 * 2
    norms, attention, mlp = 2 * 5120 * 10, 2 * 2 * 128 * 48, 4 * 2 * 13824
    assert memory.layer == 34816 * (norms + attention + mlp + 3 * 2 * 13824)
    assert memory.head == 1024 * 152064 * 18 + 2 * 34816 * 5120 * 2
    assert memory.buffers == 778_567_680 * 4 + 1_000_000_000 * 2
    assert memory.total == memory.state.total + memory.buffers + memory.checkpoints + memory.layer


def test_a_microbatch_of_twice_the_tokens_has_twice_the_activations() -> None:
    """Nothing in them grows with the square of the tokens, and the state does not grow at all."""
    shape = model_shape(QWEN2_5_14B)
    one, two = (trainer_memory(shape, precision="bf16", zero_stage=3, ranks=8, tokens=n) for n in (16384, 32768))
    assert two.activations == 2 * one.activations
    assert two.state == one.state


def test_layers_that_are_not_computed_again_are_kept_whole() -> None:
    """Checkpointing's gain: a layer's input in place of all that it keeps."""
    shape = model_shape(QWEN2_5_14B)
    whole = trainer_memory(shape, precision="bf16", zero_stage=3, ranks=8, tokens=8192, recomputes=False)
    again = trainer_memory(shape, precision="bf16", zero_stage=3, ranks=8, tokens=8192)
    assert whole.checkpoints > 20 * again.checkpoints


@pytest.mark.parametrize(
    ("precision", "stage", "offload", "each"),
    [
        ("bf16", 1, "optimizer", ParameterBytes(2, 4, 0, offloaded=4 + 8 + 4 + 2)),
        ("bf16", 2, "optimizer", ParameterBytes(2, 4, 0, offloaded=4 + 8 + 4 + 2)),
        ("fp32", 2, "optimizer", ParameterBytes(4, 0, 0, offloaded=4 + 8 + 4 + 4 + 4)),
        ("bf16", 3, "optimizer", ParameterBytes(2, 0, 0, offloaded=4 + 8 + 4 + 4)),
        ("bf16", 3, "parameters", ParameterBytes(0, 0, 0, offloaded=4 + 8 + 4 + 4 + 2)),
    ],
)
def test_bytes_of_an_offloaded_parameter(
    precision: Literal["bf16", "fp32"], stage: int, offload: Offload, each: ParameterBytes
) -> None:
    """Master weight, moments and gradient in the node; the updated weight, sums and the weight itself by stage."""
    assert parameter_bytes(precision, stage, offload) == each


def test_14b_on_8_ranks_with_the_optimizer_offloaded() -> None:
    """ZeRO 2: 27.5 GiB of whole weights and 6.9 of gradients stay on the GPU, 31 GiB a rank go to the node."""
    shape, parameters = model_shape(QWEN2_5_14B), 14_770_033_664
    memory = trainer_memory(shape, precision="bf16", zero_stage=2, ranks=8, tokens=17408, offload="optimizer")
    assert memory.state.weights == 2 * parameters
    assert memory.state.gradients == 4 * parameters // 8
    assert (memory.state.optimizer, memory.update) == (0, 0)
    assert memory.state.offloaded == 18 * parameters // 8
    assert memory.published == 2 * 2 * parameters // 8
    here = trainer_memory(shape, precision="bf16", zero_stage=2, ranks=8, tokens=17408)
    assert here.state.offloaded == 0
    assert here.state.total - memory.state.total == 12 * parameters // 8
    assert here.activations == memory.activations


def test_offloaded_parameters_leave_no_state_on_the_gpu() -> None:
    """What is gathered and reduced at a time is there, and activations as large as ever."""
    shape, parameters = model_shape(QWEN2_5_14B), 14_770_033_664
    memory = trainer_memory(shape, precision="bf16", zero_stage=3, ranks=8, tokens=17408, offload="parameters")
    assert memory.state.total == 0
    assert memory.state.offloaded == 22 * parameters // 8
    assert memory.total == memory.buffers + memory.activations
    assert memory.activations == 17408 * 48 * 5120 * 2 + memory.layer
