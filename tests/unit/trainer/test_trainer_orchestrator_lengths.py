"""Answers that are trained on are as long as the policy makes them, however servers come and go.

A long answer is under way longest, so a server that is lost, weights that change and a batch that goes on without it
strike it more often than a short one. Were it dropped, or drawn anew at its second asking, training would see a policy
that answers more briefly than it does. Servers here are stand-ins; the seed alone decides how long an answer is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from deepcoder_api.grading import Verdict
from deepcoder_api.presets import GRPO_PLUS
from deepcoder_api.problems import Problem
from deepcoder_trainer.orchestrator.admission import Admission
from deepcoder_trainer.orchestrator.cursor import Cursor, sample_seed
from deepcoder_trainer.orchestrator.generation import Generator
from deepcoder_trainer.orchestrator.grading import Graded, Grader
from deepcoder_trainer.orchestrator.group_pool import GroupPool
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.prompts import Prompt
from deepcoder_trainer.orchestrator.registry import Policy, RolloutRegistry
from deepcoder_trainer.orchestrator.sampling import Sampler
from deepcoder_trainer.orchestrator.timetable import Timetable
from deepcoder_trainer.samples import Sample
from tests.orchestrator_builders import beat, stage

STEPS, PROMPTS, SAMPLES, LIMIT, SEED = 24, 4, 4, 256, 5
SECONDS_PER_TOKEN = 0.0003
TRAINING_SECONDS = 0.01
BEAT_SECONDS = 0.01
EXPIRE_SECONDS = 0.05
FAULT_SECONDS = 0.03
PROBLEMS = [f"problem-{number}" for number in range(30)]
STAGE = stage(
    STEPS, PROMPTS, limit=LIMIT, algorithm=GRPO_PLUS.model_copy(update={"samples_per_prompt": SAMPLES, "seed": SEED})
)


def length_of(seed: int) -> int:
    """Tokens of the answer that this seed draws: of four a quarter as long as the limit in the mean, others short."""
    numbers = random.Random(seed)
    mean = 6 if numbers.random() < 0.75 else LIMIT / 4
    return min(LIMIT, 1 + int(numbers.expovariate(1 / mean)))


@dataclass
class Servers:
    """Three rollout servers, each of which is struck now and then: it breaks off, or is silent until it is given up."""

    registry: RolloutRegistry
    asked: Counter[int] = field(default_factory=Counter[int])
    """How often an answer was asked for, by its seed."""
    faults: int = 0
    _names: list[str] = field(default_factory=lambda: [f"server-{number}" for number in range(3)])
    _broken: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    _silent: set[str] = field(default_factory=set[str])
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """vLLM's token route: it takes as long as the answer has tokens."""
        seed, host = json.loads(request.content)["sampling_params"]["seed"], request.url.host
        self.asked[seed] += 1
        tokens, broken = length_of(seed), self._broken.setdefault(host, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(broken.wait(), tokens * SECONDS_PER_TOKEN)
            raise httpx.ReadError("the server is gone", request=request)
        if host in self._silent:
            await asyncio.Event().wait()
        version = str(self.registry.wanted.version)
        choice: dict[str, Any] = {
            "text": f"answer {seed}", "token_ids": [7] * tokens, "finish_reason": "stop",
            "logprobs": {"content": [{"logprob": -0.5}] * tokens},
            "weight_versions": [{"version": version, "start": 0, "end": tokens}],
        }  # fmt: skip
        return httpx.Response(200, json={"choices": [choice]})

    async def live(self) -> None:
        """Heartbeats, and the loss of those that are silent; a fault every FAULT_SECONDS, and a new server for it."""
        struck = time.monotonic()
        while True:
            for name in self._names:
                self.registry.heard(beat(name, f"http://{name}", self.registry.wanted.version))
            self.registry.expire()
            if time.monotonic() - struck > FAULT_SECONDS:
                struck = time.monotonic()
                self._strike()
            await asyncio.sleep(BEAT_SECONDS)

    def _strike(self) -> None:
        self.faults += 1
        name = self._names.pop(self._random.randrange(len(self._names)))
        if self._random.random() < 0.5:
            self._silent.add(name)
        else:
            self._broken.setdefault(name, asyncio.Event()).set()
        self._names.append(f"server-{self.faults + 2}")


class Right(Grader):
    """All answers are."""

    def __init__(self) -> None:
        pass

    async def grade(self, problem: Problem, answer: str, id: str, priority: int = 0) -> Graded:
        return Graded(Verdict.ACCEPTED, (Verdict.ACCEPTED,), 1.0)


@contextlib.asynccontextmanager
async def living(servers: Servers) -> AsyncIterator[None]:
    life = asyncio.create_task(servers.live())
    try:
        yield
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


async def trained(servers: Servers, max_staleness: int) -> dict[int, list[Sample]]:
    """The groups of a whole run by their draws, in batches as training takes them."""
    tests = [{"kind": "stdin", "input": "1", "output": "1"}]
    problems = {id: Problem.model_validate({"id": id, "prompt": id, "tests": tests}) for id in PROBLEMS}
    cursor = Cursor(PROBLEMS, SEED)
    admission = Admission(Timetable.planned([STAGE]), max_staleness=max_staleness)
    groups: dict[int, list[Sample]] = {}

    async def taken_over(version: int) -> None:
        servers.registry.want(Policy(1, version))

    async with httpx.AsyncClient(transport=httpx.MockTransport(servers.answer)) as client:
        sampler = Sampler(
            problems=problems, prompt_of=lambda text: Prompt(text, (5, 6)), grader=Right(), metrics=RunMetrics(),
            generator=Generator(servers.registry, client, rollout_seconds=10),
        )  # fmt: skip
        pool = GroupPool(admission, lambda draw: sampler.group(cursor.draw(draw), STAGE, draw), taken_over)
        for step in range(1, STEPS + 1):
            pool.open(step - 1)
            batch = await asyncio.wait_for(pool.take(step), 20)
            assert not groups.keys() & batch.groups.keys()
            groups |= batch.groups
            admission.trained(step, batch.groups)
            pool.forget(batch.groups)
            await asyncio.sleep(TRAINING_SECONDS)
        await pool.close()
    return groups


@pytest.mark.parametrize("max_staleness", [0, 2])
async def test_answers_are_trained_on_whatever_their_length_and_whatever_struck_them(max_staleness: int) -> None:
    """Every draw once, and every answer as long as its seed made it, though long ones had to be asked more often."""
    servers = Servers(RolloutRegistry(Policy(1, 0), time.monotonic, expire_seconds=EXPIRE_SECONDS))
    async with living(servers):
        groups = await trained(servers, max_staleness)
    cursor = Cursor(PROBLEMS, SEED)
    draws = {number: cursor.draw(number) for number in range(STEPS * PROMPTS)}
    seeds = {
        number: [sample_seed(SEED, draw.problem_id, draw.epoch, sample) for sample in range(SAMPLES)]
        for number, draw in draws.items()
    }
    assert {number: [len(sample.answer_ids) for sample in group] for number, group in sorted(groups.items())} == {
        number: [length_of(seed) for seed in of_group] for number, of_group in seeds.items()
    }
    again = [length_of(seed) for seed, times in servers.asked.items() if times > 1]
    once = [length_of(seed) for seed, times in servers.asked.items() if times == 1]
    assert len(again) >= 10, f"{servers.faults} faults struck too few answers to show anything"
    assert statistics.fmean(again) > statistics.fmean(once), "the faults were no danger to long answers"
