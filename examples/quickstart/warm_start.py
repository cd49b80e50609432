"""The tiny base model: a 4-layer Qwen2 taught the corpus for a fixed number of steps, so a seed gives one model."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import torch
from corpus import demonstrations, make_tokenizer
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

STEPS = 800
SAMPLES_PER_STEP = 16
LEARNING_RATE = 3e-3
WARMUP_STEPS = 20
NO_LOSS = -100


def warm_start(seed: int, steps: int = STEPS) -> tuple[Qwen2ForCausalLM, PreTrainedTokenizerFast]:
    """The model after `steps` steps on the corpus of `seed`, in float32, and its tokenizer."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model = _new_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.01)
    examples, started = demonstrations(seed), time.monotonic()
    for step in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = _learning_rate(step, steps)
        loss = answer_loss(model, tokenizer, list(itertools.islice(examples, SAMPLES_PER_STEP)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == steps:
            seconds = time.monotonic() - started
            print(f"warm start: step {step} of {steps}, loss {loss.item():.3f}, {seconds:.0f} s", flush=True)
    return model.eval(), tokenizer


def save(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write the model in the Hugging Face layout: weights, configs, tokenizer and chat template."""
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _new_model(tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    return Qwen2ForCausalLM(config)


def _learning_rate(step: int, steps: int) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
    return LEARNING_RATE * min(1.0, step / WARMUP_STEPS) * max(0.05, cosine)


def answer_loss(
    model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, examples: list[tuple[str, str]]
) -> torch.Tensor:
    """Mean loss of the answers' tokens, end token included."""
    pairs = []
    for statement, answer in examples:
        messages = [{"role": "user", "content": statement}]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        pairs.append((_ids(tokenizer, str(prompt)), [*_ids(tokenizer, answer), tokenizer.eos_token_id]))
    longest = max(len(prompt) + len(reply) for prompt, reply in pairs)
    tokens = torch.full((len(pairs), longest), tokenizer.pad_token_id)
    targets = torch.full((len(pairs), longest), NO_LOSS)
    for row, (prompt, reply) in enumerate(pairs):
        tokens[row, : len(prompt) + len(reply)] = torch.tensor(prompt + reply)
        targets[row, len(prompt) : len(prompt) + len(reply)] = torch.tensor(reply)
    logits = model(input_ids=tokens).logits[:, :-1]  # padding lies right, so causal attention never sees it
    return cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=NO_LOSS)


def _ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]
