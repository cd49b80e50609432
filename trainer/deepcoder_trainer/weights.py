"""The policy's weights out of the engine: for rollouts to fetch, and as a model that loads as it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch.distributed as dist
from safetensors.torch import save_file
from torch.nn import Parameter

from deepcoder_trainer.engine import PolicyEngine
from deepcoder_trainer.model_files import SHARD_BYTES, copy_beside, shard_names, shards, write_index


def publish(engine: PolicyEngine, directory: Path, shard_bytes: int = SHARD_BYTES) -> int:
    """Rank 0 writes the weights as `directory`/*.safetensors, in the model's precision; returns bytes. Collective.

    Names are Hugging Face's. A tied weight is written once, under the name that save_pretrained keeps.
    """
    return _write(engine, directory, shard_bytes)[1]


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
    parameters = dict(engine.model.named_parameters())  # without a tied weight's second name
    sizes = {name: parameter_elements(p) * p.element_size() for name, p in parameters.items()}
    runs = shards(sizes, shard_bytes)
    writes = dist.get_rank() == 0
    if writes:
        directory.mkdir(parents=True, exist_ok=True)
    for file, run in zip(shard_names("model", len(runs)), runs, strict=True):
        with gathered([parameters[name] for name in run]):
            if writes:
                tensors = {name: parameters[name].detach().cpu().contiguous() for name in run}
                save_file(tensors, directory / file, metadata={"format": "pt"})
    return runs, sum(sizes.values())
