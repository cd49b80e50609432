"""pass@1 on the held-out problems, greedily, of weights in a folder: measured after training, outside its clock."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.trainer.policy_server import PolicyClient
from deepcoder_api.problems import Problem
from deepcoder_api.resolve import ResolvedRun
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.orchestrator.generation import Question
from deepcoder_trainer.orchestrator.grading import IN_FLIGHT_PER_REPLICA, Grader

if TYPE_CHECKING:
    from deepcoder_trainer.orchestrator.prompts import PromptRenderer


@dataclass(frozen=True)
class HeldOut:
    """The problems and how they are asked."""

    problems: Sequence[Problem]
    run: ResolvedRun
    prompt_of: PromptRenderer

    async def pass_at_1(self, client: PolicyClient, sandbox: str, weights: Path | None) -> float:
        """The share of the problems that the model of `weights` solves; of the base model, when None."""
        if weights is not None:
            folder = client.next_folder()
            await asyncio.to_thread(_copy_weights, weights, folder)
            await client.load(folder)
        answers = await client.ask([self._question(problem) for problem in self.problems])
        async with SandboxClient(sandbox, max_in_flight=IN_FLIGHT_PER_REPLICA) as grades, asyncio.TaskGroup() as tasks:
            grader = Grader(grades, self.run.spec.sandbox)
            graded = [
                tasks.create_task(grader.grade(problem, answer.text, problem.id))
                for problem, answer in zip(self.problems, answers, strict=True)
            ]
        return sum(one.result().reward for one in graded) / len(graded)

    def _question(self, problem: Problem) -> Question:
        limit = self.run.spec.stages[-1].max_response_tokens
        return Question(problem.id, self.prompt_of(problem.prompt).ids, limit, temperature=0.0, seed=0)


def held_out(base: Path, run: ResolvedRun, model_dir: Path) -> HeldOut:
    """The held-out problems beside a base model."""
    from deepcoder_trainer.orchestrator.prompts import PromptRenderer  # imports torch, which takes seconds

    return HeldOut(read_problems(base / "held-out.jsonl"), run, PromptRenderer(model_dir))


def read_problems(file: Path) -> list[Problem]:
    """One problem a line, in the project's own schema."""
    return [Problem.model_validate_json(line) for line in file.read_text().splitlines() if line]


def _copy_weights(weights: Path, to: Path) -> None:
    for file in weights.glob("*.safetensors"):
        shutil.copyfile(file, to / file.name)
