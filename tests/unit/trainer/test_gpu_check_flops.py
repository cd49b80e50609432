"""Operations of training, worked out by hand and against transformers' own count of weights."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gpu_check.flops import model_flops, peak_flops
from benchmarks.gpu_check.lengths import unequal
from benchmarks.trainer.random_model import Shape

SMALL = Shape(layers=2, hidden=8, intermediate=16, heads=4, key_heads=2, words=32)


def test_operations_by_hand() -> None:
    """A layer has 8x8 twice, 8x4 twice and 8x16 three times, 576 weights; the head 256: 1408 in all.

    Tokens 3 and 5: 6 x 1408 x 8 for matrices, and 6 x 2 x 8 x (9 + 25) for attention.
    """
    assert model_flops(SMALL, [3, 5]) == 6 * 1408 * 8 + 6 * 2 * 8 * 34


def test_packing_saves_attention_alone() -> None:
    """Eight tokens as one sequence cost more than as two."""
    assert model_flops(SMALL, [8]) - model_flops(SMALL, [3, 5]) == 6 * 2 * 8 * (64 - 34)


def test_fourteen_billion_is_what_the_shape_comes_to() -> None:
    """Matrices of 48 layers and the head are 14.0 of the model's 14.8 billion weights; the embedding is looked up."""
    whole = Shape(layers=48, hidden=5120, intermediate=13_824, heads=40, key_heads=8, words=152_064)
    assert model_flops(whole, [1]) / 6 == pytest.approx(13.99e9, rel=0.001)


@pytest.mark.parametrize(
    ("gpu", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce GTX 1080", None),
    ],
)
def test_what_a_gpu_could_do(gpu: str, tera: int | None) -> None:
    """By the name that torch tells; an unknown one has no utilisation rather than a wrong one."""
    assert peak_flops(gpu) == (None if tera is None else tera * 1e12)


@given(st.integers(64, 100_000))
def test_unequal_lengths_add_up(tokens: int) -> None:
    """No sequence is empty, and one has a single token."""
    lengths = unequal(tokens)
    assert sum(lengths) == tokens
    assert min(lengths) == 1
