"""Floating point operations of training, and what GPUs could do of them. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.trainer.random_model import Shape

# Dense bf16 with fp32 accumulation, operations a second, from NVIDIA's data sheets. The first name that fits counts.
PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
}


def model_flops(shape: Shape, lengths: Sequence[int]) -> float:
    """Of one forward and backward over packed sequences of these tokens, all of which are scored.

    Six for each weight of a matrix and token (two forward, four backward), and attention's two products over the half
    of each sequence's square that is causal. What is computed a second time to save memory is not counted, as is usual
    for utilisation (PaLM, Chowdhery et al. 2022, appendix B, there without the half).
    """
    keys = shape.key_heads * shape.head_width
    layer = shape.hidden * (2 * shape.hidden + 2 * keys + 3 * shape.intermediate)
    weights = shape.layers * layer + shape.hidden * shape.words
    squares = sum(length * length for length in lengths)
    return 6.0 * weights * sum(lengths) + 6.0 * shape.layers * shape.hidden * squares


def peak_flops(gpu: str) -> float | None:
    """What a GPU of that name could do in a second; None for one that is not in the table."""
    return next((peak for name, peak in PEAKS.items() if all(word in gpu for word in name.split())), None)
