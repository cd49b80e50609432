"""The policy's weights out of the engine: as shards for rollouts to fetch, and as a model that loads as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch.distributed as dist
from safetensors.torch import save_file
from torch.nn import Parameter

from deepcoder_api.artifacts import FileDigest
from deepcoder_data.folders import file_digest
from deepcoder_trainer.engine import PolicyEngine
from deepcoder_trainer.model_files import SHARD_BYTES, copy_beside, shard_names, shards, write_index

# Small enough that servers pass the first shards on while the last are still fetched, and that a shard which ZeRO-3
# gathers is little beside a rank's own memory.
PUBLISHED_SHARD_BYTES = 256 * 1024**2


def publish(engine: PolicyEngine, directory: Path, shard_bytes: int = PUBLISHED_SHARD_BYTES) -> tuple[FileDigest, ...]:
    """Write this rank's share of the weights as `directory`/*.safetensors, in the model's precision; returns it.

    The ranks' shares together are the whole model, in shards of at most `shard_bytes` bytes and about as many on every
    rank. Names of weights are Hugging Face's; a tied weight is written once, under the name that save_pretrained keeps.
    Collective at ZeRO stage 3, where a shard is gathered by all ranks and kept by one.
    """
    parameters, sizes = _parameters(engine)
    runs = published_runs(sizes, engine.ranks, shard_bytes)
    directory.mkdir(parents=True, exist_ok=True)
    own: list[FileDigest] = []
    for index, (file, run) in enumerate(zip(shard_names("model", len(runs)), runs, strict=True)):
        ours = rank_of_shard(index, len(runs), engine.ranks) == dist.get_rank()
        if not ours and engine.settings.effective_zero_stage < 3:
            continue
        with gathered([parameters[name] for name in run]):
            if ours:
                _save(parameters, run, directory / file)
        if ours:
            own.append(file_digest(directory / file, file))
    return tuple(own)


def published_runs(sizes: Mapping[str, int], ranks: int, shard_bytes: int) -> list[list[str]]:
    """The names of each shard: of at most `shard_bytes` and a rank's share; a weight above that has its own shard."""
    return shards(sizes, max(1, min(shard_bytes, sum(sizes.values()) // ranks)))


def rank_of_shard(index: int, count: int, ranks: int) -> int:
    """The rank that keeps shard `index` of `count`: in turn, or spread over all ranks when there are fewer shards."""
    return index % ranks if count >= ranks else index * ranks // count


def save_model(engine: PolicyEngine, directory: Path, beside: Path, shard_bytes: int = SHARD_BYTES) -> int:
    """Rank 0 writes a folder that transformers and vLLM load as it is; returns its weights' bytes. Collective.

    beside: the folder whose configs, tokenizer and chat template are copied.
    """
    runs, total = _write(engine, directory, shard_bytes)
    if dist.get_rank() == 0:
        write_index(directory, runs, total)
        copy_beside(beside, directory, str(engine.settings.dtype).removeprefix("torch."))
    return total


def gathered(parameters: Sequence[Parameter], modified: bool = False) -> AbstractContextManager[None]:
    """Within it the parameters are whole on every rank, as they are anyway below ZeRO stage 3. Collective.

    modified: what rank 0 changes in them within it stays, on all ranks.
    """
    import deepspeed

    return deepspeed.zero.GatheredParameters(list(parameters), modifier_rank=0 if modified else None)


def parameter_elements(parameter: Parameter) -> int:
    """Elements of the whole parameter, whether ZeRO-3 has split it or not."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _write(engine: PolicyEngine, directory: Path, shard_bytes: int) -> tuple[list[list[str]], int]:
    parameters, sizes = _parameters(engine)
    runs = shards(sizes, shard_bytes)
    writes = dist.get_rank() == 0
    if writes:
        directory.mkdir(parents=True, exist_ok=True)
    for file, run in zip(shard_names("model", len(runs)), runs, strict=True):
        with gathered([parameters[name] for name in run]):
            if writes:
                _save(parameters, run, directory / file)
    return runs, sum(sizes.values())


def _parameters(engine: PolicyEngine) -> tuple[dict[str, Parameter], dict[str, int]]:
    """Parameters by name, without a tied weight's second name, and the bytes of each."""
    parameters = dict(engine.model.named_parameters())
    return parameters, {name: parameter_elements(p) * p.element_size() for name, p in parameters.items()}


def _save(parameters: Mapping[str, Parameter], run: Sequence[str], file: Path) -> None:
    tensors = {name: parameters[name].detach().cpu().contiguous() for name in run}
    save_file(tensors, file, metadata={"format": "pt"})
