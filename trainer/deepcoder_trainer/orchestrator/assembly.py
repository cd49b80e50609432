"""How an orchestrator is put together from its configuration: the one place that knows all its parts."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from deepcoder_api.artifacts import RunPaths
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedRun
from deepcoder_data.store import ObjectStore
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.orchestrator.application import Routes
from deepcoder_trainer.orchestrator.checkpoints import Checkpoints, Committed
from deepcoder_trainer.orchestrator.generation import Generator
from deepcoder_trainer.orchestrator.grader_watch import GraderWatch
from deepcoder_trainer.orchestrator.grading import Grader
from deepcoder_trainer.orchestrator.journal import Journal
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.progress import RunProgress
from deepcoder_trainer.orchestrator.prompts import PromptRenderer
from deepcoder_trainer.orchestrator.rank_channel import RankChannel
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry
from deepcoder_trainer.orchestrator.sampling import Sampler
from deepcoder_trainer.orchestrator.step_loop import StepLoop, batch_file
from deepcoder_trainer.orchestrator.validation import Validation
from deepcoder_trainer.orchestrator.weights import PullTransport
from deepcoder_trainer.run_report.records import RunRecords


@dataclass(frozen=True)
class Given:
    """What an orchestrator is started with."""

    run: ResolvedRun
    attempt: int
    dataset: str
    model_dir: Path
    work_dir: Path


@dataclass(frozen=True)
class Orchestrator:
    """The assembled parts that the process drives."""

    loop: StepLoop
    routes: Routes
    registry: RolloutRegistry
    ranks: RankChannel
    weights: PullTransport
    grader: GraderWatch


def assemble(
    given: Given, *, problems: Mapping[str, Problem], held_out: Mapping[str, Problem], store: ObjectStore,
    client: httpx.AsyncClient, sandbox: SandboxClient, metrics: RunMetrics, stop: asyncio.Event,
) -> Orchestrator:  # fmt: skip
    """All parts of one attempt. Must run in the event loop that will drive them."""
    run, attempt = given.run, given.attempt
    batches, checkpoint_files = given.work_dir / "batches", given.work_dir / "checkpoints"
    for folder in (batches, checkpoint_files):  # what an attempt that was killed has left, where the disk is the same
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    paths = RunPaths(run.spec.storage.uri, run.namespace, run.name, run.uid)
    progress = RunProgress(attempt, run.total_steps)
    ranks, registry = (
        RankChannel(),
        RolloutRegistry(Policy(attempt, 0), time.monotonic, begins_with_base_model=run.spec.resume_from is None),
    )
    journal = Journal(store, paths)
    keep_kv = run.spec.rollout.keep_kv
    weights = PullTransport(
        attempt=attempt, ranks=ranks, registry=registry, client=client, metrics=metrics, keep_kv=keep_kv
    )

    def committed(checkpoint: Committed) -> None:
        progress.committed(checkpoint)
        metrics.checkpoint_committed(checkpoint)

    prompt_of, generator = PromptRenderer(given.model_dir), Generator(registry, client, keep_kv=keep_kv)
    grader = Grader(sandbox, run.spec.sandbox)

    def sampler_of(asked: Mapping[str, Problem]) -> Sampler:
        return Sampler(problems=asked, prompt_of=prompt_of, generator=generator, grader=grader, metrics=metrics)

    validation = None
    if run.spec.validation is not None:
        validation = Validation(
            run.spec.validation, held_out, sampler_of(held_out), store, paths, attempt, metrics.validated
        )
    checkpoints = Checkpoints(
        store=store, paths=paths, journal=journal, ranks=ranks, attempt=attempt,
        folder=checkpoint_files, run=run,
        scores=validation.scores if validation else {}, committed=committed,
    )  # fmt: skip
    loop = StepLoop(
        run=run, attempt=attempt, dataset=given.dataset, model_dir=given.model_dir, batches=batches,
        problem_ids=list(problems), sampler=sampler_of(problems), ranks=ranks, weights=weights, journal=journal,
        checkpoints=checkpoints, progress=progress, metrics=metrics, records=RunRecords(store, paths, run, attempt),
        stop=stop, validation=validation,
    )  # fmt: skip

    def batch_at_hand(step: int) -> Path | None:
        file = batch_file(batches, step)
        return file if file.exists() else None

    routes = Routes(attempt, ranks, registry, weights, progress, metrics, batch_at_hand)
    watch = GraderWatch(lambda: sandbox.attempts, progress, metrics)
    return Orchestrator(loop, routes, registry, ranks, weights, watch)
