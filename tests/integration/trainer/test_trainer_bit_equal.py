"""A run that is killed and taken up ends in the same weights as one that is not, bit by bit, on the real engine.

Only the sampler is a stand-in: a draw has the same answers whenever it is asked, so that both runs have one journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import httpx
import pytest
import torch
import uvicorn
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from deepcoder_api.artifacts import RunPaths
from deepcoder_api.connections import listener
from deepcoder_api.resolve import ResolvedRun
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_data.folders import download_folder
from deepcoder_data.store import ObjectStore
from deepcoder_trainer.orchestrator.application import Routes
from deepcoder_trainer.orchestrator.checkpoints import Checkpoints
from deepcoder_trainer.orchestrator.cursor import Draw, sample_seed
from deepcoder_trainer.orchestrator.failures import RanksFailed
from deepcoder_trainer.orchestrator.journal import Journal
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.progress import RunProgress
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry
from deepcoder_trainer.orchestrator.sampling import Sampler
from deepcoder_trainer.orchestrator.step_loop import StepLoop, batch_file
from deepcoder_trainer.orchestrator.weights import PullTransport
from deepcoder_trainer.rank_protocol import RankFailure
from deepcoder_trainer.run_report.records import RunRecords
from deepcoder_trainer.samples import Sample
from tests.resolved_runs import resolved_run
from tests.s3_server import S3Server
from tests.tiny_models import write_tiny_model
from tests.unit.trainer.sample_builders import random_samples
from tests.warm_ranks import Ranks, start_ranks

PROBLEMS = [f"problem-{number}" for number in range(12)]
STEPS, KILLED_IN = 5, 4
SECONDS = 600
pytestmark = pytest.mark.timeout(2 * SECONDS)


class Drawn:
    """A sampler whose answers follow from the draw alone; `kill` is called before the first group of KILLED_IN."""

    def __init__(self, prompts_per_step: int, model: Path) -> None:
        self._model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        self.kill = asyncio.Event()
        self._last = prompts_per_step * (KILLED_IN - 1)
        self._asked = 0

    async def group(self, draw: Draw, stage: ResolvedStage, priority: int = 0) -> list[Sample]:
        self._asked += 1
        if self._asked > self._last:
            self.kill.set()
        made = random_samples(sample_seed(0, draw.problem_id, draw.epoch, 0) % 2**32, groups=1, truncated=0.2)
        likely = [_log_probabilities(self._model, one) for one in made]
        return [
            replace(one, problem_id=draw.problem_id, epoch=draw.epoch, log_probabilities=values)
            for one, values in zip(made, likely, strict=True)
        ]


def _log_probabilities(model: PreTrainedModel, one: Sample) -> tuple[float, ...]:
    """What the base model gives each answer token: far from it, the guards would end the run."""
    ids = torch.tensor([one.prompt_ids + one.answer_ids])
    with torch.no_grad():
        scores = torch.log_softmax(model(input_ids=ids).logits[0, len(one.prompt_ids) - 1 : -1], -1)
    return tuple(scores.gather(1, ids[0, len(one.prompt_ids) :, None])[:, 0].tolist())


@dataclass
class World:
    """One run in the bucket, its model, and the ranks of its attempts."""

    store: ObjectStore
    run: ResolvedRun
    folder: Path
    model: Path
    ranks: int

    @property
    def paths(self) -> RunPaths:
        return RunPaths(self.run.spec.storage.uri, self.run.namespace, self.run.name, self.run.uid)

    async def attempt(self, number: int, *, killed: bool) -> None:
        """One attempt to its end, or until its ranks are killed in step KILLED_IN."""
        work = self.folder / f"{self.run.uid[:4]}-{number}"
        (work / "batches").mkdir(parents=True)
        sampler = Drawn(self.run.algorithm.prompts_per_step, self.model)
        async with self._loop(number, work, sampler) as (loop, port):
            with self._ranks(number, work, port) as ranks:
                await self._follow(loop, sampler, ranks, killed=killed)

    async def _follow(self, loop: StepLoop, sampler: Drawn, ranks: Ranks, *, killed: bool) -> None:
        if not killed:
            await asyncio.wait_for(loop.execute(), SECONDS)
            return
        executing = asyncio.create_task(loop.execute())
        await asyncio.wait_for(sampler.kill.wait(), SECONDS)
        await loop.checkpoints.behind.settle()
        ranks.kill()
        loop.ranks.failed(RankFailure(rank=0, cause="killed"))
        with pytest.raises(RanksFailed):
            await executing

    def state(self, into: Path) -> dict[str, torch.Tensor]:
        """All tensors of the last checkpoint: the model's, the fp32 weights and the moments."""
        download_folder(self.store, self.paths.checkpoint(STEPS), into)
        files = [*into.glob("model/*.safetensors"), *into.glob("state/optimizer*.safetensors")]
        return {f"{file.parent.name}/{name}": one for file in files for name, one in load_file(file).items()}

    @contextlib.asynccontextmanager
    async def _loop(self, number: int, work: Path, sampler: Drawn) -> AsyncIterator[tuple[StepLoop, int]]:
        channel, metrics, journal = RankChannel(), RunMetrics(), Journal(self.store, self.paths)
        registry, progress = RolloutRegistry(Policy(number, 0), time.monotonic), RunProgress(number, STEPS)
        async with httpx.AsyncClient() as client:
            weights = PullTransport(attempt=number, ranks=channel, registry=registry, client=client, metrics=metrics)
            checkpoints = Checkpoints(
                store=self.store, paths=self.paths, journal=journal, ranks=channel, attempt=number,
                folder=work / "checkpoints", run=self.run, scores={}, committed=progress.committed,
            )  # fmt: skip
            loop = StepLoop(
                run=self.run, attempt=number, dataset="s3://elsewhere/datasets/abc", model_dir=self.model,
                batches=work / "batches", problem_ids=PROBLEMS, sampler=cast(Sampler, sampler), ranks=channel,
                weights=weights, journal=journal, checkpoints=checkpoints, progress=progress, metrics=metrics,
                records=RunRecords(self.store, self.paths, self.run, number), stop=asyncio.Event(),
            )  # fmt: skip
            routes = Routes(
                number, channel, registry, weights, progress, metrics, lambda step: batch_file(work / "batches", step)
            )
            at = listener("127.0.0.1", 0)
            server = uvicorn.Server(uvicorn.Config(routes.application(), log_level="warning", lifespan="off"))
            serving = asyncio.create_task(server.serve([at]))
            yield loop, at.getsockname()[1]
            server.should_exit = server.force_exit = True
            await serving

    @contextlib.contextmanager
    def _ranks(self, number: int, work: Path, port: int) -> Iterator[Ranks]:
        (work / "run.json").write_text(self.run.model_dump_json())
        arguments = [
            *("--orchestrator", f"http://127.0.0.1:{port}", "--attempt", str(number)),
            # No server fetches them.
            *("--weights-dir", str(work / "weights"), "--weights-url", "http://127.0.0.1:9"),
        ]
        environment = {"DEEPCODER_CONFIG": str(work / "run.json")}
        ranks = start_ranks(self.ranks, "deepcoder_trainer.ranks", arguments, work / "ranks.log", environment)
        try:
            yield ranks
        finally:
            ranks.kill()


