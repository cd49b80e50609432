"""The sizes of a decoder-only transformer, from its config.json. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Model types whose parameters are counted here, as transformers builds them."""


class ModelShapeError(ValueError):
    """A config.json that is not one of a model that can be planned with. Names the key, its value, what is allowed."""


@dataclass(frozen=True)
class ModelShape:
    """A dense decoder: grouped-query attention, a gated MLP of three matrices, RMSNorm.

    `head_width` is the size of one attention head; `positions` is the longest context that the model was made for.
    """

    family: str
    layers: int
    hidden: int
    heads: int
    key_value_heads: int
    head_width: int
    intermediate: int
    vocabulary: int
    positions: int | None = None
    tied: bool = False
    attention_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    head_norm: bool = False

    @property
    def layer_parameters(self) -> int:
        """Of one decoder layer."""
        queries, keys = self.heads * self.head_width, self.key_value_heads * self.head_width
        attention = self.hidden * (2 * queries + 2 * keys)
        attention += (queries + 2 * keys if self.attention_bias else 0) + (self.hidden if self.output_bias else 0)
        attention += 2 * self.head_width if self.head_norm else 0
        mlp = 3 * self.hidden * self.intermediate
        mlp += 2 * self.intermediate + self.hidden if self.mlp_bias else 0
        return attention + mlp + 2 * self.hidden

    @property
    def embedding_parameters(self) -> int:
        """Of the embedding alone, or of the head alone where they are not tied."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """Of the whole model; a tied head is counted once."""
        ends = self.embedding_parameters * (1 if self.tied else 2)
        return self.layers * self.layer_parameters + ends + self.hidden

    @property
    def key_value_elements(self) -> int:
        """Elements that one token keeps in the KV cache, over all layers."""
        return 2 * self.layers * self.key_value_heads * self.head_width


def model_shape(config: Mapping[str, Any]) -> ModelShape:
    """The shape that a config.json describes, with transformers' defaults. Raises ModelShapeError."""
    family = config.get("model_type")
    if family not in FAMILIES:
        raise ModelShapeError(f"model_type: {family!r} is not planned for; what is: {', '.join(FAMILIES)}")
    heads, hidden = _size(config, "num_attention_heads"), _size(config, "hidden_size")
    if not config.get("head_dim") and hidden % heads:
        raise ModelShapeError(f"hidden_size: {hidden} is not a multiple of num_attention_heads ({heads})")
    key_value_heads = _size(config, "num_key_value_heads", heads)
    if heads % key_value_heads:
        raise ModelShapeError(f"num_key_value_heads: {key_value_heads} does not divide num_attention_heads ({heads})")
    own_bias = bool(config.get("attention_bias", False))
    return ModelShape(
        family=family,
        layers=_size(config, "num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        key_value_heads=key_value_heads,
        head_width=_size(config, "head_dim", 128 if family == "qwen3" else hidden // heads),
        intermediate=_size(config, "intermediate_size"),
        vocabulary=_size(config, "vocab_size"),
        positions=_size(config, "max_position_embeddings", 0) or None,
        tied=bool(config.get("tie_word_embeddings", False)),
        attention_bias=family == "qwen2" or (family != "mistral" and own_bias),
        output_bias=family in ("llama", "qwen3") and own_bias,
        mlp_bias=family == "llama" and bool(config.get("mlp_bias", False)),
        head_norm=family == "qwen3",
    )


def _size(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelShapeError(f"{key}: {value!r} must be a whole number above 0")
    return value
