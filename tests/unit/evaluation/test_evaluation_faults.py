"""A hostile endpoint, and an evaluator that is killed again and again: the same report as on a quiet day."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse

from deepcoder_api.evaluation_report import EvaluationReport
from deepcoder_data.store import ObjectStore
from deepcoder_evaluation import back_pressure
from deepcoder_evaluation.evaluator import evaluate
from deepcoder_evaluation.folders import LocalFolder
from deepcoder_evaluation.progress import Count
from tests.unit.evaluation.evaluation_builders import evaluation_job, write_problems
from tests.unit.evaluation.evaluation_world import World, answer_to, number_of, stream_of

STORE = ObjectStore("http://127.0.0.1:9", "us-east-1", access_key="none", secret_key="none")
PROBLEMS = 40


def hostile(prompt: str, times: int) -> Response | None:
    """Each prompt meets one kind of trouble, twice; some more often."""
    if times > (4 if number_of(prompt) % 5 == 0 else 2):
        return None
    text = answer_to(prompt)
    return (
        Response("busy", 429, headers={"retry-after": "0.05"}),
        Response("boom", 500),
        StreamingResponse(stream_of(text, ends=False), media_type="text/event-stream"),
        JSONResponse({"choices": [{"message": {"content": ""}, "finish_reason": "stop"}], "usage": {}}),
        Response('{"choices": [{"delta": ', media_type="text/event-stream"),
        Response("data: {]\n\n", media_type="text/event-stream"),
        Response("", 200),
        Response("<html>proxy</html>", 502),
    )[number_of(prompt) % 8]


async def run(world: World, folder: Path) -> EvaluationReport:
    (folder / "problems").mkdir(parents=True, exist_ok=True)
    benchmark = {"name": "held-out", "kind": "jsonl", "uri": write_problems(folder / "problems", PROBLEMS)}
    job = evaluation_job(benchmarks=[benchmark], maxInFlight=8)
    async with world.serving() as engines:
        return await evaluate(job, STORE, LocalFolder(folder / "results"), engines, engines.url, Count())


def comparable(report: EvaluationReport, folder: Path) -> tuple[Any, Any]:
    """The report and the samples without what time and place make of them."""
    rows = pq.read_table(folder / "results" / "samples.parquet").drop(["seconds"]).to_pylist()
    told = report.model_dump()
    for benchmark in told["benchmarks"]:
        benchmark.pop("uri")
    return {**told, "seconds": 0}, rows


@pytest.fixture
async def quiet(tmp_path: Path) -> tuple[Any, Any]:
    """The report of a quiet day."""
    report = await run(World(loading=0), tmp_path / "quiet")
    assert report.benchmarks[0].pass_at_1 == 0.5
    return comparable(report, tmp_path / "quiet")


async def test_a_hostile_endpoint_changes_nothing(
    quiet: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429, 500, cut streams, empty answers, wrong JSON: asked again until there is an answer, and never once more."""
    monkeypatch.setattr(back_pressure, "FIRST_PAUSE_SECONDS", 0.01)
    world = World(loading=0, trouble=hostile)
    report = await run(world, tmp_path / "hostile")
    assert comparable(report, tmp_path / "hostile") == quiet
    assert len(world.asked) > 2 * PROBLEMS
    assert set(world.answered.values()) == {1}
    assert len(world.answered) == PROBLEMS


async def test_an_evaluator_that_is_killed_at_random_asks_nothing_twice_that_was_answered(
    quiet: tuple[Any, Any], tmp_path: Path
) -> None:
    """Ten lives, each ended after a few grades wherever it then is; the eleventh ends well."""
    chance = random.Random(6)
    folder = tmp_path / "killed"
    kept: set[str] = set()
    for _ in range(10):
        limit, ended = chance.randint(1, 5), asyncio.Event()
        world = World(loading=0, after_grade=lambda count, limit=limit, ended=ended: (
            ended.set() if count >= limit else None))  # fmt: skip
        life = asyncio.create_task(run(world, folder))
        killed = asyncio.create_task(ended.wait())
        await asyncio.wait([life, killed], return_when=asyncio.FIRST_COMPLETED, timeout=60)
        await asyncio.sleep(chance.random() * 0.02)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        killed.cancel()
        assert not kept & {asked_as(body) for body in world.asked}, "asked again though its answer was kept"
        kept = kept_answers(folder)
    last = World(loading=0)
    report = await run(last, folder)
    assert len(last.asked) == PROBLEMS - len(kept)
    assert comparable(report, folder) == quiet


def asked_as(body: dict[str, Any]) -> str:
    return f"p{number_of(body['messages'][-1]['content'])}"


def kept_answers(folder: Path) -> set[str]:
    import gzip
    import json

    return {json.loads(gzip.decompress(file.read_bytes()))["problem"]
            for file in (folder / "results" / "answers").rglob("*.gz")}  # fmt: skip
