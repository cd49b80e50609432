"""Model FLOP utilisation: the floating-point operations that a step needs, over what its GPUs could do. Pure.

PaLM's definition (arXiv:2204.02311, appendix B): what the model needs counts, what is computed again does not. A token
of a sequence of T costs 6N + 12 L H Q T in forward and backward, a third of it in a forward pass alone; L layers of H
heads of width Q, N parameters. Attention counts whole, as there, though half of it is masked. Of N the input embedding
is taken off, which multiplies nothing; where it is also the head nothing is taken off.
"""

from __future__ import annotations

from collections.abc import Iterable

from deepcoder_api.planning.model_shape import ModelShape

# Dense bf16 operations a second by the makers' data sheets, without sparsity. The first name that is in the GPU's own
# counts.
PEAK_FLOPS = (
    ("B200", 2250e12),
    ("H200", 989e12),
    ("GH200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("H800", 989e12),
    ("H20", 148e12),
    ("A100", 312e12),
    ("A800", 312e12),
    ("L40S", 362e12),
    ("L40", 181e12),
    ("L4", 121e12),
    ("A40", 150e12),
    ("A30", 165e12),
    ("A10", 125e12),
    ("RTX 4090", 165e12),
)


def training_flops(shape: ModelShape, lengths: Iterable[int]) -> float:
    """Of a forward and a backward pass over sequences of these lengths, in tokens."""
    multiplied = shape.parameters - (0 if shape.tied else shape.embedding_parameters)
    attention = 12 * shape.layers * shape.heads * shape.head_width
    return float(sum(length * (6 * multiplied + attention * length) for length in lengths))


def forward_flops(shape: ModelShape, lengths: Iterable[int]) -> float:
    """Of a forward pass alone: a third."""
    return training_flops(shape, lengths) / 3


def peak_flops(gpu: str) -> float | None:
    """bf16 operations a second of a GPU by the name that CUDA has for it; None for one that is not in the table."""
    return next((flops for name, flops in PEAK_FLOPS if name in gpu), None)


def utilization(
    shape: ModelShape, trained: list[int], proximal: list[int], seconds: float, peak: float | None
) -> dict[str, float]:
    """Metrics of one step on all ranks together. trained, proximal: tokens of each sequence of the passes with and
    without gradient; peak: operations a second of all GPUs, None where it is not known.

    trainer_tokens_per_second: tokens with gradient. trainer_flops_per_second; model_flop_utilization: 0 to 1.
    """
    each_second = (training_flops(shape, trained) + forward_flops(shape, proximal)) / max(seconds, 1e-9)
    found = {"trainer_tokens_per_second": sum(trained) / max(seconds, 1e-9), "trainer_flops_per_second": each_second}
    return found | ({"model_flop_utilization": each_second / peak} if peak else {})
