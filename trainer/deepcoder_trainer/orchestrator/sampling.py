"""The samples of a group: each answer goes to a sandbox as soon as it is there, while others are still generated."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from deepcoder_api.presets import Algorithm
from deepcoder_api.problems import Problem
from deepcoder_api.resolved_stage import ResolvedStage
from deepcoder_trainer.algorithm.overlong import answer_advantages
from deepcoder_trainer.orchestrator.cursor import Draw, sample_seed
from deepcoder_trainer.orchestrator.failures import first_failure
from deepcoder_trainer.orchestrator.generation import Generator, Place, Question
from deepcoder_trainer.orchestrator.grading import Grader
from deepcoder_trainer.orchestrator.group_grades import GroupGrades
from deepcoder_trainer.orchestrator.metrics import RunMetrics
from deepcoder_trainer.orchestrator.prompts import Prompt
from deepcoder_trainer.samples import Sample


class Sampler:
    """Samples and grades groups. `prompt_of` renders a problem's statement through the chat template."""

    def __init__(
        self, *, problems: Mapping[str, Problem], prompt_of: Callable[[str], Prompt], generator: Generator,
        grader: Grader, metrics: RunMetrics,
    ) -> None:  # fmt: skip
        self._problems = problems
        self._prompt_of = prompt_of
        self._generator = generator
        self._grader = grader
        self._metrics = metrics

    async def group(self, draw: Draw, stage: ResolvedStage, priority: int = 0) -> list[Sample]:
        """The samples of a draw, with their advantages. Which group of a batch it is, `batch_of` says.

        Groups with a lower `priority` are graded first. Raises what `answers` raises.
        """
        samples = await self.answers(draw, stage, stage.algorithm.samples_per_prompt, priority)
        return with_advantages(samples, stage.algorithm, stage.max_response_tokens)

    async def answers(self, draw: Draw, stage: ResolvedStage, count: int, priority: int = 0) -> list[Sample]:
        """`count` graded answers to the problem of a draw, sampled as in `stage`, without advantages.

        Raises the failure that explains the others when one answer cannot be had or graded; no sample is left out.
        """
        problem = self._problems[draw.problem_id]
        prompt = self._prompt_of(problem.prompt)
        grades = GroupGrades(self._grader, problem, priority)
        try:
            async with self._generator.place(count) as place, asyncio.TaskGroup() as tasks:
                samples = [
                    tasks.create_task(self._sample(draw, grades, prompt, number, stage, place))
                    for number in range(count)
                ]
        except BaseExceptionGroup as group:
            raise first_failure(group) from group
        return [sample.result() for sample in samples]

    async def _sample(
        self, draw: Draw, grades: GroupGrades, prompt: Prompt, number: int, stage: ResolvedStage, place: Place
    ) -> Sample:
        identity, algorithm = f"{draw.problem_id}/{draw.epoch}/{number}", stage.algorithm
        seed = sample_seed(algorithm.seed, draw.problem_id, draw.epoch, number)
        question = Question(identity, prompt.ids, stage.max_response_tokens, algorithm.temperature, seed)
        with self._metrics.generating.track_inprogress(), self._metrics.idleness.busy():
            answer = await self._generator.ask(question, place)
        with self._metrics.grading.track_inprogress(), self._metrics.idleness.waiting("grading"):
            graded = await grades.grade(answer.text, identity)
        return Sample(
            problem_id=draw.problem_id,
            prompt=prompt.text,
            answer=answer.text,
            prompt_ids=prompt.ids,
            answer_ids=answer.token_ids,
            log_probabilities=answer.log_probabilities,
            versions=answer.versions,
            finish_reason=answer.finish_reason,
            verdict=graded.verdict,
            test_verdicts=graded.test_verdicts,
            reward=graded.reward,
            group=0,
            advantage=0.0,
            epoch=draw.epoch,
        )


def batch_of(groups: Iterable[Sequence[Sample]]) -> list[Sample]:
    """The samples of a batch: its groups numbered in their order."""
    return [dataclasses.replace(sample, group=number) for number, group in enumerate(groups) for sample in group]


def with_advantages(samples: Sequence[Sample], algorithm: Algorithm, max_response_tokens: int) -> list[Sample]:
    """The samples with each one's advantage in its group. Their rewards stay what the grades are worth."""
    advantages = answer_advantages(
        [s.reward for s in samples], [s.group for s in samples], [s.truncated for s in samples],
        [len(s.answer_ids) for s in samples], max_response_tokens=max_response_tokens, algorithm=algorithm,
    )  # fmt: skip
    return [
        dataclasses.replace(sample, advantage=float(advantage))
        for sample, advantage in zip(samples, advantages, strict=True)
    ]
