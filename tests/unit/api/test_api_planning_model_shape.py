"""A model's sizes out of its config.json, by hand; tests/unit/trainer holds the counts against transformers."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.planning.model_shape import ModelShapeError, model_shape
from tests.model_configs import QWEN2_5_14B


def test_parameters_of_qwen2_5_14b() -> None:
    """14.77 billion, as the model card says 14.7; 13.1 of them are no embeddings, as it says too."""
    shape = model_shape(QWEN2_5_14B)
    attention = 5120 * 5120 * 2 + 5120 * 1024 * 2 + 5120 + 2 * 1024
    mlp, norms = 3 * 5120 * 13824, 2 * 5120
    assert shape.layer_parameters == attention + mlp + norms
    assert shape.parameters == 48 * (attention + mlp + norms) + 2 * 152064 * 5120 + 5120 == 14_770_033_664
    assert round((shape.parameters - 2 * shape.embedding_parameters) / 1e9, 1) == 13.2


def test_a_token_of_qwen2_5_14b_keeps_192_kib() -> None:
    """2 x 48 layers x 8 heads x 128 elements of bf16."""
    assert model_shape(QWEN2_5_14B).key_value_elements * 2 == 196_608


def test_a_tied_head_is_counted_once() -> None:
    """152,064 x 5,120 parameters fewer."""
    tied = model_shape(QWEN2_5_14B | {"tie_word_embeddings": True})
    assert model_shape(QWEN2_5_14B).parameters - tied.parameters == 152064 * 5120


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "gpt2"}, "model_type: 'gpt2' is not planned for; what is: llama"),
        ({"num_hidden_layers": None}, "num_hidden_layers: None must be a whole number above 0"),
        ({"hidden_size": "5120"}, "hidden_size: '5120' must be a whole number above 0"),
        ({"hidden_size": 5121}, r"hidden_size: 5121 is not a multiple of num_attention_heads \(40\)"),
        ({"num_key_value_heads": 7}, "num_key_value_heads: 7 does not divide"),
    ],
)
def test_a_config_that_has_no_such_shape_is_refused(changes: dict[str, Any], said: str) -> None:
    """With the key, its value and what is allowed."""
    with pytest.raises(ModelShapeError, match=said):
        model_shape(QWEN2_5_14B | changes)
