"""What a run asks for reaches the parts that an orchestrator is made of."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from deepcoder_api.artifacts import FileDigest
from deepcoder_api.problems import Problem, StdinTest
from deepcoder_data.store import ObjectStore
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.orchestrator.assembly import Given, assemble
from deepcoder_trainer.orchestrator.cursor import Draw
from deepcoder_trainer.orchestrator.failures import RequestRefused
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.rank_protocol import CommandResult, RankShards
from tests.orchestrator_builders import beat
from tests.resolved_runs import resolved_run
from tests.tiny_models import write_tokenizer

PROBLEM = Problem(id="a", prompt="Double a number.", tests=(StdinTest(input="7\n", output="14\n"),))


@pytest.mark.parametrize("keep_kv", [False, True])
async def test_keeping_what_older_weights_computed_is_ordered_and_told_with_each_question(
    keep_kv: bool, tmp_path: Path
) -> None:
    """The order of weights leaves the server's cache, and no question shares a prefix of another version's."""
    sent: dict[str, dict[str, Any]] = {}

    def refuse(request: httpx.Request) -> httpx.Response:
        sent[request.url.path] = json.loads(request.content)
        return httpx.Response(422)

    write_tokenizer(tmp_path / "model")
    run = resolved_run(rollout={"keepKv": keep_kv})
    given = Given(run, 1, "s3://bucket/dataset", tmp_path / "model", tmp_path / "work")
    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as client:
        made = assemble(
            given, problems={"a": PROBLEM}, held_out={}, store=cast(ObjectStore, None), client=client,
            sandbox=cast(SandboxClient, None), metrics=RunMetrics(), stop=asyncio.Event(),
        )  # fmt: skip
        made.registry.heard(beat("a", "http://a", version=0))
        with pytest.raises(RequestRefused):
            await made.loop.sampler.group(Draw("a", 0), run.stages[0])
        publishing = asyncio.create_task(made.weights.publish(1))
        await made.ranks.read(0, 5)
        file = FileDigest(path="model.safetensors", bytes=1, sha256="0" * 64)
        made.weights.announced(RankShards(version=1, rank=0, ranks=1, url="http://t", files=(file,)))
        made.ranks.finished(0, CommandResult())
        await publishing
        await made.weights.await_version(1, 5)
    assert sent["/v1/weights"]["clear_cache"] is not keep_kv
    assert sent["/inference/v1/generate"].get("cache_salt") == ("1-0" if keep_kv else None)
