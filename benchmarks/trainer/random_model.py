"""Models of a chosen shape with random weights, in the Hugging Face layout, and one-sample work for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from deepcoder_trainer.batch import Batch
from deepcoder_trainer.packing import Microbatch, pack


@dataclass(frozen=True)
class Shape:
    """A Qwen2's dimensions: `hidden` and `intermediate` widths, query and key heads, rows of the vocabulary."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_heads: int
    words: int

    @property
    def head_width(self) -> int:
        """Of one attention head."""
        return self.hidden // self.heads


def write_random_model(folder: Path, shape: Shape, *, dtype: torch.dtype, device: str = "cpu", seed: int = 0) -> None:
    """Write the model, without a tokenizer. Its weights are transformers' own initialisation."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=shape.words,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        max_position_embeddings=131_072,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=False,
        dtype=dtype,
    )
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = Qwen2ForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    model.save_pretrained(folder)


def random_microbatch(lengths: Sequence[int], words: int, prompt_tokens: int = 1, seed: int = 0) -> Microbatch:
    """One packed microbatch of random samples of these lengths, each with an advantage of 1 or -1.

    All tokens after the first `prompt_tokens` are the answer's.
    """
    random = np.random.default_rng(seed)
    total, answers = sum(lengths), sum(lengths) - prompt_tokens * len(lengths)
    count = len(lengths)
    batch = Batch(
        step=1,
        temperature=1.0,
        tokens=random.integers(0, words, total, dtype=np.int32),
        offsets=np.cumsum([0, *lengths], dtype=np.int64),
        prompt_lengths=np.full(count, prompt_tokens, dtype=np.int32),
        sampler_log_probabilities=np.full(answers, -np.log(words), dtype=np.float32),
        advantages=np.where(np.arange(count) % 2 == 0, 1, -1).astype(np.float32),
        rewards=np.ones(count, dtype=np.float32),
        carries_loss=np.ones(count, dtype=np.bool_),
        groups=np.arange(count, dtype=np.int32),
    )
    return pack(batch, tuple(range(count)), np.full(count, 1 / answers))
