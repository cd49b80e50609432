"""Attention over packed sequences, against the formula written out."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from transformers import Qwen2Config, Qwen3NextConfig

from deepcoder_trainer.attention import check_architecture, packed_arguments, packed_attention
from deepcoder_trainer.model_files import ModelFilesError

LENGTHS = [5, 1, 7]
BOUNDARIES = torch.tensor([0, 5, 6, 13], dtype=torch.int32)


def states(seed: int, heads: int = 4, key_heads: int = 4, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    return tuple(torch.randn(1, count, sum(LENGTHS), width) for count in (heads, key_heads, key_heads))  # type: ignore[return-value]


def attend(query: Tensor, key: Tensor, value: Tensor, **more: object) -> Tensor:
    arguments = packed_arguments(BOUNDARIES)
    return packed_attention(torch.nn.Module(), query, key, value, None, **{**arguments, **more})[0]  # type: ignore[arg-type]


def by_formula(query: Tensor, key: Tensor, value: Tensor, scaling: float, window: int | None) -> Tensor:
    """softmax(q k / scale) v over what a token may see, token by token and head by head."""
    out = torch.zeros(1, query.shape[2], query.shape[1], query.shape[3])
    shared = query.shape[1] // key.shape[1]
    for start, end in pairwise(BOUNDARIES.tolist()):
        for token in range(start, end):
            first = start if window is None else max(start, token - window + 1)
            for head in range(query.shape[1]):
                keys, values = key[0, head // shared, first : token + 1], value[0, head // shared, first : token + 1]
                weights = (keys @ query[0, head, token] * scaling).softmax(0)
                out[0, token, head] = weights @ values
    return out


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("window", [None, 3, 100])
@pytest.mark.parametrize("scaling", [None, 0.5])
def test_equals_the_formula(key_heads: int, window: int | None, scaling: float | None) -> None:
    """Causal within each sequence, for grouped heads, sliding windows and a model's own scaling."""
    query, key, value = states(0, key_heads=key_heads)
    found = attend(query, key, value, scaling=scaling, sliding_window=window)
    expected = by_formula(query, key, value, scaling or 1 / math.sqrt(8), window)
    assert found.shape == (1, 13, 4, 8)
    assert torch.allclose(found, expected, atol=1e-5)


def test_no_sequence_sees_another() -> None:
    """Whatever the first and last hold, the middle one's outcome and gradients are the same bit by bit."""
    query, key, value = (one.requires_grad_() for one in states(1))
    other = [one.detach().clone().requires_grad_() for one in (query, key, value)]
    for one in other:
        one.data[:, :, :5] = 9.0
        one.data[:, :, 6:] = -9.0
    found, changed = attend(query, key, value), attend(*other)
    assert torch.equal(found[:, 5:6], changed[:, 5:6])
    found[:, 5:6].sum().backward()
    assert value.grad is not None
    assert (value.grad[:, :, :5] == 0).all()
    assert (value.grad[:, :, 6:] == 0).all()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cu_seq_lens_q": None}, "cu_seq_lens_q"),
        ({"dropout": 0.1}, "dropout"),
        ({"softcap": 30.0}, "softcap"),
    ],
)
def test_what_it_does_not_do_is_refused(more: dict[str, object], said: str) -> None:
    """A model that needs more than this gets an error, not another attention."""
    with pytest.raises(ValueError, match=said):
        attend(*states(2), **more)


def test_ranks_must_divide_the_attention_heads() -> None:
    """The refusal names the field, its value and what it may be; DeepCoder's 40 heads suit 8 ranks, not 16."""
    config = Qwen2Config(num_attention_heads=40, num_key_value_heads=8)
    check_architecture(config, 8)
    said = r"spec.trainer.sequenceParallel: 16 does not divide the model's 40 attention heads; it may be 1, 2, 4, 5, 8,"
    with pytest.raises(ModelFilesError, match=said):
        check_architecture(config, 16)


def test_layers_in_which_sequences_would_meet_are_refused() -> None:
    """Linear attention carries a state from token to token, over boundaries that it is not told of."""
    with pytest.raises(ModelFilesError, match="layers of linear_attention"):
        check_architecture(Qwen3NextConfig(), 1)
