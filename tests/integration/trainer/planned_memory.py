"""Run by torchrun: the bytes of all tensors that the engine keeps for its model, after a step and two backwards."""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist

from deepcoder_api.training_run import Offload
from deepcoder_trainer.engine import EngineSettings, PolicyEngine, join_process_group
from deepcoder_trainer.packing import dummy
from deepcoder_trainer.weights import parameter_elements

BUCKET_BYTES = 10**9
"""More than all of a tiny model: what is larger is DeepSpeed's bucket."""
IN_THE_NODE = (
    "single_partition_of_fp32_groups",  # ZeRO 1 and 2
    "param_buffer_of_bit16_for_cpu_offload_groups",
    "accumulated_grads_in_cpu",
    "fp32_partitioned_groups_flat",  # ZeRO 3
    "grad_partitions_flat_buffer",
    "param_groups_fp16_flat_cpu_memory",
)
"""Attributes of DeepSpeed's optimizers that are made on the CPU where something is offloaded (0.19)."""
TEMPORARY = ("temp_grad_buffer_for_cpu_offload", "temp_grad_buffer_for_gpu_offload")
"""As large as the largest weight, which in a tiny model is much and in a large one little."""


def tensors() -> dict[int, int]:
    """Bytes of every storage that some tensor has, by its address."""
    gc.collect()
    found: dict[int, int] = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor):
            storage = thing.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return found


def storages(things: Any) -> dict[int, int]:
    """Bytes of the storages of a tensor and its gradient, or of all in a list or dictionary, by their address."""
    if isinstance(things, torch.Tensor):
        own = things.untyped_storage()
        return {own.data_ptr(): own.nbytes()} | storages([] if things.grad is None else [things.grad])
    found: dict[int, int] = {}
    for thing in things.values() if isinstance(things, dict) else things if isinstance(things, list) else ():
        found |= storages(thing)
    return found


def measure(folder: Path, precision: Literal["bf16", "fp32"], stage: int, offload: Offload) -> dict[str, float]:
    """Bytes a parameter of the model's state, those of them that lie in the node, and the bytes of buckets."""
    before = tensors()
    engine = PolicyEngine(
        folder,
        EngineSettings(
            precision, zero_stage=stage, betas=(0.9, 0.999), weight_decay=0.0, gradient_clip=1.0, offload=offload
        ),
    )
    for boundary in (True, False, True):
        engine.set_boundary(boundary)
        engine.backward(engine.log_probabilities(dummy(), 1.0)[0].sum())
        if engine.updates == 0:
            engine.step(1e-4)
    optimizer = engine.optimizer
    temporary = storages([getattr(optimizer, name, []) for name in TEMPORARY])
    node: dict[int, int] = {}
    if offload != "none":
        node = storages([getattr(optimizer, name, []) for name in IN_THE_NODE])
        node |= storages([value for state in optimizer.optimizer.state.values() for value in state.values()])
    del optimizer
    sizes = {address: size for address, size in tensors().items() if address not in before and address not in temporary}
    parameters = sum(map(parameter_elements, engine.model.parameters()))
    engine.deepspeed.destroy()
    state = sum(size for size in sizes.values() if size < BUCKET_BYTES)
    offloaded = sum(size for address, size in node.items() if address in sizes)
    return {
        "each": state / parameters, "offloaded": offloaded / parameters, "bucket": sum(sizes.values()) - state,
    }  # fmt: skip


def main() -> None:
    """Measure each case of the second argument with the model of the first, into the file of the third."""
    join_process_group()
    found = [measure(Path(sys.argv[1]), *case) for case in json.loads(sys.argv[2])]
    if dist.get_rank() == 0:
        Path(sys.argv[3]).write_text(json.dumps(found))
    dist.barrier()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
