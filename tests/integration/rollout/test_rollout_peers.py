"""Two real agents with a real vLLM each, the orchestrator's real routes and the real server of a trainer's shards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deepcoder_api.rollout import WeightOrder
from deepcoder_trainer.weight_server import version_folder
from tests.rollout_servers import (
    START_SECONDS,
    TOLERANCE,
    RunningAgent,
    ask,
    expected_log_probabilities,
    free_port,
    running_agent,
)
from tests.shard_sources import order_of, source
from tests.tiny_models import write_tiny_model
from tests.weight_trainer import TAKE_OVER_SECONDS, weight_trainer, write_shards

pytestmark = pytest.mark.timeout(START_SECONDS + 300)


@dataclass(frozen=True)
class Rollout:
    """Two agents that heartbeat to `port`, where each test has an orchestrator of its own, of the next attempt."""

    port: int
    agents: tuple[RunningAgent, RunningAgent]
    folder: Path


@pytest.fixture(scope="module")
def rollout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rollout]:
    folder, port = tmp_path_factory.mktemp("peers"), free_port()
    base, orchestrator = write_tiny_model(folder / "base"), f"http://127.0.0.1:{port}"
    with (
        running_agent(base, orchestrator, folder, "machine-a") as first,
        running_agent(base, orchestrator, folder, "machine-b") as second,
    ):
        for agent in (first, second):
            agent.wait_for_status(f"{agent.generate}/health", 200)
        yield Rollout(port, (first, second), folder)


def shard_contents(model: Path, folder: Path) -> dict[str, bytes]:
    """The same in memory."""
    write_shards(model, folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


async def samples_by(agent: RunningAgent, model: Path) -> bool:
    """Whether the agent's vLLM samples with the weights of `model`."""
    answer = await ask(agent)
    expected = expected_log_probabilities(model, answer.token_ids, 1.0)
    return answer.log_probabilities == pytest.approx(expected, abs=TOLERANCE)


async def give(agent: RunningAgent, order: WeightOrder) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=TAKE_OVER_SECONDS) as client:
        return await client.post(f"{agent.agent}/v1/weights", json=order.model_dump(mode="json"))


async def ready(agent: RunningAgent) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return (await client.get(f"{agent.agent}/readyz")).status_code


async def test_every_server_samples_with_what_the_trainer_sent_once(rollout: Rollout) -> None:
    """Two servers, two versions: each shard leaves the trainer once a version, the rest goes from server to server."""
    async with weight_trainer(rollout.port, rollout.folder, attempt=1) as subject:
        await subject.joined(2)
        for version in (1, 2):
            model = write_tiny_model(rollout.folder / f"model-{version}", seed=version)
            await subject.publish(model, version, servers=2)
            assert [await samples_by(agent, model) for agent in rollout.agents] == [True, True]
        size = sum(file.stat().st_size for v in (1, 2) for file in version_folder(subject.weights, v).iterdir())
        assert subject.metric("weight_sync_bytes_total", source="trainer") == size
        assert subject.metric("weight_sync_bytes_total", source="peer") == size
        assert subject.metric("weight_sync_pause_seconds_count") == 4


async def test_a_damaged_shard_and_a_peer_that_hangs_change_no_weights(rollout: Rollout) -> None:
    """What a peer sends is checked against what the orchestrator announced; a silent one is passed over."""
    model = write_tiny_model(rollout.folder / "model-3", seed=3)
    files = shard_contents(model, rollout.folder / "shards-3")
    async with source(files) as good, source(files, "damaged") as damaged, source(files, "stalls") as hanging:
        bad = (damaged.url, hanging.url)
        order = order_of(files, good.url, lambda number: bad, attempt=2, version=3, deadline_seconds=60)
        response = await give(rollout.agents[1], order)
    assert response.status_code == 200, response.text
    receipt = response.json()
    assert (receipt["trainer_bytes"], receipt["peer_bytes"]) == (sum(map(len, files.values())), 0)
    assert receipt["failures"]["damaged"] >= 1
    assert receipt["failures"]["silent"] >= 1
    assert await samples_by(rollout.agents[1], model)


async def test_a_trainer_that_vanishes_in_mid_fetch_leaves_the_old_weights_and_the_next_attempt_brings_new(
    rollout: Rollout,
) -> None:
    """The servers go on with what they have; the attempt after that is fetched although the last one hangs."""
    held = write_tiny_model(rollout.folder / "model-4", seed=4)
    files = shard_contents(held, rollout.folder / "shards-4")
    async with source(files) as good:
        assert (await give(rollout.agents[0], order_of(files, good.url, attempt=3, version=1))).status_code == 200
    lost = shard_contents(write_tiny_model(rollout.folder / "model-5", seed=5), rollout.folder / "shards-5")
    async with source(lost, "stalls") as vanishing:
        giving = asyncio.create_task(give(rollout.agents[0], order_of(lost, vanishing.url, attempt=3, version=2)))
        await vanishing.failing.wait()
    assert await ready(rollout.agents[0]) == 200
    assert await samples_by(rollout.agents[0], held)
    async with weight_trainer(rollout.port, rollout.folder, attempt=4) as subject:
        await subject.joined(2)
        model = write_tiny_model(rollout.folder / "model-6", seed=6)
        await subject.publish(model, 2, servers=2)
        assert [await samples_by(agent, model) for agent in rollout.agents] == [True, True]
    assert (await giving).status_code in (409, 503)
