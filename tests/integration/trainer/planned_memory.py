"""Run by torchrun: the bytes of all tensors that the engine keeps for its model, after a step and another backward."""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist

from deepcoder_trainer.engine import EngineSettings, PolicyEngine, join_process_group
from deepcoder_trainer.packing import dummy
from deepcoder_trainer.weights import parameter_elements

BUCKET_BYTES = 10**9
"""More than all of a tiny model: what is larger is DeepSpeed's bucket."""


def tensors() -> dict[int, int]:
    """Bytes of every storage that some tensor has, by its address."""
    gc.collect()
    found: dict[int, int] = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor):
            storage = thing.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return found


def measure(folder: Path, precision: Literal["bf16", "fp32"], stage: int) -> dict[str, float]:
    """Bytes a parameter of the model's state, and the bytes of buckets."""
    before = tensors()
    engine = PolicyEngine(
        folder,
        EngineSettings(precision, zero_stage=stage, betas=(0.9, 0.999), weight_decay=0.0, gradient_clip=1.0),
    )
    for step in (True, False):
        engine.set_boundary(True)
        engine.backward(engine.log_probabilities(dummy(), 1.0)[0].sum())
        if step:
            engine.step(1e-4)
    sizes = [size for address, size in tensors().items() if address not in before]
    parameters = sum(map(parameter_elements, engine.model.parameters()))
    engine.deepspeed.destroy()
    state = sum(size for size in sizes if size < BUCKET_BYTES)
    return {"each": state / parameters, "bucket": sum(sizes) - state}


def main() -> None:
    """Measure each case of the second argument with the model of the first, into the file of the third."""
    join_process_group()
    found = [measure(Path(sys.argv[1]), precision, stage) for precision, stage in json.loads(sys.argv[2])]
    if dist.get_rank() == 0:
        Path(sys.argv[3]).write_text(json.dumps(found))
    dist.barrier()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