@pytest.mark.parametrize(("ranks", "zero_stage", "precision"), [(1, 0, "fp32"), (2, 2, "bf16")])
async def test_a_run_that_was_killed_ends_in_the_same_bits(
    s3: S3Server, bucket: str, tmp_path: Path, ranks: int, zero_stage: int, precision: str
) -> None:
    """Killed in step 4 of 5 after a checkpoint of step 2: step 3 is replayed, step 4 is sampled or replayed.

    Model, fp32 weights and both moments are compared; two optimizer steps a step, so proximal log-probabilities count.
    """
    model = write_tiny_model(tmp_path / "model")

    def world(uid: str) -> World:
        run = resolved_run(
            uid=uid, storage={"uri": f"s3://{bucket}/prefix", "endpoint": s3.endpoint},
            algorithm={"optimizerStepsPerStep": 2}, stages=[{"name": "only", "maxResponseTokens": 29, "steps": STEPS}],
            optimizer={"learningRate": 1e-4},
            trainer={"gpusPerReplica": 0, "precision": precision, "deepspeed": {"zeroStage": zero_stage}},
        )  # fmt: skip
        return World(s3.store(), run, tmp_path, model, ranks)

    whole, killed = world("a" * 16), world("b" * 16)
    await whole.attempt(1, killed=False)
    await killed.attempt(1, killed=True)
    await killed.attempt(2, killed=False)

    expected, found = whole.state(tmp_path / "whole"), killed.state(tmp_path / "killed")
    assert found.keys() == expected.keys()
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    base = load_file(model / "model.safetensors")
    assert any(not torch.equal(expected[f"model/{name}"].float(), base[name]) for name in base)
