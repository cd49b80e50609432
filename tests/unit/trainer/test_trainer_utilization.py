"""Model FLOP utilisation, by hand and against torch's own count of a real forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2Config, Qwen2ForCausalLM

from deepcoder_api.planning.model_shape import ModelShape, model_shape
from deepcoder_trainer.utilization import forward_flops, peak_flops, training_flops, utilization

SHAPE = ModelShape(
    family="llama", layers=2, hidden=8, heads=2, key_value_heads=2, head_width=4, intermediate=16, vocabulary=10
)


def test_operations_by_hand() -> None:
    """6N + 12 L H Q T for each token, N without the input embedding; a third of it forward."""
    layer = 4 * 8 * 8 + 3 * 8 * 16 + 2 * 8
    parameters = 2 * layer + 10 * 8 + 8
    assert training_flops(SHAPE, [3, 5]) == (3 + 5) * 6 * parameters + 12 * 2 * 2 * 4 * (9 + 25)
    assert forward_flops(SHAPE, [3, 5]) == training_flops(SHAPE, [3, 5]) / 3


def test_palms_own_example() -> None:
    """PaLM 540B, appendix B: 238,300 tokens a second on 6,144 TPU v4 of 275 TFLOP/s are 46.2 % with attention.

    118 layers, 48 heads of 256, 2,048 tokens; its N counts the shared embedding whole.
    """
    n, attention = 540.35e9, 12 * 118 * 48 * 256 * 2048
    assert (6 * n + attention) * 238_300 / (6144 * 275e12) == pytest.approx(0.462, abs=0.003)


def test_operations_are_those_that_torch_counts() -> None:
    """Of matrix products in a Qwen2 with eager attention, which computes what is masked too: to 1 %."""
    config = Qwen2Config(
        vocab_size=300, hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, attn_implementation="eager",
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    ids = torch.zeros(1, 128, dtype=torch.int64)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        model(ids)
    with FlopCounterMode(display=False) as both:
        model(ids).logits.sum().backward()
    shape = model_shape(config.to_dict())
    assert both.get_total_flops() == pytest.approx(training_flops(shape, [128]), rel=0.01)
    assert forward.get_total_flops() == pytest.approx(forward_flops(shape, [128]), rel=0.01)


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA H20", 148),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("Tesla T4", None),
    ],
)
def test_peak_is_known_by_the_gpus_name(name: str, teraflops: float | None) -> None:
    """The names that CUDA gives."""
    assert peak_flops(name) == (teraflops * 1e12 if teraflops else None)


def test_metrics_of_a_step() -> None:
    """Passes with and without gradient count; without a peak there is no share of it."""
    needed = training_flops(SHAPE, [3, 5]) + forward_flops(SHAPE, [5])
    assert utilization(SHAPE, [3, 5], [5], 2.0, needed) == {
        "trainer_tokens_per_second": 4.0,
        "trainer_flops_per_second": needed / 2,
        "model_flop_utilization": 0.5,
    }
    assert "model_flop_utilization" not in utilization(SHAPE, [3], [], 2.0, None)
