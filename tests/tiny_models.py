"""Tiny random models in the Hugging Face layout, for tests that need a real model but not a good one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tokenizer(folder: Path, texts: Sequence[str] = ()) -> int:
    """A byte-level tokenizer with a chat template; returns its size. Its last tokens are `texts`, each a whole one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    whole = ["".join(piece for piece, _ in bytes_only.pre_tokenize_str(text)) for text in texts]
    vocabulary = {token: index for index, token in enumerate(special + alphabet + whole)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(folder)
    return len(vocabulary)


def write_tiny_model(
    folder: Path,
    *,
    tied: bool = False,
    seed: int = 0,
    layers: int = 2,
    hidden: int = 64,
    heads: int = 2,
    key_heads: int = 2,
    words: int = 0,
) -> Path:
    """A random Qwen2 of `layers` x `hidden` with its tokenizer, in float32; returns the folder.

    words: the rows of its vocabulary where that is more than the tokenizer's.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    size = write_tokenizer(folder)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=max(size, words),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=1024,
        tie_word_embeddings=tied,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.2,  # far from uniform, so that a wrong weight shows in the log-probabilities
    )
    Qwen2ForCausalLM(config).to(torch.float32).save_pretrained(folder)
    return folder


def write_choosing_model(folder: Path, texts: Sequence[str]) -> Path:
    """A model in float32 that answers whatever it is asked with one of `texts`, each as likely; returns the folder.

    A text is one token. Attention and MLP add nothing, so the next token depends on the last alone: after a text comes
    the end, after all else a text.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    size = write_tokenizer(folder, texts)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=size, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=False, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config).to(torch.float32)
    told, asked = 0, 1  # the hidden dimension that a text sets, and that of every other token
    with torch.no_grad():
        embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
        embedding.zero_()
        embedding[:, asked] = 1
        embedding[-len(texts) :, asked] = 0
        embedding[-len(texts) :, told] = 1
        head.zero_()
        head[-len(texts) :, asked] = 4
        head[config.eos_token_id, told] = 4
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    model.save_pretrained(folder)
    return folder
