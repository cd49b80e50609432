"""What each part of a step takes when it has its core to itself and enough to do: generation, and grading."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.trainer.policy_server import PolicyClient
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedRun
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.orchestrator.cursor import Cursor, sample_seed
from deepcoder_trainer.orchestrator.generation import Answer, Question
from deepcoder_trainer.orchestrator.grading import IN_FLIGHT_PER_REPLICA, Grader
from deepcoder_trainer.orchestrator.group_grades import GroupGrades

if TYPE_CHECKING:
    from deepcoder_trainer.orchestrator.prompts import PromptRenderer


@dataclass(frozen=True)
class Finished:
    """A group of answers to one problem, and when the last of them was there, in seconds of a monotonic clock."""

    problem: str
    answers: Sequence[Answer]
    at: float

    @property
    def tokens(self) -> int:
        """Answer tokens of the group."""
        return sum(len(answer.token_ids) for answer in self.answers)


async def generate(
    client: PolicyClient, run: ResolvedRun, problems: Mapping[str, Problem], prompt_of: PromptRenderer, groups: int
) -> list[Finished]:
    """The run's first groups, as many at once as its admission would have under way, in the order of finishing."""
    algorithm = run.algorithm
    cursor, room = Cursor(list(problems), algorithm.seed), asyncio.Semaphore(under_way(run))
    finished: list[Finished] = []

    async def one(number: int) -> None:
        async with room:
            draw = cursor.draw(number)
            prompt = prompt_of(problems[draw.problem_id].prompt).ids
            answers = await client.ask(
                [
                    Question(
                        f"{draw.problem_id}/{sample}", prompt, run.spec.stages[-1].max_response_tokens,
                        algorithm.temperature, sample_seed(algorithm.seed, draw.problem_id, draw.epoch, sample),
                    )
                    for sample in range(algorithm.samples_per_prompt)
                ]
            )  # fmt: skip
        finished.append(Finished(draw.problem_id, answers, time.monotonic()))

    async with asyncio.TaskGroup() as tasks:
        for number in range(groups):
            tasks.create_task(one(number))
    return finished


def under_way(run: ResolvedRun) -> int:
    """Groups that are under way at once when training keeps up: those of a step, and of each that may be ahead."""
    return run.algorithm.prompts_per_step * (1 + run.algorithm.max_staleness)


def tokens_per_second(finished: Sequence[Finished], under_way: int) -> float:
    """Of the middle: from when the first `under_way` groups are there until nothing more is waiting to begin.

    Raises ValueError when that leaves no two groups.
    """
    middle = sorted(finished, key=lambda group: group.at)[under_way - 1 : len(finished) - under_way + 1]
    if len(middle) < 2:
        raise ValueError(f"{len(finished)} groups, {under_way} of them at once: no middle; generate more")
    return sum(group.tokens for group in middle[1:]) / (middle[-1].at - middle[0].at)


async def grade(sandbox: str, run: ResolvedRun, problems: Mapping[str, Problem], finished: Sequence[Finished]) -> float:
    """Seconds that grading these groups takes, all asked at once, equal programs of a group run once."""
    begun = time.monotonic()
    async with SandboxClient(sandbox, max_in_flight=IN_FLIGHT_PER_REPLICA) as client, asyncio.TaskGroup() as tasks:
        grader = Grader(client, run.spec.sandbox)
        for group in finished:
            grades = GroupGrades(grader, problems[group.problem])
            for number, answer in enumerate(group.answers):
                tasks.create_task(grades.grade(answer.text, f"{group.problem}/{number}"))
    return time.monotonic() - begun
