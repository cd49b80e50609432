"""Log-probabilities of packed samples by the trainer's engine, against transformers' own padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.trainer.random_model import Shape, random_microbatch
from deepcoder_trainer.engine import PolicyEngine
from deepcoder_trainer.packing import Microbatch

ALLOWED_MEAN = 0.02
"""Nats by token: bf16 keeps 8 bits of logits of a few units. A token that sees another sequence is off by tenths."""


def check_packed_against_padded(
    engine: PolicyEngine, model: Path, shape: Shape, lengths: Sequence[int]
) -> dict[str, Any]:
    """Mean and largest difference in nats; `passed` when the mean is at most ALLOWED_MEAN."""
    microbatch = random_microbatch(lengths, shape.words).to(engine.device)
    with torch.no_grad():
        found, _ = engine.log_probabilities(microbatch, temperature=1.0)
        gaps = (found - _padded(model, microbatch, lengths)).abs()
    mean = float(gaps.mean())
    return {"lengths": list(lengths), "mean_nats": mean, "largest_nats": float(gaps.max()),
            "passed": mean <= ALLOWED_MEAN}  # fmt: skip


def _padded(model: Path, microbatch: Microbatch, lengths: Sequence[int]) -> Tensor:
    from transformers import AutoModelForCausalLM

    device = microbatch.input_ids.device
    # Any: pyright takes the model's `to` for another.
    plain: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16, attn_implementation="sdpa")
    plain.to(device)
    rows = list(microbatch.input_ids[0].split(list(lengths)))
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    states = plain.model(input_ids=ids, attention_mask=mask).last_hidden_state
    scored = []
    for row, length in enumerate(lengths):
        if length > 1:  # the first token is the prompt
            logits = plain.lm_head(states[row, : length - 1]).float()
            scored.append(logits.log_softmax(-1).gather(1, ids[row, 1:length, None])[:, 0])
    return torch.cat(scored)
