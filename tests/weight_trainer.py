"""A trainer as rollout servers see it: the orchestrator's routes and transport, and the server of a pod's shards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import uvicorn
from safetensors.torch import load_file, save_file

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.connections import listener
from deepcoder_api.rollout import WeightReceipt
from deepcoder_data.folders import file_digest
from deepcoder_trainer.model_files import shard_names
from deepcoder_trainer.orchestrator.application import Routes
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.progress import RunProgress
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry
from deepcoder_trainer.orchestrator.weights import PullTransport
from deepcoder_trainer.rank_protocol import CommandResult, Publish, RankShards
from deepcoder_trainer.weight_server import version_folder
from tests.rollout_servers import free_port, status_of

SHARDS = 6
TAKE_OVER_SECONDS = 120.0


class KeptReceipts(RunMetrics):
    """The orchestrator's metrics, and the receipts that they are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.receipts: list[WeightReceipt] = []

    def weights_received(self, receipt: WeightReceipt) -> None:
        super().weights_received(receipt)
        self.receipts.append(receipt)


class WeightTrainer:
    """An orchestrator whose one rank publishes the models that it is given."""

    def __init__(self, attempt: int, folder: Path, client: httpx.AsyncClient) -> None:
        self.attempt = attempt
        self.weights = folder / f"weights-{attempt}"
        self.url = ""
        self.metrics, self.ranks = KeptReceipts(), RankChannel()
        self.registry = RolloutRegistry(Policy(attempt, 0), time.monotonic)
        self.transport = PullTransport(
            attempt=attempt, ranks=self.ranks, registry=self.registry, client=client, metrics=self.metrics
        )
        self._published = 0

    def routes(self) -> Routes:
        """The orchestrator's."""
        progress = RunProgress(self.attempt, total_steps=5)
        return Routes(
            self.attempt, self.ranks, self.registry, self.transport, progress, self.metrics, lambda step: None
        )  # fmt: skip

    async def joined(self, servers: int) -> None:
        """Until so many servers have been heard of."""
        await self._until(lambda: len(self.registry.servers) >= servers)

    async def publish(self, model: Path, version: int, servers: int, shards: int = SHARDS) -> None:
        """Publish `model` as so many shards and wait until so many servers have taken it over."""
        publishing = asyncio.create_task(self.transport.publish(version))
        command = await self.ranks.read(self._published, 5)
        assert isinstance(command, Publish)
        folder = version_folder(self.weights, version)
        await asyncio.to_thread(write_shards, model, folder, shards)
        digests = await asyncio.to_thread(_digests, folder)
        self.transport.announced(RankShards(version=version, rank=0, ranks=1, url=self.url, files=digests))
        self.ranks.finished(self._published, CommandResult())
        self._published += 1
        await publishing
        await self._until(lambda: len(self.registry.current) >= servers)

    def metric(self, name: str, **labels: str) -> float:
        """A metric of the orchestrator's; 0 when it has none yet."""
        return self.metrics.registry.get_sample_value(f"deepcoder_{name}", labels) or 0.0

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TAKE_OVER_SECONDS):
            while not condition():  # noqa: ASYNC110 - other processes bring it about
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def weight_trainer(port: int, folder: Path, attempt: int) -> AsyncIterator[WeightTrainer]:
    """An attempt whose orchestrator is at `port`, where the agents look for it, until it is left."""
    async with httpx.AsyncClient(trust_env=False) as client:
        made = WeightTrainer(attempt, folder, client)
        at = listener("127.0.0.1", port)
        server = uvicorn.Server(uvicorn.Config(made.routes().application(), log_level="warning", lifespan="off"))
        routes = asyncio.create_task(server.serve([at]))
        shards_port = free_port()
        shards = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deepcoder_trainer.weight_server", "--weights-dir", str(made.weights)),
            *("--attempt", str(attempt), "--bind", "127.0.0.1", "--port", str(shards_port)),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        made.url = f"http://127.0.0.1:{shards_port}"
        try:
            await made._until(lambda: status_of(f"{made.url}/healthz") == 200)
            yield made
        finally:
            await made.transport.abort()
            server.should_exit = server.force_exit = True
            await routes
            at.close()
            shards.terminate()
            await shards.wait()


def write_shards(model: Path, folder: Path, shards: int = SHARDS) -> None:
    """The weights of `model` in so many files."""
    folder.mkdir(parents=True)
    tensors = load_file(model / "model.safetensors")
    names = sorted(tensors)
    for number, file in enumerate(shard_names("model", shards)):
        save_file({name: tensors[name] for name in names[number::shards]}, folder / file, metadata={"format": "pt"})


def _digests(folder: Path) -> tuple[FileDigest, ...]:
    return tuple(file_digest(file, file.name) for file in sorted(folder.iterdir()))
