"""The planner's count of parameters against the models that transformers builds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from deepcoder_api.planning.model_shape import model_shape
from deepcoder_api.planning.trainer_memory import HEAD_CHUNK_TOKENS
from deepcoder_trainer.log_probabilities import CHUNK_TOKENS
from tests.model_configs import QWEN2_5_1_5B, QWEN2_5_14B

SMALL: dict[str, Any] = {
    "hidden_size": 96,
    "intermediate_size": 200,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "vocab_size": 500,
}


@pytest.mark.parametrize(
    "config",
    [
        QWEN2_5_14B,
        QWEN2_5_1_5B,
        QWEN2_5_1_5B | {"tie_word_embeddings": True},
        SMALL | {"model_type": "qwen3"},
        SMALL | {"model_type": "qwen3", "head_dim": 32, "attention_bias": True},
        SMALL | {"model_type": "llama"},
        SMALL | {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
        SMALL | {"model_type": "mistral", "head_dim": 24},
    ],
    ids=str,
)
def test_parameters_are_those_of_transformers(config: dict[str, Any]) -> None:
    """Counted on the meta device, where weights take no memory."""
    rest = {name: value for name, value in config.items() if name != "model_type"}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(config["model_type"], **rest))
    assert model_shape(config).parameters == sum(parameter.numel() for parameter in model.parameters())


def test_the_heads_chunk_is_the_trainers() -> None:
    """The planner imports no trainer."""
    assert HEAD_CHUNK_TOKENS == CHUNK_TOKENS
