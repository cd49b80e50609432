"""`python -m benchmarks.trainer.weights`: what it costs that rollout servers take new weights over.

    python -m benchmarks.trainer.weights --size 256 --servers 2 --versions 5

Real parts on one machine: shards of `--size` MiB in all, written and hashed as a rank does, served by the weight
server of a trainer pod, ordered by the orchestrator's transport, fetched by real agents from it and from each other
into shared memory, loaded by a real vLLM each, on the CPU. Beside it a plain copy of as many bytes from memory to
memory, by one thread. Writes JSON:

weight_update_over_memcpy  bytes a second of a whole update (the first shard written to the last server sampling with
                           the new weights) over those of the copy; the most it could be is 1
load_over_memcpy           the same of the load alone: what a server's pause is beside the copy of its weights
pause_seconds              seconds in which a server samples nothing, median over servers and versions, and the longest
trainer_bytes_per_byte     how often a byte left the trainer for one version, however many servers there are
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import MIB, describe_machine
from deepcoder_api.rollout import WeightReceipt
from tests.rollout_servers import RunningAgent, free_port, running_agent
from tests.tiny_models import write_tiny_model
from tests.weight_trainer import WeightTrainer, weight_trainer

SHARED_MEMORY = Path("/dev/shm")
HIDDEN = 512
# Weights of one layer of tests/tiny_models.py: four of hidden x hidden, three of hidden x 2 hidden, float32.
LAYER_BYTES = 10 * HIDDEN * HIDDEN * 4
COPIES = 5


@dataclass(frozen=True)
class Update:
    """One version: seconds from its publication to the last server that holds it, and each server's receipt."""

    seconds: float
    receipts: tuple[WeightReceipt, ...]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer.weights", description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="MiB of weights, float32")
    parser.add_argument("--servers", type=int, default=2, help="rollout servers, each on a machine of its own")
    parser.add_argument("--versions", type=int, default=5, help="updates that are measured, after one that is not")
    parser.add_argument("--shards", type=int, default=8, help="files that a version is published in")
    parser.add_argument("--output", type=Path, default=Path("build/bench/weights.json"))
    arguments = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY, prefix="deepcoder-bench-") as folder:
        model = write_tiny_model(
            Path(folder) / "model", hidden=HIDDEN, layers=max(1, arguments.size * MIB // LAYER_BYTES)
        )
        size = (model / "model.safetensors").stat().st_size
        updates = asyncio.run(_measure(model, Path(folder), arguments))
    found = {
        "machine": machine,
        "servers": arguments.servers,
        "shards": arguments.shards,
        **figures(size, updates, copy_rate(size)),
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def figures(size: int, updates: list[Update], copied: float) -> dict[str, Any]:
    """What was seen of updates of `size` bytes, beside a copy at `copied` bytes a second."""
    receipts = [receipt for update in updates for receipt in update.receipts]
    pause = statistics.median(receipt.pause_seconds for receipt in receipts)
    fetch = statistics.median(receipt.fetch_seconds for receipt in receipts)
    seconds = statistics.median(update.seconds for update in updates)
    from_trainer = sum(receipt.trainer_bytes for receipt in receipts) / len(updates)
    return {
        "weight_update_over_memcpy": round(size / seconds / copied, 4),
        "load_over_memcpy": round(size / pause / copied, 4),
        "fetch_over_memcpy": round(size / fetch / copied, 4),
        "pause_seconds": round(pause, 4),
        "pause_seconds_longest": round(max(receipt.pause_seconds for receipt in receipts), 4),
        "fetch_seconds": round(fetch, 4),
        "update_seconds": round(seconds, 4),
        "memcpy_seconds": round(size / copied, 4),
        "bytes": size,
        "update_bytes_per_second": round(size / seconds),
        "memcpy_bytes_per_second": round(copied),
        "trainer_bytes_per_byte": round(from_trainer / size, 3),
        "updates": len(updates),
    }


def copy_rate(size: int) -> float:
    """Bytes a second of a plain copy of `size` bytes, median of COPIES; both buffers have been touched before."""
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    rates = []
    for _ in range(COPIES):
        started = time.perf_counter()
        np.copyto(target, source)
        rates.append(size / (time.perf_counter() - started))
    return statistics.median(rates)


async def _measure(model: Path, folder: Path, arguments: argparse.Namespace) -> list[Update]:
    port = free_port()
    with _agents(model, f"http://127.0.0.1:{port}", folder, arguments.servers) as agents:
        for agent in agents:
            await asyncio.to_thread(agent.wait_for_status, f"{agent.generate}/health", 200)
        async with weight_trainer(port, folder, attempt=1) as trainer:
            await trainer.joined(arguments.servers)
            updates = []
            for version in range(1, arguments.versions + 2):
                updates.append(await _update(trainer, model, version, arguments))
            return updates[1:]


async def _update(trainer: WeightTrainer, model: Path, version: int, arguments: argparse.Namespace) -> Update:
    before = len(trainer.metrics.receipts)
    started = time.perf_counter()
    await trainer.publish(model, version, arguments.servers, arguments.shards)
    return Update(time.perf_counter() - started, tuple(trainer.metrics.receipts[before:]))


@contextlib.contextmanager
def _agents(model: Path, orchestrator: str, folder: Path, count: int) -> Iterator[list[RunningAgent]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(running_agent(model, orchestrator, folder, f"machine-{number}"))
            for number in range(count)
        ]


if __name__ == "__main__":
    main()
