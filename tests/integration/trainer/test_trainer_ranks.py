"""The ranks as a process under torchrun, led by the orchestrator's real routes: a run's commands, and a failure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch
import uvicorn
from safetensors.torch import load_file

from deepcoder_api.connections import listener
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.rollout import Heartbeat, WeightOrder
from deepcoder_rollout.shard_store import ShardStore
from deepcoder_rollout.weights import FetchFailedError, fetch
from deepcoder_trainer.batch import write_batch
from deepcoder_trainer.orchestrator.application import Routes
from deepcoder_trainer.orchestrator.failures import RanksRefused
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.progress import RunProgress
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry
from deepcoder_trainer.orchestrator.weights import PullTransport
from deepcoder_trainer.rank_protocol import Load, Save, Train
from deepcoder_trainer.samples import Sample
from tests.integration.trainer.engine_world import merged
from tests.resolved_runs import resolved_run
from tests.tiny_models import write_tiny_model
from tests.unit.trainer.sample_builders import random_samples, sample

SECONDS = 600
pytestmark = pytest.mark.timeout(2 * SECONDS)


@dataclass
class Trainer:
    """Ranks under torchrun that follow `channel`."""

    channel: RankChannel
    weights: PullTransport
    orders: list[WeightOrder]
    process: asyncio.subprocess.Process
    folder: Path

    def batch(self, step: int, samples: list[Sample]) -> None:
        write_batch(samples, self.folder / f"batch-{step}", step=step, temperature=1.0, overlong_filter=True)

    async def end(self) -> int:
        async with asyncio.timeout(120):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def serving(
    channel: RankChannel, folder: Path, orders: list[WeightOrder]
) -> AsyncIterator[tuple[int, PullTransport]]:
    """The orchestrator's routes; batches are those in `folder`, and one agent puts its orders into `orders`."""
    registry, metrics = RolloutRegistry(Policy(1, 0), time.monotonic), RunMetrics()
    registry.heard(
        Heartbeat(
            server="a",
            generate_url="http://a:1",
            agent_url="http://a:2",
            shards_url="http://a:3",
            node="a",
            attempt=0,
            version=0,
            ready=True,
        )
    )

    def agent(request: httpx.Request) -> httpx.Response:
        orders.append(WeightOrder.model_validate_json(request.content))
        return httpx.Response(503)

    async with httpx.AsyncClient(transport=httpx.MockTransport(agent)) as client:
        weights = PullTransport(attempt=1, ranks=channel, registry=registry, client=client, metrics=metrics)
        progress = RunProgress(attempt=1, total_steps=5)
        routes = Routes(1, channel, registry, weights, progress, metrics, lambda step: folder / f"batch-{step}")
        at = listener("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(routes.application(), log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve([at]))
        yield at.getsockname()[1], weights
        server.should_exit = True
        server.force_exit = True
        await serving


@contextlib.asynccontextmanager
async def trainer(folder: Path, run: ResolvedRun, ranks: int) -> AsyncIterator[Trainer]:
    """Everything started, and ended at the end."""
    channel = RankChannel()
    (folder / "run.json").write_text(run.model_dump_json())
    orders: list[WeightOrder] = []
    with socket.create_server(("127.0.0.1", 0)) as held:
        weights_port = held.getsockname()[1]
    served = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deepcoder_trainer.weight_server", "--attempt", "1", "--bind", "127.0.0.1"),
        *("--weights-dir", str(folder / "weights"), "--port", str(weights_port)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    async with serving(channel, folder, orders) as (port, weights):
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)),
            *("--max-restarts", "0", "-m", "deepcoder_trainer.ranks"),
            *("--orchestrator", f"http://127.0.0.1:{port}", "--attempt", "1"),
            *("--weights-dir", str(folder / "weights"), "--weights-url", f"http://127.0.0.1:{weights_port}"),
        ]
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "DEEPCODER_CONFIG": str(folder / "run.json"),
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        try:
            yield Trainer(channel, weights, orders, process, folder)
        finally:
            for one in (process, served):
                if one.returncode is None:
                    one.terminate()
                    await one.wait()


async def test_a_run_of_commands_on_two_ranks(tmp_path: Path) -> None:
    """Load, train, publish, save, stop: what is fetched is what is saved, it moved, and all leave with code 0.

    Both ranks' shards are had from the real server of the pod, whole, and only the newest two versions are kept.
    """
    model = write_tiny_model(tmp_path / "model")
    run = resolved_run(trainer={"deepspeed": {"zeroStage": 2}})
    async with trainer(tmp_path, run, ranks=2) as subject:
        issue = subject.channel.issue
        loaded = await issue(Load(model_dir=str(model)), SECONDS)
        assert loaded.metrics["updates"] == 0
        subject.batch(1, random_samples(1))
        trained = await issue(Train(step=1, learning_rate=1e-3, tokens_per_microbatch=256), SECONDS)
        assert {"loss", "gradient_norm", "entropy", "sampler_kl", "seconds"} <= trained.metrics.keys()
        assert trained.metrics["gradient_norm"] > 0
        for version in (1, 2, 3):
            await subject.weights.publish(version)
        await subject.weights.await_version(3, 5)
        order, store = subject.orders[-1], ShardStore(tmp_path / "fetched")
        store.clear()
        await fetch(order, store)
        published = merged(store.folder)
        assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == ["version-2", "version-3"]
        with pytest.raises(FetchFailedError, match="no longer, published"):
            await fetch(subject.orders[0], store)
        saved = await issue(Save(step=1, directory=str(tmp_path / "step-1")), SECONDS)
        await subject.channel.stop(SECONDS)
        assert await subject.end() == 0
    assert len(order.shards) > 1
    base, kept = load_file(model / "model.safetensors"), load_file(tmp_path / "step-1/model/model.safetensors")
    assert published.keys() == base.keys() == kept.keys()
    assert all(torch.equal(published[name], kept[name]) for name in published)
    assert any(not torch.equal(published[name], base[name]) for name in published)
    assert saved.metrics["state_bytes"] == 3 * saved.metrics["model_bytes"]  # fp32: the weights and two moments
    assert sorted(path.name for path in (tmp_path / "step-1/state").iterdir()) == [
        "optimizer.safetensors", "random.safetensors", "trainer.json",
    ]  # fmt: skip


async def test_a_batch_that_no_attempt_could_train_on_ends_the_ranks_with_its_cause(tmp_path: Path) -> None:
    """A sample above the budget: the orchestrator is told why, that it is final, and the processes do not linger."""
    model = write_tiny_model(tmp_path / "model")
    async with trainer(tmp_path, resolved_run(), ranks=1) as subject:
        await subject.channel.issue(Load(model_dir=str(model)), SECONDS)
        long = [sample(answer_ids=[4] * 300, advantage=1.0), sample(answer_ids=[4] * 3, advantage=-1.0)]
        subject.batch(1, long)
        with pytest.raises(RanksRefused, match=r"rank 0: PackingError: a sample has 303 tokens .* is 256"):
            await subject.channel.issue(Train(step=1, learning_rate=1e-3, tokens_per_microbatch=256), SECONDS)
        assert await subject.end() != 0
