"""An evaluator holds the checkpoint that it measures, on a real S3 server, until an end that is one."""

from __future__ import annotations

import asyncio
import itertools
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deepcoder_api.resolve import ResolvedEvaluation
from deepcoder_cli.local.addresses import free_port
from deepcoder_data.folders import commit_folder
from deepcoder_data.holds import CheckpointHold, holders
from deepcoder_data.store import ObjectStore
from deepcoder_evaluation.evaluator import serve_and_evaluate
from deepcoder_evaluation.holding import renewed
from tests.resolved_evaluations import resolved_evaluation
from tests.s3_server import S3Server
from tests.unit.evaluation.evaluation_builders import write_problems
from tests.unit.evaluation.evaluation_world import World


@pytest.fixture
def checkpoint(store_of_environment: ObjectStore, bucket: str, tmp_path: Path) -> str:
    """A checkpoint that is whole."""
    (tmp_path / "made" / "model").mkdir(parents=True)
    (tmp_path / "made" / "model" / "config.json").write_text("{}")
    uri = f"s3://{bucket}/runs/team/tiny/0123/checkpoints/step-000002"
    commit_folder(store_of_environment, tmp_path / "made", uri)
    return uri


def evaluation_of(checkpoint: str, s3: S3Server, folder: Path) -> ResolvedEvaluation:
    evaluation = resolved_evaluation(
        f"{checkpoint}/model",
        sampling={"temperature": 0, "maxTokens": 64},
        benchmarks=[{"name": "held-out", "kind": "jsonl", "uri": write_problems(folder, 4)}],
        storage={"uri": checkpoint.partition("/runs/")[0], "endpoint": s3.endpoint},
    )
    return evaluation.model_copy(update={"model_name": "policy"})


async def test_the_checkpoint_is_held_until_the_scores_are_there(
    s3: S3Server, store_of_environment: ObjectStore, checkpoint: str, tmp_path: Path
) -> None:
    """By who measures it, and no longer."""
    during: list[list[str]] = []
    world = World(after_grade=lambda count: during.append(holders(store_of_environment, checkpoint)))
    async with world.serving() as engines:
        evaluation = evaluation_of(checkpoint, s3, tmp_path)
        message = await serve_and_evaluate(evaluation, engines.url, engines.url, "127.0.0.1", free_port())
    assert message.outcome == "done", message
    assert during
    assert during[-1] == ["Evaluation default/tiny"]
    assert holders(store_of_environment, checkpoint) == []


@pytest.mark.parametrize("outcome", ["retryable", "permanent"])
async def test_after_a_failure_it_is_held_where_another_try_follows(
    outcome: str, s3: S3Server, store_of_environment: ObjectStore, checkpoint: str, tmp_path: Path
) -> None:
    """A sandbox that is not isolated may be so at the next try; a benchmark without problems stays without."""
    evaluation = evaluation_of(checkpoint, s3, tmp_path)
    world = World()
    if outcome == "retryable":
        world.isolation = world.isolation.model_copy(update={"verified": False})
    else:
        (tmp_path / "held-out.jsonl").write_text("")
    async with world.serving() as engines:
        message = await serve_and_evaluate(evaluation, engines.url, engines.url, "127.0.0.1", free_port())
    assert message.outcome == outcome
    assert bool(holders(store_of_environment, checkpoint)) is (outcome == "retryable")


async def test_a_hold_is_renewed_while_the_evaluation_lasts(store_of_environment: ObjectStore, checkpoint: str) -> None:
    """However long that is: here the clock goes on by twenty hours with each renewal."""
    noon, times, often = datetime(2026, 3, 1, 12, tzinfo=UTC), itertools.count(1), threading.Event()

    def clock() -> datetime:
        time = next(times)
        if time == 5:
            often.set()
        return noon + timedelta(hours=20 * time)

    async with renewed(CheckpointHold(store_of_environment, checkpoint, "one", "somebody", clock), seconds=0.01):
        assert await asyncio.to_thread(often.wait, 30)
    assert holders(store_of_environment, checkpoint, lambda: noon + timedelta(hours=100)) == ["somebody"]
