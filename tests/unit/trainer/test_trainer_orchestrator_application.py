"""The orchestrator's routes, called as ranks, agents, Prometheus and the operator call them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.lifecycle import Progress
from deepcoder_api.rollout import Heartbeat, HeartbeatReply
from deepcoder_trainer.orchestrator.application import Routes
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.progress import RunProgress
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry
from deepcoder_trainer.orchestrator.weights import PullTransport
from deepcoder_trainer.rank_protocol import CommandResult, RankFailure, RankShards, Train

ATTEMPT = 3
BEAT = Heartbeat(
    server="a", generate_url="http://a:1", agent_url="http://a:2", shards_url="http://a:3", node="machine", attempt=0,
    version=0, ready=True,
)  # fmt: skip
SHARDS = RankShards(
    version=4, rank=0, ranks=1, url="http://trainer-0:8701",
    files=(FileDigest(path="model.safetensors", bytes=7, sha256="0" * 64),),
)  # fmt: skip
TRAIN = Train(step=1, learning_rate=1e-6, tokens_per_microbatch=256)


@dataclass
class Served:
    """The routes, what is behind them, and a client."""

    http: httpx.AsyncClient
    ranks: RankChannel
    registry: RolloutRegistry
    weights: PullTransport
    batches: Path


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    ranks, registry, metrics = RankChannel(), RolloutRegistry(Policy(ATTEMPT, 0), time.monotonic), RunMetrics()
    unreachable = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(503)))
    weights = PullTransport(
        attempt=ATTEMPT, ranks=ranks, registry=registry, client=unreachable, metrics=metrics
    )  # fmt: skip

    def batch_file(step: int) -> Path | None:
        return tmp_path / "batch" if step == 1 else None

    progress = RunProgress(ATTEMPT, total_steps=5)
    application = Routes(ATTEMPT, ranks, registry, weights, progress, metrics, batch_file).application()
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://trainer-0:8700") as http:
        yield Served(http, ranks, registry, weights, tmp_path)
    await weights.abort()
    await unreachable.aclose()


async def test_a_heartbeat_registers_a_server_and_is_told_what_is_wanted(served: Served) -> None:
    """It is known by all its addresses from then on."""
    reply = await served.http.post("/v1/rollouts", content=BEAT.model_dump_json())
    assert HeartbeatReply.model_validate_json(reply.content) == HeartbeatReply(attempt=ATTEMPT, version=0)
    (server,) = served.registry.servers
    assert (server.name, server.generate_url, server.shards_url) == ("a", "http://a:1", "http://a:3")


async def test_a_malformed_body_is_refused_with_the_field(served: Served) -> None:
    """422 and the reason, not a server error."""
    reply = await served.http.post("/v1/rollouts", json={"server": "a"})
    assert reply.status_code == 422
    assert "generate_url" in reply.json()["error"]


async def test_a_rank_reads_a_command_by_its_index(served: Served) -> None:
    """The command as JSON with its kind, as often as it is asked for."""
    issuing = asyncio.create_task(served.ranks.issue(TRAIN, 5))
    for _ in range(2):
        reply = await served.http.get("/v1/ranks/commands/0", params={"rank": 0, "attempt": ATTEMPT})
        assert reply.json() == {
            "kind": "train", "step": 1, "learning_rate": 1e-6, "tokens_per_microbatch": 256, "reset_optimizer": False,
        }  # fmt: skip
    done = await served.http.post("/v1/ranks/results/0", content=CommandResult(metrics={"loss": 2.0}).model_dump_json())
    assert done.status_code == 204
    assert (await issuing).metrics == {"loss": 2.0}


async def test_a_rank_that_waits_in_vain_is_told_to_ask_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """204 at the end of the long poll."""
    monkeypatch.setattr("deepcoder_trainer.orchestrator.application.LONG_POLL_SECONDS", 0.01)
    reply = await served.http.get("/v1/ranks/commands/0", params={"rank": 0, "attempt": ATTEMPT})
    assert reply.status_code == 204


@pytest.mark.parametrize("attempt", ["2", "4", None])
async def test_a_rank_of_another_attempt_gets_no_command(served: Served, attempt: str | None) -> None:
    """409 with both attempts named: two attempts never mix."""
    issuing = asyncio.create_task(served.ranks.issue(TRAIN, 5))
    reply = await served.http.get("/v1/ranks/commands/0", params={"attempt": attempt} if attempt else {})
    assert reply.status_code == 409
    assert reply.json()["error"] == f"this is attempt 3, not {attempt}"
    issuing.cancel()


async def test_a_result_for_a_command_never_issued_is_refused(served: Served) -> None:
    """404: the rank and the orchestrator do not speak of the same log."""
    reply = await served.http.post("/v1/ranks/results/0", content=CommandResult().model_dump_json())
    assert reply.status_code == 404


async def test_a_ranks_last_word_ends_the_wait_for_it(served: Served) -> None:
    """The failure reaches whoever waits for the ranks."""
    issuing = asyncio.create_task(served.ranks.issue(TRAIN, 5))
    failure = RankFailure(rank=1, cause="no memory")
    assert (await served.http.post("/v1/ranks/failures", content=failure.model_dump_json())).status_code == 204
    with pytest.raises(Exception, match="rank 1: no memory"):
        await issuing


async def test_a_batch_is_served_while_it_is_at_hand(served: Served) -> None:
    """The same bytes for every rank; 404 for another step's."""
    (served.batches / "batch").write_bytes(b"tensors")
    assert (await served.http.get("/v1/ranks/batches/1")).content == b"tensors"
    assert (await served.http.get("/v1/ranks/batches/2")).status_code == 404


async def test_shards_that_a_rank_tells_of_are_those_that_are_ordered(served: Served) -> None:
    """A version is published once all its ranks have told; every server that lives is ordered it."""
    await served.http.post("/v1/rollouts", content=BEAT.model_dump_json())
    publishing = asyncio.create_task(served.weights.publish(4))
    assert await served.ranks.read(0, 5) is not None
    told = await served.http.post("/v1/ranks/shards", params={"attempt": ATTEMPT}, content=SHARDS.model_dump_json())
    assert told.status_code == 204
    served.ranks.finished(0, CommandResult())
    await publishing
    assert served.registry.wanted == Policy(ATTEMPT, 4)


async def test_shards_of_another_attempts_rank_are_refused(served: Served) -> None:
    """409: its weights are another run of the same steps."""
    told = await served.http.post("/v1/ranks/shards", params={"attempt": 2}, content=SHARDS.model_dump_json())
    assert told.status_code == 409


async def test_progress_metrics_and_health(served: Served) -> None:
    """Progress in the contract's form with the servers that are ready; metrics as text; health as soon as it serves."""
    view = Progress.model_validate_json((await served.http.get("/v1/progress")).content)
    assert (view.attempt, view.total_steps, view.rollouts_ready) == (ATTEMPT, 5, 0)
    metrics = await served.http.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "deepcoder_rollouts_ready 0.0" in metrics.text
    assert (await served.http.get("/healthz")).status_code == 200
