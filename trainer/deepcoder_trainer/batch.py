"""The immutable batch of one step that every rank reads: one safetensors file of flat arrays. No torch here."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from deepcoder_trainer.algorithm.truncation import carries_loss
from deepcoder_trainer.samples import Sample

FORMAT = "deepcoder-batch-1"


class BatchError(ValueError):
    """A batch file that is not one, or does not fit together. Reading it again gives the same."""


@dataclass(frozen=True, eq=False)
class Batch:
    """The graded samples of a step, flattened. S samples, T tokens (prompts and answers), A answer tokens.

    tokens: int32 [T], prompt then answer of each sample; offsets: int64 [S + 1] into tokens;
    prompt_lengths: int32 [S]; sampler_log_probabilities: float32 [A], of the answers, one after another;
    advantages, rewards: float32 [S]; carries_loss: bool [S], False for what the overlong filter took out;
    groups: int32 [S]; temperature: what the answers were sampled at.
    """

    step: int
    temperature: float
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    prompt_lengths: NDArray[np.int32]
    sampler_log_probabilities: NDArray[np.float32]
    advantages: NDArray[np.float32]
    rewards: NDArray[np.float32]
    carries_loss: NDArray[np.bool_]
    groups: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.prompt_lengths)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sample, prompt and answer: [S]."""
        return np.diff(self.offsets)

    @property
    def answer_lengths(self) -> NDArray[np.int64]:
        """Answer tokens of each sample: [S]."""
        return self.lengths - self.prompt_lengths

    @property
    def answer_offsets(self) -> NDArray[np.int64]:
        """Where each sample's answer starts in `sampler_log_probabilities`: [S + 1]."""
        return np.concatenate([[0], np.cumsum(self.answer_lengths)])


def batch_of(samples: Sequence[Sample], *, step: int, temperature: float, overlong_filter: bool) -> Batch:
    """Flatten `samples`, in their order. Raises BatchError when there is none."""
    if not samples:
        raise BatchError(f"step {step}: a batch needs at least one sample")
    return Batch(
        step=step,
        temperature=temperature,
        tokens=np.concatenate([np.array(s.prompt_ids + s.answer_ids, dtype=np.int32) for s in samples]),
        offsets=np.cumsum([0, *(len(s.prompt_ids) + len(s.answer_ids) for s in samples)], dtype=np.int64),
        prompt_lengths=np.array([len(s.prompt_ids) for s in samples], dtype=np.int32),
        sampler_log_probabilities=np.concatenate([np.array(s.log_probabilities, dtype=np.float32) for s in samples]),
        advantages=np.array([s.advantage for s in samples], dtype=np.float32),
        rewards=np.array([s.reward for s in samples], dtype=np.float32),
        carries_loss=carries_loss([s.truncated for s in samples], overlong_filter),
        groups=np.array([s.group for s in samples], dtype=np.int32),
    )


def write_batch(
    samples: Sequence[Sample], path: Path, *, step: int, temperature: float, overlong_filter: bool
) -> Batch:
    """Write the batch of `samples` to `path`, whole or not at all, and return it. Raises BatchError, OSError."""
    batch = batch_of(samples, step=step, temperature=temperature, overlong_filter=overlong_filter)
    metadata = {"format": FORMAT, "step": str(step), "temperature": json.dumps(temperature)}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    save_file({name: getattr(batch, name) for name in _ARRAYS}, unfinished, metadata=metadata)
    os.replace(unfinished, path)
    return batch


def read_batch(path: Path) -> Batch:
    """The batch in `path`. Raises BatchError when the file is no batch or its parts disagree, OSError."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, safe_open is no dict
    except SafetensorError as error:
        raise BatchError(f"{path} is not a safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise BatchError(f"{path}: format is {metadata.get('format')!r}, not {FORMAT!r}")
    if set(arrays) != set(_ARRAYS):
        raise BatchError(f"{path}: holds {sorted(arrays)}, not {sorted(_ARRAYS)}")
    batch = Batch(step=int(metadata["step"]), temperature=float(metadata["temperature"]), **arrays)
    _check(batch, path)
    return batch


def optimizer_batches(batch: Batch, optimizer_steps: int) -> list[NDArray[np.int64]]:
    """The samples of each optimizer step: whole groups, in the batch's order, cut into parts as equal as can be.

    Returns `optimizer_steps` index vectors; some are empty when there are fewer groups than optimizer steps.
    """
    _, first = np.unique(batch.groups, return_index=True)
    in_order = batch.groups[np.sort(first)]
    return [np.flatnonzero(np.isin(batch.groups, part)) for part in np.array_split(in_order, optimizer_steps)]


_ARRAYS = (
    "tokens",
    "offsets",
    "prompt_lengths",
    "sampler_log_probabilities",
    "advantages",
    "rewards",
    "carries_loss",
    "groups",
)


def _check(batch: Batch, path: Path) -> None:
    samples = len(batch.prompt_lengths)
    per_sample = {name: len(getattr(batch, name)) for name in ("advantages", "rewards", "carries_loss", "groups")}
    if len(batch.offsets) != samples + 1 or set(per_sample.values()) != {samples}:
        raise BatchError(f"{path}: {samples} prompt lengths, {len(batch.offsets)} offsets, and {per_sample}")
    if batch.offsets[0] != 0 or batch.offsets[-1] != len(batch.tokens) or (batch.answer_lengths < 1).any():
        raise BatchError(f"{path}: offsets do not cut the {len(batch.tokens)} tokens into prompts with answers")
    if len(batch.sampler_log_probabilities) != batch.answer_lengths.sum():
        raise BatchError(
            f"{path}: {len(batch.sampler_log_probabilities)} log-probabilities for {batch.answer_lengths.sum()} "
            "answer tokens"
        )
