"""Jobs for the engine, carried out by `torchrun -m tests.integration.trainer.engine_jobs FILE` one after another.

A job builds an engine, may take a state up, trains on batches, and leaves what tests compare: the metrics of each step,
log-probabilities before the first, states, the published weights, and each rank's share of them.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch.distributed as dist

from deepcoder_api.algorithm import Algorithm
from deepcoder_api.algorithm_spec import Preset
from deepcoder_api.presets import PRESETS
from deepcoder_api.training_run import Offload
from deepcoder_trainer.batch import read_batch
from deepcoder_trainer.engine import EngineSettings, PolicyEngine, join_process_group
from deepcoder_trainer.log_probabilities import CHUNK_TOKENS
from deepcoder_trainer.state import load_state, reset_optimizer, save_state
from deepcoder_trainer.update import train_step
from deepcoder_trainer.weights import publish, save_model

LEARNING_RATE = 1e-3
NORMALIZATION_TOKENS = 29


@dataclass(frozen=True)
class Job:
    """One engine's life. `batches` are trained on in their order; the state is saved after each of `save_after`."""

    folder: str
    model: str
    batches: list[str]
    tokens_per_microbatch: int
    zero_stage: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    preset: Preset = "grpo-plus"
    optimizer_steps: int = 1
    entropy_coefficient: float = 0.0
    gradient_clip: float = 0.0
    take_up: str | None = None
    reset_before: int | None = None
    """The batch before which the optimizer is emptied, counted from 1."""
    save_after: list[int] = field(default_factory=list)
    shard_bytes: int = 2**31
    sequence_parallel: int = 1
    gradient_checkpointing: bool = False
    offload: Offload = "none"
    chunk_tokens: int = CHUNK_TOKENS

    @property
    def algorithm(self) -> Algorithm:
        """This job's preset with its optimizer steps and its entropy term."""
        changes = {
            "optimizer_steps_per_step": self.optimizer_steps,
            "entropy_coefficient": self.entropy_coefficient,
            "loss_normalization_tokens": NORMALIZATION_TOKENS,
        }
        return PRESETS[self.preset].model_copy(update=changes)

    def carry_out(self) -> None:
        """All of it. Collective."""
        settings = EngineSettings(
            precision=self.precision,
            zero_stage=self.zero_stage,
            betas=(0.9, 0.999),
            weight_decay=0.01,
            gradient_clip=self.gradient_clip,
            gradient_checkpointing=self.gradient_checkpointing,
            sequence_parallel=self.sequence_parallel,
            offload=self.offload,
            chunk_tokens=self.chunk_tokens,
        )
        engine, folder = PolicyEngine(Path(self.model), settings), Path(self.folder)
        if self.take_up is not None:
            load_state(engine, Path(self.take_up))
        steps = []
        for number, path in enumerate(self.batches, 1):
            batch = read_batch(Path(path))
            if number == self.reset_before:
                reset_optimizer(engine)
            steps.append(train_step(engine, batch, self.algorithm, self.tokens_per_microbatch, LEARNING_RATE))
            if number in self.save_after:
                save_state(engine, folder / f"state-{number}", self.shard_bytes)
        share = publish(engine, folder / "published", self.shard_bytes)
        digests = [digest.model_dump() for digest in share]
        (folder / f"share-{dist.get_rank()}.json").write_text(json.dumps(digests))
        save_model(engine, folder / "model", Path(self.model), self.shard_bytes)
        if dist.get_rank() == 0:
            (folder / "steps.json").write_text(json.dumps(steps))
        engine.deepspeed.destroy()


def write_jobs(jobs: list[Job], file: Path) -> None:
    """The file that this module reads."""
    for job in jobs:
        Path(job.folder).mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(job) for job in jobs]))


def main() -> None:
    """Carry out the jobs of the file."""
    join_process_group()
    for job in json.loads(Path(sys.argv[1]).read_text()):
        Job(**job).carry_out()
    dist.barrier()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
