"""Evaluations against the stand-in engine and a sandbox: how long each takes, and what it keeps in memory."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.grading import Limits
from deepcoder_api.problems import Problem
from deepcoder_data.store import ObjectStore
from deepcoder_evaluation.engines import Engines
from deepcoder_evaluation.evaluator import evaluate
from deepcoder_evaluation.folders import LocalFolder
from deepcoder_evaluation.job import EvaluationJob, Sampling
from deepcoder_evaluation.progress import Count

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Setting:
    """What is asked and where: problems by file, the engine, the sandbox."""

    problems: Path
    tokenizer: Path
    engine: str
    sandbox: str

    def job(self, lengths: Sequence[int], in_flight: int) -> EvaluationJob:
        """A greedy evaluation at these response limits."""
        benchmark = Benchmark(name="made", kind="jsonl", uri=self.problems.as_uri())
        return EvaluationJob(
            namespace="bench",
            name="bench",
            model="stand-in",
            model_name="policy",
            tokenizer=self.tokenizer.parent.as_uri(),
            engine="stand-in",
            engine_arguments=(),
            exact_ids=True,
            sampling=Sampling(0.0, 1.0, max(lengths), 1, 0),
            lengths=tuple(sorted(lengths)),
            benchmarks=(benchmark,),
            profile="strict",
            limits=Limits(timeout_seconds=60),
            in_flight=in_flight,
        )


async def seconds_of(setting: Setting, job: EvaluationJob, folder: Path) -> float:
    """Wall-clock seconds of a whole evaluation into a new folder."""
    store = ObjectStore("http://127.0.0.1:9", "us-east-1", access_key="none", secret_key="none")
    engines = Engines(setting.engine, foreign=True)
    begun = time.monotonic()
    await evaluate(job, store, LocalFolder(folder), engines, setting.sandbox, Count())
    return time.monotonic() - begun


async def generation_seconds(setting: Setting, job: EvaluationJob, prompts: Sequence[str], folder: Path) -> float:
    """Wall-clock seconds of asking alone, with as many in flight."""
    slots = asyncio.Semaphore(job.in_flight)
    begun = time.monotonic()
    async with Engines(setting.engine, foreign=True).open(job, LocalFolder(folder)) as awaited:
        engine = await awaited.ready()

        async def ask(prompt: str) -> None:
            async with slots:
                await engine.ask(prompt, job.sampling, 0)

        await asyncio.gather(*map(ask, prompts))
    return time.monotonic() - begun


def at_longest(job: EvaluationJob, length: int) -> EvaluationJob:
    """The same with one response limit."""
    return replace(job, sampling=replace(job.sampling, max_tokens=length), lengths=(length,))


@contextmanager
def stand_in(answers: Mapping[str, str], pace: float, tokenizer: Path, folder: Path) -> Iterator[str]:
    """The engine as a process of its own; its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    file = folder / "answers.json"
    file.write_text(json.dumps(answers))
    module = "benchmarks.evaluation.stand_in_engine"
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(port), str(file), str(pace), str(tokenizer)], cwd=ROOT
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _await(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def write_problems(problems: Sequence[Problem], file: Path) -> None:
    """As the benchmark reads them."""
    file.write_text("".join(one.model_dump_json() + "\n" for one in problems))


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{url}/v1/models", trust_env=False, timeout=2)
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"the stand-in engine is not ready, exit status {process.poll()}")
