"""config.json of published models, the keys that say their sizes."""

from __future__ import annotations

from typing import Any

QWEN2_5_14B: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "num_hidden_layers": 48,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "vocab_size": 152064,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
"""Of Qwen/Qwen2.5-14B, and of deepseek-ai/DeepSeek-R1-Distill-Qwen-14B."""

QWEN2_5_1_5B: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}
"""Of deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B."""
