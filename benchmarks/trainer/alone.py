"""The trainer's engine as one rank in this process, and an update of it: what memory and speed are measured of."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch.distributed as dist

from deepcoder_api.presets import GRPO_PLUS
from deepcoder_trainer.algorithm.ratio import importance_ratio
from deepcoder_trainer.engine import EngineSettings, PolicyEngine, join_process_group
from deepcoder_trainer.log_probabilities import CHUNK_TOKENS
from deepcoder_trainer.packing import Microbatch
from deepcoder_trainer.update import token_losses

LEARNING_RATE = 1e-6


def join_alone() -> None:
    """A process group of one rank, as torchrun would make it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {**address, "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    join_process_group()


def engine_alone(
    model: Path, *, precision: Literal["bf16", "fp32"], zero_stage: int, chunk_tokens: int = CHUNK_TOKENS
) -> PolicyEngine:
    """The engine of a model's folder, layers recomputed in backward as on GPUs. After `join_alone`."""
    assert dist.is_initialized(), "join_alone comes first"
    settings = EngineSettings(
        precision=precision,
        zero_stage=zero_stage,
        betas=(0.9, 0.999),
        weight_decay=0.0,
        gradient_clip=1.0,
        gradient_checkpointing=True,
        chunk_tokens=chunk_tokens,
    )
    return PolicyEngine(model, settings)


def update(engine: PolicyEngine, microbatches: Sequence[Microbatch]) -> float:
    """One optimizer step of grpo-plus over the microbatches; returns the gradient's norm."""
    for index, microbatch in enumerate(microbatches):
        engine.set_boundary(index == len(microbatches) - 1)
        own = microbatch.to(engine.device)
        current, entropy = engine.log_probabilities(own, temperature=1.0)
        kept = current.detach()
        ratio = importance_ratio(current, kept, own.answer_lengths, GRPO_PLUS.importance_sampling_level)
        engine.backward((token_losses(ratio, current, kept, entropy, own, GRPO_PLUS) * own.weights).sum())
    return engine.step(LEARNING_RATE)
